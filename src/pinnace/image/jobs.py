"""The heavy work, as functions of plain values: what the worker process runs. See `worker` for how they are called.

A job takes its arguments (a struct) and a `report` for progress, and returns a struct. It never names anything in the
store: it fills directories and files that the caller made room for, and the caller gives them their names.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import threading
from collections.abc import Callable

import msgspec

from pinnace.base.errors import HostError, UserError
from pinnace.image.clamp import clamp_times
from pinnace.image.pack import Packed, pack
from pinnace.image.streams import Inflow, Outflow
from pinnace.image.tar_read import TarReader
from pinnace.image.tree import Tree
from pinnace.image.unpack import Limits, unpack
from pinnace.oci.digest import Digest

Report = Callable[[str, int, int], None]  # what, entries, bytes

_libc = ctypes.CDLL(None, use_errno=True)


class TreeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a layer tree. Units: bytes; `size` is of contents, `tar_size` of its own tar."""

    diff_id: Digest
    tar_size: int
    entries: int
    size: int


class UnpackJob(msgspec.Struct, frozen=True, kw_only=True):
    """Unpack the archive at `source` (a file or a pipe) into the empty directory `tree`.

    `parents`: trees of the layers below, top first, to look up directories that the archive does not list.
    `own`: also compute the digest of the tree's own tar. `digests`: of the archive as it came.
    """

    source: str
    tree: str
    parents: tuple[str, ...] = ()
    own: bool = False
    digests: bool = False
    limits: Limits = Limits()


class UnpackResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. `implied` counts directories that the archive does not list."""

    entries: int
    size: int
    implied: int
    compression: str
    tar_digest: Digest | None = None
    tar_size: int = 0
    blob_digest: Digest | None = None
    blob_size: int = 0
    own: TreeFacts | None = None


def unpack_archive(job: UnpackJob, report: Report) -> UnpackResult:
    """Do an `UnpackJob`. Raises: TarError, HostError; the tree is then of no use."""
    os.umask(0)  # the process is ours alone, and modes come from the archive
    with open_archive(job.source) as file, Tree(job.tree, job.parents) as tree:
        inflow = Inflow(file, digest_blob=job.digests, digest_tar=job.digests)
        try:
            done = unpack(
                TarReader(inflow), tree, job.limits, lambda entries, size: report("unpacking", entries, size)
            )
            inflow.drain()
        finally:
            inflow.close()
        own = _seal_and_write_back(job.tree, report) if job.own else None
        return UnpackResult(
            entries=done.entries,
            size=done.size,
            implied=len(tree.implied),
            compression=inflow.compression,
            tar_digest=inflow.tar.digest if inflow.tar else None,
            tar_size=inflow.tar.size if inflow.tar else 0,
            blob_digest=inflow.blob.digest if inflow.blob else None,
            blob_size=inflow.blob.size if inflow.blob else 0,
            own=own,
        )


class SealJob(msgspec.Struct, frozen=True, kw_only=True):
    """Compute the diff id of `tree`; files newer than `newest_s` are given that time before."""

    tree: str
    newest_s: int | None = None


def seal(job: SealJob, report: Report) -> TreeFacts:
    """Do a `SealJob`. Raises: HostError, UserError."""
    if job.newest_s is not None:
        clamp_times(job.tree, job.newest_s)
    outflow = Outflow()
    packed = _pack_into(outflow, job.tree, "digesting", report)
    return TreeFacts(
        diff_id=outflow.tar.digest, tar_size=outflow.tar.size, entries=packed.entries, size=packed.size
    )


class PackJob(msgspec.Struct, frozen=True, kw_only=True):
    """Write the tar of `tree` to the new file `target`, packed with "", "gzip" or "zstd"."""

    tree: str
    target: str
    compression: str = ""
    expected: Digest | None = None


class PackResult(msgspec.Struct, frozen=True, kw_only=True):
    """The blob that was written. Units: bytes."""

    diff_id: Digest
    blob_digest: Digest
    blob_size: int


def pack_tree(job: PackJob, report: Report) -> PackResult:
    """Do a `PackJob`. Raises: HostError when the tree does not have the diff id that it should have."""
    with open(job.target, "wb") as file:
        outflow = Outflow(file.write, compression=job.compression)
        _pack_into(outflow, job.tree, "packing", report)
        file.flush()
        os.fsync(file.fileno())
    if job.expected is not None and outflow.tar.digest != job.expected:
        raise HostError(
            f"the layer {job.expected} was changed on disk: {job.tree} now has the diff id {outflow.tar.digest}",
            hint="remove the images that use it, and build or import them anew",
        )
    assert outflow.blob is not None
    return PackResult(
        diff_id=outflow.tar.digest, blob_digest=outflow.blob.digest, blob_size=outflow.blob.size
    )


class SyncJob(msgspec.Struct, frozen=True, kw_only=True):
    """Write everything that the file system of `path` still holds in memory to the disk."""

    path: str


class Nothing(msgspec.Struct, frozen=True):
    """A result without facts."""


def sync(job: SyncJob, report: Report) -> Nothing:
    """Do a `SyncJob`. Raises: HostError."""
    sync_file_system(job.path)
    return Nothing()


def sync_file_system(path: str) -> None:
    """Call syncfs on the file system of `path`. Raises: HostError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(fd) != 0:
            error = ctypes.get_errno()
            raise HostError(f"{path} can't be written to disk: {os.strerror(error)}", errno=error)
    finally:
        os.close(fd)


def _seal_and_write_back(tree: str, report: Report) -> TreeFacts:
    """Digest a fresh tree while the disk already takes it; whether that went well is asked before the layer counts."""
    writeback = threading.Thread(target=_sync_quietly, args=(tree,), name="writeback", daemon=True)
    writeback.start()
    facts = seal(SealJob(tree=tree), report)
    writeback.join()
    return facts


def _sync_quietly(path: str) -> None:
    with contextlib.suppress(HostError, OSError):
        sync_file_system(path)


def _pack_into(outflow: Outflow, tree: str, what: str, report: Report) -> Packed:
    try:
        packed = pack(tree, outflow.put, lambda entries, size: report(what, entries, size))
    except BaseException:
        outflow.abort()
        raise
    outflow.finish()
    return packed


def open_archive(path: str) -> io.FileIO:
    """Open an archive for reading. Raises: UserError."""
    try:
        return io.FileIO(path, "r")
    except OSError as error:
        raise UserError(f"the archive {path} can't be read: {error.strerror}") from error
