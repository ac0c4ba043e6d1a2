"""The heavy work, as functions of plain values: what the worker process runs. See `worker` for how they are called.

A job takes its arguments (a struct) and a `report` for progress, and returns a struct. It never names anything in the
store: it fills directories and files that the caller made room for, and the caller gives them their names.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable

import msgspec

from pinnace.base.errors import HostError, UserError
from pinnace.image.clamp import clamp_times
from pinnace.image.pack import Packed, Progress, pack
from pinnace.image.recipe import RecipeWriter, pack_layer
from pinnace.image.root_facts import mark_root, read_root, root_of
from pinnace.image.streams import ArchiveFile, Inflow, Outflow
from pinnace.image.tar_read import TarReader
from pinnace.image.tree import Tree
from pinnace.image.unpack import Limits, unpack
from pinnace.oci.digest import Digest

Report = Callable[[str, int, int], None]  # what, entries, bytes
Packer = Callable[[str, Callable[[bytes], None], Progress], Packed]

_libc = ctypes.CDLL(None, use_errno=True)


class TreeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a layer tree. Units: bytes; `size` is of contents, `tar_size` of its own tar."""

    diff_id: Digest
    tar_size: int
    entries: int
    size: int


class UnpackJob(msgspec.Struct, frozen=True, kw_only=True):
    """Unpack the archive at `source` (a file or a pipe) into the empty directory `tree`.

    `offset`, `size`: where in the file it stands; without a size it is all of it.
    `parents`: trees of the layers below, top first, to look up directories that the archive does not list.
    `recipe`: a new file that will say how the archive is made of the tree. Units: bytes.
    """

    source: str
    tree: str
    offset: int = 0
    size: int | None = None
    parents: tuple[str, ...] = ()
    recipe: str = ""
    digests: bool = False
    limits: Limits = Limits()


class UnpackResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. `implied` counts directories that the archive does not list.

    `cooks`: the recipe that was asked for holds; otherwise (a name stands twice in the archive) there is none.
    """

    entries: int
    size: int
    implied: int
    compression: str
    tar_digest: Digest | None = None
    tar_size: int = 0
    blob_digest: Digest | None = None
    blob_size: int = 0
    cooks: bool = False


def unpack_archive(job: UnpackJob, report: Report) -> UnpackResult:
    """Do an `UnpackJob`. Raises: TarError, HostError; the tree is then of no use."""
    os.umask(0)  # the process is ours alone, and modes come from the archive
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open_archive(job.source, job.offset, job.size))
        tree = stack.enter_context(Tree(job.tree, job.parents))
        recipe = None
        if job.recipe:
            recipe = RecipeWriter(stack.enter_context(open(job.recipe, "xb")))
        inflow = Inflow(file, digest_blob=job.digests, digest_tar=job.digests)
        stack.callback(inflow.close)
        reader = TarReader(inflow, tape=recipe.raw if recipe else None)
        done = unpack(
            reader, tree, job.limits, lambda entries, size: report("unpacking", entries, size), recipe
        )
        reader.drain()
        inflow.drain()
        if recipe is not None:
            recipe.close()
        return UnpackResult(
            entries=done.entries,
            size=done.size,
            implied=len(tree.implied),
            compression=inflow.compression,
            tar_digest=inflow.tar.digest if inflow.tar else None,
            tar_size=inflow.tar.size if inflow.tar else 0,
            blob_digest=inflow.blob.digest if inflow.blob else None,
            blob_size=inflow.blob.size if inflow.blob else 0,
            cooks=recipe is not None and not recipe.spoiled,
        )


class SealJob(msgspec.Struct, frozen=True, kw_only=True):
    """Compute the diff id of `tree`; files newer than `newest_s` are given that time before.

    `below`: the trees of the layers below, top first, if they are known: a root that looks otherwise there is a change, and
    counts as an entry.
    """

    tree: str
    newest_s: int | None = None
    below: tuple[str, ...] | None = None


def seal(job: SealJob, report: Report) -> TreeFacts:
    """Do a `SealJob`. Raises: HostError, UserError."""
    if job.newest_s is not None:
        clamp_times(job.tree, job.newest_s)
    changes_root = job.below is not None and read_root(job.tree) != root_of(job.below)
    if changes_root:
        mark_root(job.tree)
    outflow = Outflow()
    packed = _pack_into(outflow, job.tree, "digesting", report, pack)
    return TreeFacts(
        diff_id=outflow.tar.digest,
        tar_size=outflow.tar.size,
        entries=packed.entries + changes_root,
        size=packed.size,
    )


class PackJob(msgspec.Struct, frozen=True, kw_only=True):
    """Write the tar of the layer `tree` to the new file `target`, packed with "", "gzip" or "zstd"."""

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
        _pack_into(outflow, job.tree, "packing", report, pack_layer)
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


def _pack_into(outflow: Outflow, tree: str, what: str, report: Report, packer: Packer) -> Packed:
    try:
        packed = packer(tree, outflow.put, lambda entries, size: report(what, entries, size))
    except BaseException:
        outflow.abort()
        raise
    outflow.finish()
    return packed


def open_archive(path: str, offset: int = 0, size: int | None = None) -> ArchiveFile:
    """Open an archive, or a part of a file, for reading. Raises: UserError."""
    try:
        return ArchiveFile(path, offset, size)
    except OSError as error:
        raise UserError(f"the archive {path} can't be read: {error.strerror}") from error
