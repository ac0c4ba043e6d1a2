"""When --link makes a layer of its own. Expected values: the Dockerfile reference, COPY --link."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pinnace.build.linking import Standing, is_numeric, look_below
from pinnace.build.steps import Copy, Place
from tests.unit.build.trees import Tree, grow

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="whiteouts and owners need root")


def look(tmp_path: Path, target: str, *trees: Tree, owner: tuple[int, int] = (-1, -1)) -> Standing:
    grown = [grow(tmp_path / str(number), tree) for number, tree in enumerate(trees)]
    step = Copy(place=Place(line=1, text="", stage=""), sources=("f",), target=target, link=True)
    return look_below(grown, step, owner)


def test_usual_folders_and_missing_ones_are_no_obstacle(tmp_path: Path) -> None:
    assert look(tmp_path, "/usr/bin/x", {"usr/bin/y": ""}, {"usr/lib": None}) == Standing()
    assert look(tmp_path / "1", "/", {"usr": None}) == Standing()


def test_folder_with_another_mode_or_owner_is_one(tmp_path: Path) -> None:
    grow(tmp_path / "0", {"tmp/a/x": ""})
    (tmp_path / "0/tmp").chmod(0o1777)
    assert look(tmp_path, "/tmp/x", {}) == Standing(obstacle="/tmp")
    assert look(tmp_path, "/tmp/a/x", {}) == Standing(obstacle="/tmp")
    assert look(tmp_path / "1", "/usr/x", {"usr": None}, owner=(5, 5)) == Standing(obstacle="/usr")


def test_folder_in_the_place_of_the_file_is_one(tmp_path: Path) -> None:
    assert look(tmp_path, "/etc", {"etc": None}) == Standing(obstacle="/etc")
    assert look(tmp_path / "1", "/etc/", {"etc": None}) == Standing()


def test_links_on_the_way_become_folders(tmp_path: Path) -> None:
    assert look(tmp_path, "/bin/sub/x", {"bin": "-> usr/bin"}) == Standing(hidden=("/bin",))


def test_what_a_layer_above_deleted_is_not_seen(tmp_path: Path) -> None:
    grow(tmp_path / "0", {"tmp": None})
    (tmp_path / "0/tmp").chmod(0o1777)
    grow(tmp_path / "1", {})
    os.mknod(tmp_path / "1/tmp", 0o020000, os.makedev(0, 0))
    assert look(tmp_path, "/tmp/x", {}, {}) == Standing()


@pytest.mark.parametrize(("chown", "expected"), [("", True), ("1", True), ("1:2", True), ("app", False), ("1:app", False), (":1", False)])  # fmt: skip
def test_owner_without_names_needs_no_files(chown: str, expected: bool) -> None:
    assert is_numeric(chown) is expected
