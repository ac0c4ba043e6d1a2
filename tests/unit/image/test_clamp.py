"""Files of a tree that are made no newer than a time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pinnace.base.errors import HostError
from pinnace.image.clamp import clamp_times


def times(root: Path) -> dict[str, float]:
    found = [root / name for name in ("old", "new", "d", "d/new", "link")]
    return {str(path.relative_to(root)): path.lstat().st_mtime for path in found}


def test_only_what_is_newer_changes_links_are_not_followed_and_folders_keep_theirs(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("")
    os.utime(outside, (9000, 9000))
    root = tmp_path / "root"
    (root / "d").mkdir(parents=True)
    for name, mtime in (("old", 100), ("new", 5000), ("d/new", 5000.5)):
        (root / name).write_text("x")
        os.utime(root / name, (7, mtime))
    (root / "link").symlink_to(outside)
    os.utime(root / "d", (7, 50))
    assert clamp_times(str(root), 1000) == 3
    assert times(root) == {"old": 100, "new": 1000, "d": 50, "d/new": 1000, "link": 1000}
    assert outside.stat().st_mtime == 9000
    assert (root / "new").stat().st_atime == 7
    assert clamp_times(str(root), 1000) == 0


def test_tree_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="gone"):
        clamp_times(str(tmp_path / "gone"), 1)
