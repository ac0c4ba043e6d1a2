"""Which files are gone through. Expected values: the rules applied to every path of the tree, without any shortcut."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace.build.selection import find_with_parents
from pinnace.build.walk import walk
from pinnace.dockerfile.ignore import IgnoreRules, parse_excludes, parse_ignore
from tests.unit.build.trees import Tree, grow

NAMES = st.sampled_from(["a", "b", "c.go", "d.txt"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PARTS = st.sampled_from(["a", "b", "*", "*.go", "**", "?", "c.go", "[ab]"])
PATTERNS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
LINES = st.lists(
    st.tuples(st.booleans(), PATTERNS).map(lambda one: ("!" if one[0] else "") + one[1]), max_size=4
)


def tree_of(paths: list[str]) -> Tree:
    """Return files at these paths, but for those that are folders of others."""
    return (
        {path: "" for path in paths if not any(other.startswith(f"{path}/") for other in paths)}
        if paths
        else {}
    )


def all_paths(root: Path) -> list[str]:
    return [
        os.path.relpath(os.path.join(folder, name), root)
        for folder, folders, files in os.walk(root)
        for name in (*folders, *files)
    ]


def shown(root: Path, rules: tuple[IgnoreRules, ...]) -> set[str]:
    """Return what none of the rules hides, with the folders above it."""
    seen = {path for path in all_paths(root) if all(one.hidden_by(path) is None for one in rules)}
    return seen | {
        "/".join(path.split("/")[:count]) for path in seen for count in range(1, path.count("/") + 1)
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(PATHS, max_size=8, unique=True), LINES, LINES)
def test_walk_shows_what_the_rules_leave_and_the_folders_above(
    tmp_path_factory: pytest.TempPathFactory, paths: list[str], ignore: list[str], exclude: list[str]
) -> None:
    root = grow(tmp_path_factory.mktemp("tree"), tree_of(paths))
    rules, excludes = parse_ignore("\n".join(ignore)), parse_excludes(exclude)
    assert {item.name for item in walk(str(root), "", rules, excludes)} == shown(root, (rules, excludes))


@settings(max_examples=60, deadline=None)
@given(st.lists(PATHS, max_size=8, unique=True), PATTERNS)
def test_parents_take_what_matches_with_all_below_and_the_folders_above(
    tmp_path_factory: pytest.TempPathFactory, paths: list[str], pattern: str
) -> None:
    root = grow(tmp_path_factory.mktemp("tree"), tree_of(paths))
    found = find_with_parents(str(root), pattern, IgnoreRules(), IgnoreRules())
    got = {item.name for one in found for item in walk(one.real, one.path, one.included())}
    meant = parse_excludes((pattern,))  # "hidden" by the pattern is what it matches, itself or a folder above
    matched = {path for path in all_paths(root) if meant.hidden_by(path) is not None}
    above = {"/".join(path.split("/")[:count]) for path in matched for count in range(1, path.count("/") + 1)}
    assert got == matched | above


@pytest.mark.parametrize(
    "ignore",
    [
        "data",
        "data/",
        "data/**\n!data/keep",
        "*\n!src",
        "**/data\n!src/x",
        "data\n!src/**/data.txt",
        "d*\n!src",
    ],
)
def test_hidden_folder_is_not_entered_unless_something_below_may_be_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ignore: str
) -> None:
    root = grow(tmp_path, {"data/deep/f": "", "src/a": ""})
    entered: list[str] = []
    listdir = os.listdir
    monkeypatch.setattr(
        os, "listdir", lambda path: entered.append(os.path.relpath(path, root)) or listdir(path)
    )
    list(walk(str(root), "", parse_ignore(ignore)))
    assert "data/deep" not in entered
