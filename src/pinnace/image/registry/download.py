"""A blob on its way from a registry: into a file, digested, and at the same time to whoever unpacks it.

Used by `receive`, in the worker process. Reading goes on in a thread of its own; a break is mended where it happened
(Range), at the same address or another one.
Invariant: `finish` returns only when the file holds exactly the blob; never more than `QUEUED_PIECES` pieces are in memory.
"""

from __future__ import annotations

import os
import queue
import threading
from typing import BinaryIO

from pinnace.base.errors import HostError, UserError
from pinnace.image.registry.client import Client, Report
from pinnace.image.registry.connection import Answer
from pinnace.image.registry.refusals import Trouble
from pinnace.image.streams import Digester
from pinnace.oci.manifest import Descriptor

PIECE_BYTES = 1 << 18
QUEUED_PIECES = 16
WAIT_S = 0.2
WRITE_BACK_BYTES = 64 << 20  # the disk is put to work while the network still is


class Download:
    """The bytes of a blob, for one reader."""

    def __init__(self, client: Client, blob: Descriptor, file: BinaryIO, name: str, report: Report) -> None:
        self._client = client
        self._blob = blob
        self._file = file
        self._name = name
        self._report = report
        self._digester = Digester()
        self._pieces: queue.Queue[bytes] = queue.Queue(QUEUED_PIECES)
        self._ahead = b""
        self._ended = False
        self._unread = threading.Event()  # nobody unpacks any more; only the file matters
        self._stopped = threading.Event()
        self._error: BaseException | None = None
        self._disk = _WriteBack(file.fileno())
        self._thread = threading.Thread(target=self._run, name="download", daemon=True)
        self._thread.start()

    @property
    def size(self) -> int:
        """How many bytes have come."""
        return self._digester.size

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes; empty at the end. Raises: EOFError when the blob did not come whole (see `finish`)."""
        if not self._ahead:
            if self._ended:
                return b""
            self._ahead = self._pieces.get()
            if not self._ahead:
                self._ended = True
                if self._error is not None:
                    raise EOFError
                return b""
        if size < 0 or size >= len(self._ahead):
            data, self._ahead = self._ahead, b""
        else:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
        return data

    def finish(self) -> None:
        """Wait for the rest of the blob, whoever reads it or not. Raises: what went wrong with it."""
        self._unread.set()
        self._thread.join()
        if self._error is not None:
            raise self._error
        self._disk.finish()

    def close(self) -> None:
        """Stop, at whatever point."""
        self._stopped.set()
        self._unread.set()
        while self._thread.is_alive():
            self._client.abort()
            self._thread.join(timeout=WAIT_S)

    def _run(self) -> None:
        try:
            self._client.anywhere(self._from_here)
        except BaseException as error:  # noqa: BLE001 (handed to `finish`)
            self._error = error
        self._put(b"")

    def _from_here(self) -> None:
        """Get what is missing from the client's present address; a blob that turns out to be wrong is no use elsewhere."""
        self._client.patiently(self._go_on, moved=lambda: self._digester.size)
        if self._digester.digest != self._blob.digest:
            raise UserError(
                f"the blob {self._blob.digest} of {self._name} came as {self._digester.digest}",
                hint="the registry is damaged, or somebody between changes what it sends: don't use it",
            )

    def _go_on(self) -> None:
        at = self._digester.size
        if at == self._blob.size or self._stopped.is_set():
            return
        what = f"blob {self._blob.digest} of {self._name}"
        headers = {"Range": f"bytes={at}-"} if at else {}
        ok = (200, 206) if at else (200,)
        try:
            answer = self._client.ask("GET", f"blobs/{self._blob.digest}", what=what, ok=ok, headers=headers)
        except Trouble as trouble:
            if trouble.status == 404 and self._blob.urls:
                trouble.error.hint = "it is a foreign layer, which the registry does not hold; other places are not asked for layers"
            raise
        skip = self._check_head(answer, at, what)
        while data := answer.read(PIECE_BYTES):
            if self._stopped.is_set():
                answer.close()
                return
            if skip:
                cut = min(skip, len(data))
                data, skip = data[cut:], skip - cut
            if data:
                self._take(data, answer, what)
        if self._digester.size < self._blob.size:
            missing = self._blob.size - self._digester.size
            raise Trouble(
                UserError(f"{what} ends {missing} bytes before the {self._blob.size} that it should have"),
                again=True,
            )

    def _check_head(self, answer: Answer, at: int, what: str) -> int:
        """Return how many bytes of the answer we have already. Raises: Trouble when it can't be our blob."""
        whole = answer.status == 200
        if not whole and not answer.headers.get("Content-Range", "").startswith(f"bytes {at}-"):
            said = answer.headers.get("Content-Range", "")
            answer.close()
            raise Trouble(UserError(f"{what} goes on with {said!r} instead of byte {at}"))
        expected = self._blob.size if whole else self._blob.size - at
        if answer.length is not None and answer.length != expected:
            answer.close()
            raise Trouble(
                UserError(f"{what} has {answer.length} bytes, but the manifest says {expected}"), again=whole
            )
        return at if whole else 0

    def _take(self, data: bytes, answer: Answer, what: str) -> None:
        if self._digester.size + len(data) > self._blob.size:
            answer.close()
            raise UserError(f"{what} has more than the {self._blob.size} bytes that its manifest says")
        try:
            self._file.write(data)
        except OSError as error:
            raise HostError(f"{what} can't be written: {error.strerror}", errno=error.errno) from error
        self._digester.update(data)
        self._disk.wrote(len(data))
        self._put(data)
        self._report("downloading", 0, self._digester.size)

    def _put(self, data: bytes) -> None:
        while not self._unread.is_set():
            try:
                self._pieces.put(data, timeout=WAIT_S)
                return
            except queue.Full:
                continue


class _WriteBack:
    """Has the disk take a growing file while it grows, so that little is left to wait for at its end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._new = 0
        self._thread: threading.Thread | None = None

    def wrote(self, size: int) -> None:
        self._new += size
        if self._new >= WRITE_BACK_BYTES and (self._thread is None or not self._thread.is_alive()):
            self._new = 0
            self._thread = threading.Thread(target=self._sync, name="write-back", daemon=True)
            self._thread.start()

    def finish(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _sync(self) -> None:
        try:
            os.fdatasync(self._fd)
        except OSError:
            return  # whoever gives the blob its name syncs again, and says so
