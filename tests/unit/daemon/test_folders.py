"""The folders of an instance: their modes, the settings they remember, and what a wipe takes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pinnace.base.settings import Settings
from pinnace.daemon.folders import (
    STATE_FOLDERS,
    prepare_folders,
    recall_settings,
    remember_settings,
    remove_run,
    remove_state,
)
from pinnace.daemon.lock import InstanceLock


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(name="x", home=str(tmp_path / "home"), run=str(tmp_path / "run"))


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_others_may_pass_to_the_socket_and_the_kubeconfig_and_look_at_nothing_else(
    settings: Settings,
) -> None:
    before = os.umask(0o077)
    try:
        prepare_folders(settings)
    finally:
        os.umask(before)
    assert (mode(settings.home_path), mode(settings.run_path)) == (0o711, 0o711)
    assert {mode(settings.home_path / name) for name in STATE_FOLDERS} == {0o700}


def test_a_folder_that_somebody_made_for_us_keeps_its_mode(settings: Settings) -> None:
    settings.home_path.mkdir(mode=0o750)
    prepare_folders(settings)
    assert mode(settings.home_path) == 0o750


def test_what_an_instance_was_started_with_counts_when_it_is_ended(settings: Settings) -> None:
    prepare_folders(settings)
    assert recall_settings(settings) == settings
    started = Settings(name="x", home="/elsewhere", run=settings.run, pod_range="10.9.0.0/20")
    remember_settings(started)
    assert recall_settings(settings) == started
    (settings.run_path / "settings.json").write_text('{"home": "/elsewhere", "a field of tomorrow": 1}')
    assert recall_settings(settings).home == "/elsewhere"
    (settings.run_path / "settings.json").write_text("half a docum")
    assert recall_settings(settings) == settings


def test_a_wipe_takes_what_is_ours_and_keeps_what_else_lies_there(settings: Settings) -> None:
    prepare_folders(settings)
    (settings.home_path / "state.db").touch()
    (settings.home_path / "node" / "u" / "volumes").mkdir(parents=True)
    thesis = settings.home_path / "thesis.tex"
    thesis.touch()
    assert not remove_state(settings.home_path)
    assert list(settings.home_path.iterdir()) == [thesis]
    thesis.unlink()
    assert remove_state(settings.home_path)
    assert not settings.home_path.exists()


def test_the_run_dir_goes_with_the_lock_as_the_last_thing(settings: Settings) -> None:
    prepare_folders(settings)
    lock = InstanceLock(settings.run_path / "pinnace.pid")
    assert lock.try_acquire() is None
    (settings.run_path / "exits").mkdir()
    (settings.run_path / "daemon.log").touch()
    remove_run(settings.run_path, lock)
    assert not lock.held
    assert not settings.run_path.exists()
