"""A short list of what a COPY took, so that a later build can say which files changed. Pure.

Invariant: at most `ENTRIES_MAX` entries, however many files there are: then folders stand for what is in them.
Two lists of the same files, in any order, are equal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

ENTRIES_MAX = 2000
DEPTHS = (4, 3, 2, 1, 0)


class Listing(msgspec.Struct, frozen=True, array_like=True):
    """Marks by path; each stands for a file's name, mode and contents, or for all below a folder (paths of `depth` parts)."""

    marks: dict[str, int] = {}
    depth: int = -1


class ListingMaker:
    """Makes a `Listing` of one file after the other."""

    def __init__(self) -> None:
        self._marks: dict[str, int] = {}
        self._depth = -1

    def add(self, path: str, *facts: str) -> None:
        """Take in a file: its path, and all that makes it what it is."""
        data = "\0".join((path, *facts)).encode(errors="surrogateescape")
        mark = int.from_bytes(hashlib.blake2b(data, digest_size=7).digest())
        self._put(path if path.isprintable() else repr(path), mark)
        while len(self._marks) > ENTRIES_MAX:
            self._fold()

    def _put(self, path: str, mark: int) -> None:
        name = path if self._depth < 0 else "/".join(path.split("/")[: self._depth])
        self._marks[name] = self._marks.get(name, 0) ^ mark

    def _fold(self) -> None:
        """Let folders stand for what is in them, one level higher than before."""
        self._depth = DEPTHS[0] if self._depth < 0 else self._depth - 1
        before, self._marks = self._marks, {}
        for path, mark in before.items():
            self._put(path, mark)

    def finish(self) -> Listing:
        return Listing(self._marks, self._depth)


def compare_listings(before: Listing, now: Listing) -> Mapping[str, list[str]]:
    """Return the paths that are "changed", "added" and "removed", sorted.

    Two lists of different depth are compared at the higher one; a name that ends with "/…" stands for what is below it.
    """
    depths = [depth for depth in (before.depth, now.depth) if depth >= 0]
    depth = min(depths) if depths else -1
    old, new = _at_depth(before, depth), _at_depth(now, depth)
    return {
        "changed": sorted(_name(path, depth) for path in old.keys() & new.keys() if old[path] != new[path]),
        "added": sorted(_name(path, depth) for path in new.keys() - old.keys()),
        "removed": sorted(_name(path, depth) for path in old.keys() - new.keys()),
    }


def _at_depth(listing: Listing, depth: int) -> dict[str, int]:
    if depth < 0 or listing.depth == depth:
        return listing.marks
    folded: dict[str, int] = {}
    for path, mark in listing.marks.items():
        name = "/".join(path.split("/")[:depth])
        folded[name] = folded.get(name, 0) ^ mark
    return folded


def _name(path: str, depth: int) -> str:
    if depth < 0 or path.count("/") + 1 < depth:
        return path or "."
    return f"{path}/…" if path else "…"
