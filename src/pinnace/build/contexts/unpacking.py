"""Unpacks a context's tar into a folder, with the image store's reader. Runs in the worker process.

Invariant: no name or link in the archive leads out of the folder; nothing in it is taken for a deleted file.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable

import msgspec

from pinnace.base.errors import UserError
from pinnace.build.archives import Members
from pinnace.image.streams import Inflow
from pinnace.image.tar_format import TarError
from pinnace.image.tree import Tree
from pinnace.image.unpack import Limits, unpack

Report = Callable[[str, int, int], None]  # what, entries, bytes


class UnpackContextJob(msgspec.Struct, frozen=True, kw_only=True):
    """Unpack the archive at `source` (a file or a pipe) into the empty folder `target`."""

    source: str
    target: str


class UnpackedContext(msgspec.Struct, frozen=True, kw_only=True):
    """What was unpacked. Units: bytes."""

    entries: int
    size: int


def unpack_context(job: UnpackContextJob, report: Report) -> UnpackedContext:
    """Do an `UnpackContextJob`. Raises: UserError (a bad archive), HostError."""
    os.umask(0)
    with io.FileIO(job.source, "r") as file, Tree(job.target) as tree:
        inflow = Inflow(file)
        try:
            members = Members(inflow, None)
            done = unpack(members, tree, Limits(), lambda entries, size: report("receiving", entries, size))
            inflow.drain()
        except TarError as error:
            raise UserError(
                f"the build context is no tar that can be read: {error.message}", error.hint
            ) from None
        finally:
            inflow.close()
    os.chmod(job.target, 0o755)
    return UnpackedContext(entries=done.entries, size=done.size)
