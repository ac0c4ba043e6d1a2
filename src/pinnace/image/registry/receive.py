"""Downloads a layer and unpacks it while it comes: a job of the worker process.

The tree may be made before the layers below it are there. Directories that the archive doesn't list then wait for their
owner and mode, which they have from below: `settle_tree` gives them.
Invariant: when `receive_layer` returns, blob, size and diff id are those that were asked for.
"""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import msgspec

from pinnace.base.errors import HostError, UserError
from pinnace.image.jobs import Nothing
from pinnace.image.registry.client import Access, Client, Report
from pinnace.image.registry.download import Download
from pinnace.image.streams import Inflow
from pinnace.image.tar_format import TarError
from pinnace.image.tar_read import TarReader
from pinnace.image.tree import Tree
from pinnace.image.unpack import Limits, unpack
from pinnace.oci.digest import Digest
from pinnace.oci.manifest import Descriptor
from pinnace.oci.media_types import compression_of


class ReceiveJob(msgspec.Struct, frozen=True, kw_only=True):
    """Download `blob` into the new file `file` and unpack it into the empty directory `tree`.

    Directories that the archive does not list are written to the file `implied`, parted by NUL.
    """

    access: Access
    blob: Descriptor
    diff_id: Digest
    file: str
    tree: str
    implied: str
    limits: Limits = Limits()


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. `implied` counts the directories that are in that file. Units: bytes."""

    entries: int
    size: int
    implied: int
    tar_size: int
    received: int


class SettleJob(msgspec.Struct, frozen=True, kw_only=True):
    """Give the directories in the file `implied` what they have in `parents`, the trees below, top first."""

    tree: str
    parents: tuple[str, ...]
    implied: str


class _Say:
    """Progress from several threads, one at a time."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._lock = threading.Lock()
        self.downloading = True

    def download(self, what: str, entries: int, size: int) -> None:
        with self._lock:
            self._report(what, entries, size)

    def unpack(self, entries: int, size: int) -> None:
        if not self.downloading:
            with self._lock:
                self._report("extracting", entries, size)


def receive_layer(job: ReceiveJob, report: Report) -> Received:
    """Do a `ReceiveJob`. Raises: ApiError, UserError, HostError; tree and file are then of no use."""
    os.umask(0)  # the process is ours alone, and modes come from the archive
    say = _Say(report)
    compression = compression_of(job.blob.media_type)
    _check_room(job)
    with (
        Client(job.access, say.download) as client,
        open(job.file, "xb", buffering=0) as file,
        Tree(job.tree) as tree,
    ):
        download = Download(client, job.blob, file, job.access.name, say.download)
        try:
            inflow = Inflow(_Ending(download, say), digest_tar=True)
            try:
                done = unpack(TarReader(inflow), tree, job.limits, say.unpack)
                inflow.drain()
            except TarError:
                download.finish()  # if the blob itself is another one, that is what to say
                raise
            finally:
                inflow.close()
            download.finish()
        finally:
            download.close()
        assert inflow.tar is not None
        if inflow.compression not in ("", "gzip", "zstd"):
            raise UserError(f"the layer {job.blob.digest} is packed with {inflow.compression}: refused")
        if inflow.tar.digest != job.diff_id:
            raise UserError(
                f"the layer {job.blob.digest} ({compression or 'not packed'}) unpacks to {inflow.tar.digest}, "
                f"but the image's configuration says {job.diff_id}",
                hint="the image is damaged, or somebody changed it: don't use it",
            )
        _write_implied(job.implied, tree.implied)
        return Received(
            entries=done.entries,
            size=done.size,
            implied=len(tree.implied),
            tar_size=inflow.tar.size,
            received=download.size,
        )


def _check_room(job: ReceiveJob) -> None:
    """Refuse a blob for which there is no room before it travels. Raises: HostError."""
    state = os.statvfs(job.tree)
    if job.blob.size > state.f_bavail * state.f_frsize:
        raise HostError(
            f"no space is left for the blob {job.blob.digest} of {job.access.name} ({job.blob.size} bytes)",
            errno=errno.ENOSPC,
            hint="free some space: pinnace images, then pinnace rmi IMAGE",
        )


class _Ending:
    """Notes when the download has been read to its end: from then on it is unpacking that is told of."""

    def __init__(self, download: Download, say: _Say) -> None:
        self._download = download
        self._say = say

    def read(self, size: int = -1, /) -> bytes:
        data = self._download.read(size)
        if not data:
            self._say.downloading = False
        return data


def _write_implied(file: str, paths: list[bytes]) -> None:
    if paths:
        Path(file).write_bytes(b"\0".join(paths))


def settle_tree(job: SettleJob, report: Report) -> Nothing:
    """Do a `SettleJob`. Raises: HostError."""
    paths = Path(job.implied).read_bytes().split(b"\0")
    with Tree(job.tree, job.parents) as tree:
        for number, path in enumerate(paths):
            report("extracting", number, 0)
            try:
                tree.take_after_parents(path)
            except OSError as error:
                raise HostError(
                    f"{os.fsdecode(path)} in {job.tree} can't be changed: {error.strerror}", errno=error.errno
                ) from error
    return Nothing()
