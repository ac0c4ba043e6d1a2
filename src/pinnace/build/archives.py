"""Unpacks local archives for ADD, with the image store's own reader, which no name or link leads out of its folder.

Runs in the worker process. Source: Dockerfile reference, ADD: a local tar, packed with gzip, bzip2, xz or zstd or not at
all, is recognized by its contents, not by its name.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

from pinnace.base.errors import PinnaceError, UserError
from pinnace.image import whiteouts
from pinnace.image.streams import Inflow
from pinnace.image.tar_format import Entry, show
from pinnace.image.tar_read import Chunks, TarReader
from pinnace.image.tree import Tree
from pinnace.image.unpack import Limits, Progress, Unpacked, unpack


def is_archive(path: str) -> bool:
    """Say whether a file is a tar: whether its first header can be read."""
    with io.FileIO(path, "r") as file:
        inflow = Inflow(file)
        try:
            return next(iter(TarReader(inflow)), None) is not None
        except PinnaceError:
            return False
        finally:
            inflow.close()


def unpack_archive(path: str, target: str, owner: tuple[int, int] | None, progress: Progress) -> Unpacked:
    """Unpack into the folder `target`; `owner` replaces the archive's. Raises: TarError (a bad archive), HostError."""
    with io.FileIO(path, "r") as file, Tree(target) as tree:
        inflow = Inflow(file)
        try:
            return unpack(Members(inflow, owner), tree, Limits(), progress)
        finally:
            inflow.close()


class Members(TarReader):
    """The entries of an archive that is no layer: names that would delete something there are refused."""

    def __init__(self, chunks: Chunks, owner: tuple[int, int] | None) -> None:
        super().__init__(chunks)
        self._owner = owner

    def __iter__(self) -> Iterator[Entry]:
        for entry in super().__iter__():
            if entry.name.rstrip(b"/").rpartition(b"/")[2].startswith(whiteouts.PREFIX):
                raise UserError(
                    f"the archive's entry {show(entry.name)} has a name that means a deleted file in an image",
                    "unpack it with RUN tar, under another name",
                )
            if self._owner is not None:
                entry.uid, entry.gid = self._owner
            yield entry
