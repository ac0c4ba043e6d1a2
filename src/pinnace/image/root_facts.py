"""What the root directory of a stack of layers looks like: as the topmost layer says that has a word on it.

A layer's own root always exists on disk; whether the layer means it is a mark on it, or that it is not what every root is.
Called by `rootfs` (what a container sees), `unpack`, `pack` and `jobs` (what a layer's archive says).
Invariant: the mark is seen by nobody but us: it is of no kind that archives carry.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from typing import NamedTuple

MARK = "trusted.pinnace.root"


class RootFacts(NamedTuple):
    """Mode and owner of a root."""

    mode: int = 0o755
    uid: int = 0
    gid: int = 0


USUAL = RootFacts()


def read_root(tree: str | bytes | os.PathLike[str] | int) -> RootFacts:
    """Return what a tree's own root looks like. Raises: OSError."""
    state = os.stat(tree)
    return RootFacts(stat.S_IMODE(state.st_mode), state.st_uid, state.st_gid)


def means_root(tree: str | bytes | os.PathLike[str] | int) -> bool:
    """Say whether a layer says what the root looks like."""
    if read_root(tree) != USUAL:
        return True
    try:
        os.getxattr(tree, MARK)
    except OSError:
        return False
    return True


def mark_root(tree: str | bytes | os.PathLike[str] | int) -> None:
    """Note that a layer says what the root looks like. A file system without such attributes forgets only the usual look."""
    with contextlib.suppress(OSError):
        os.setxattr(tree, MARK, b"y")


def root_of(trees: Iterable[str]) -> RootFacts:
    """Return what the root of a stack looks like; `trees` stand top first. Raises: OSError."""
    for tree in trees:
        if os.path.isdir(tree) and means_root(tree):
            return read_root(tree)
    return USUAL
