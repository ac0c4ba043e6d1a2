"""Mount points that a runtime makes stay out of layers; what a command writes stays in."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pinnace.base.errors import UserError
from pinnace.build import stubs
from pinnace.build.stubs import Stub
from tests.unit.build.trees import grow, show


def mount_points(root: Path) -> None:
    """Make what a runtime makes."""
    for name in ("dev", "proc", "sys", "etc"):
        (root / name).mkdir(exist_ok=True)
    for name in ("hosts", "resolv.conf", "hostname"):
        (root / "etc" / name).touch()


def tick() -> None:
    """Let some time go by, as it does before a command begins."""
    time.sleep(0.1)


def test_all_of_them_go_where_there_was_nothing(tmp_path: Path) -> None:
    root = grow(tmp_path / "root", {"bin/sh": ""})
    before = stubs.look(root)
    mount_points(root)
    stubs.clear(root, before)
    assert [line.split()[0] for line in show(root)] == ["bin/", "bin/sh"]


def test_what_was_there_stays_also_when_it_is_empty(tmp_path: Path) -> None:
    root = grow(tmp_path / "root", {"etc/hosts": "", "proc": None, "etc/passwd": "x"})
    before = stubs.look(root)
    mount_points(root)
    stubs.clear(root, before)
    assert [line.split()[0] for line in show(root)] == ["etc/", "etc/hosts", "etc/passwd", "proc/"]


def test_what_the_command_wrote_beside_them_stays(tmp_path: Path) -> None:
    root = grow(tmp_path / "root", {})
    before = stubs.look(root)
    mount_points(root)
    (root / "etc/app.conf").write_text("x")
    stubs.clear(root, before)
    assert [line.split()[0] for line in show(root)] == ["etc/", "etc/app.conf"]


def test_folder_in_which_only_stubs_came_and_went_keeps_its_time(tmp_path: Path) -> None:
    root = grow(tmp_path / "root", {"etc/passwd": "x"})
    for path in (root / "etc", root):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    before = stubs.look(root)
    mount_points(root)
    stubs.clear(root, before)
    assert int((root / "etc").stat().st_mtime) == 1_000_000_000


def test_folder_that_the_command_changed_keeps_the_commands_time(tmp_path: Path) -> None:
    root = grow(tmp_path / "root", {"etc/passwd": "x"})
    os.utime(root / "etc", (1_000_000_000, 1_000_000_000))
    before = stubs.look(root)
    mount_points(root)
    tick()
    (root / "etc/new").touch()
    stubs.clear(root, before)
    assert (root / "etc").stat().st_mtime > 1_000_000_000


def test_points_are_made_for_every_mount(tmp_path: Path) -> None:
    points = [
        stubs.Stub("/opt/cache/pip"),
        stubs.Stub("/etc/app/token", is_file=True, mode=0o644),
        stubs.Stub("/new/tmp", mode=0o1777),
        stubs.Stub("/etc/app/token/below"),  # can't be: the runtime says so
    ]
    stubs.make(tmp_path / "points", points)
    found = {line.split()[0] for line in show(tmp_path / "points")}
    assert found == {
        *("dev/", "etc/", "etc/hosts", "etc/hostname", "etc/resolv.conf", "proc/", "sys/"),
        *("opt/", "opt/cache/", "opt/cache/pip/", "etc/app/", "etc/app/token", "new/", "new/tmp/"),
    }
    assert (tmp_path / "points/new/tmp").stat().st_mode & 0o7777 == 0o1777


def test_point_behind_a_link_goes_with_its_empty_folders(tmp_path: Path) -> None:
    root = grow(tmp_path / "root", {"usr/x": ""})
    (root / "opt").symlink_to("/usr/opt")
    point = stubs.Stub("/opt/a/b")
    before = stubs.look(root, [point])
    (root / "usr/opt/a/b").mkdir(parents=True)
    stubs.clear(root, before)
    assert not (root / "usr/opt").exists()
    before = stubs.look(root, [point])
    (root / "usr/opt/a/b").mkdir(parents=True)
    (root / "usr/opt/a/own").touch()
    stubs.clear(root, before)
    assert [path.name for path in (root / "usr/opt/a").iterdir()] == ["own"]


@pytest.mark.parametrize(
    ("stub", "message"),
    [
        (Stub("/etc/passwd"), "a folder can't be mounted at /etc/passwd: /etc/passwd is a file in the image"),
        (
            Stub("/etc/passwd/x"),
            "something can't be mounted at /etc/passwd/x: /etc/passwd is a file in the image",
        ),
        (Stub("/etc", is_file=True), "a file can't be mounted at /etc: /etc is a folder in the image"),
        (Stub("/link/x"), "something can't be mounted at /link/x: /etc/passwd is a file in the image"),
    ],
)
def test_mount_over_something_of_another_kind_is_refused(tmp_path: Path, stub: Stub, message: str) -> None:
    root = grow(tmp_path / "root", {"etc/passwd": "x"})
    (root / "link").symlink_to("/etc/passwd")
    with pytest.raises(UserError) as caught:
        stubs.check(root, [stub])
    assert caught.value.message == message


def test_mount_that_fits_is_fine(tmp_path: Path) -> None:
    root = grow(tmp_path / "root", {"etc/passwd": "x"})
    (root / "loop").symlink_to("loop")
    fine = [Stub("/etc"), Stub("/etc/passwd", is_file=True), Stub("/a/b"), Stub("/dev/x"), Stub("/loop/x")]
    stubs.check(root, [*fine, Stub("/etc/passwd/x")])  # the last lies in another mount
