"""Reading whole trees for somebody else: a container's root as a tar, and what trees weigh. Jobs of the worker process."""

from __future__ import annotations

import contextlib
import os

import msgspec

from pinnace.image.jobs import Report
from pinnace.image.pack import pack
from pinnace.image.streams import Outflow, write_all


class ExportJob(msgspec.Struct, frozen=True, kw_only=True):
    """Write the tar of the mounted root `tree` to `target`, a file or a pipe."""

    tree: str
    target: str


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What was written. Units: bytes."""

    entries: int
    size: int


def export_tree(job: ExportJob, report: Report) -> Exported:
    """Do an `ExportJob`. What vanishes or shrinks meanwhile (a container may run) is left out or filled up with zeros."""
    with open(job.target, "wb", buffering=0) as file:
        outflow = Outflow(lambda data: write_all(file.fileno(), data), digest_blob=False)
        try:
            packed = pack(
                job.tree,
                outflow.put,
                lambda entries, size: report("exporting", entries, size),
                live=True,
            )
        except BaseException:
            outflow.abort()
            raise
        outflow.finish()
    return Exported(entries=packed.entries, size=outflow.tar.size)


class MeasureJob(msgspec.Struct, frozen=True, kw_only=True):
    """Say what the files below each of `paths` weigh."""

    paths: tuple[str, ...]


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Units: bytes of contents, in the order of the paths; a file with several names counts once, a missing path 0."""

    sizes: tuple[int, ...]


def measure_trees(job: MeasureJob, report: Report) -> Measured:
    """Do a `MeasureJob`. Never fails: what can't be read weighs nothing."""
    return Measured(sizes=tuple(_measure(path) for path in job.paths))


def _measure(path: str) -> int:
    size, seen, todo = 0, set(), [path]
    while todo:
        with contextlib.suppress(OSError), os.scandir(todo.pop()) as found:
            for item in found:
                if item.is_dir(follow_symlinks=False):
                    todo.append(item.path)
                elif item.is_file(follow_symlinks=False):
                    state = item.stat(follow_symlinks=False)
                    if state.st_nlink > 1:
                        if (state.st_dev, state.st_ino) in seen:
                            continue
                        seen.add((state.st_dev, state.st_ino))
                    size += state.st_size
    return size
