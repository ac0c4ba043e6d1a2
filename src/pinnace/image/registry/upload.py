"""Sends a blob to a registry, or finds that it need not: a job of the worker process.

A layer without an archive is packed while it is sent; its digest is known at the end of that.
Invariant: `Sent.blob` is in the repository when the job returns; None means that there was nothing to send it from.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from urllib.parse import quote, urlencode

import msgspec

from pinnace.base.errors import HostError, PinnaceError, UserError
from pinnace.image.recipe import pack_layer
from pinnace.image.registry.challenge import Token
from pinnace.image.registry.client import Access, Client, Report, body_of
from pinnace.image.registry.connection import Body
from pinnace.image.registry.endpoints import Endpoint
from pinnace.image.registry.refusals import Trouble
from pinnace.image.streams import Digester, Outflow
from pinnace.oci.digest import Digest, digest_of
from pinnace.oci.manifest import Descriptor
from pinnace.oci.media_types import OCI_LAYER_OF_COMPRESSION

PIECE_BYTES = 1 << 20
QUEUED_PIECES = 4
WAIT_S = 0.2
OCTETS = {"Content-Type": "application/octet-stream"}


class SendJob(msgspec.Struct, frozen=True, kw_only=True):
    """Have the repository hold a blob: `blob` if it is known already, sent from `data`, `file`, or `tree`.

    A tree is packed with `compression`, and must have the diff id `expected`.
    """

    access: Access
    blob: Descriptor | None = None
    data: bytes = b""
    file: str = ""
    tree: str = ""
    expected: Digest | None = None
    compression: str = "gzip"


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """Where the blob is now, and how it came there: "exists", "mounted" or "pushed". Units: bytes that travelled."""

    blob: Descriptor | None
    how: str
    sent: int
    endpoint: Endpoint
    tokens: tuple[Token, ...]


def send_blob(job: SendJob, report: Report) -> Sent:
    """Do a `SendJob`. Raises: ApiError, UserError, HostError."""
    with Client(job.access, report) as client:
        return client.anywhere(lambda: _send(client, job, report))


def _send(client: Client, job: SendJob, report: Report) -> Sent:
    place = ""
    if job.blob is not None:
        blob = job.blob
        if client.patiently(lambda: _is_there(client, job, blob)):
            return _sent(client, blob, "exists", 0)
        for source in job.access.mounts:
            place = client.patiently(lambda source=source: _mount(client, job, blob, source))  # type: ignore[misc]
            if not place:
                return _sent(client, blob, "mounted", 0)
    if not (job.data or job.file or job.tree):
        return _sent(client, None, "missing", 0)
    upload = _Upload(client, job, place, report)
    found = client.patiently(upload.run)
    return _sent(client, found, "pushed", found.size)


def _sent(client: Client, blob: Descriptor | None, how: str, sent: int) -> Sent:
    return Sent(blob=blob, how=how, sent=sent, endpoint=client.endpoint, tokens=client.tokens)


def _is_there(client: Client, job: SendJob, blob: Descriptor) -> bool:
    answer = client.ask("HEAD", f"blobs/{blob.digest}", what=_what(job, blob), ok=(200, 404))
    answer.finish()
    return answer.status == 200


def _mount(client: Client, job: SendJob, blob: Descriptor, source: str) -> str:
    """Ask for a blob of another repository; return "" when that was done, else where to send it instead."""
    query = urlencode({"mount": blob.digest, "from": source})
    answer = client.ask("POST", f"blobs/uploads/?{query}", what=_what(job, blob), ok=(201, 202))
    answer.finish()
    return "" if answer.status == 201 else client.locate(answer)


class _Upload:
    """The tries to send one blob; the first one goes to a place that a refused mount may have opened."""

    def __init__(self, client: Client, job: SendJob, place: str, report: Report) -> None:
        self._client = client
        self._job = job
        self._place = place
        self._report = report

    def run(self) -> Descriptor:
        place, self._place = self._place or self._begin(), ""
        if self._job.blob is not None and (self._job.data or self._job.file):
            return self._whole(place, self._job.blob)
        return self._packing(place)

    def _begin(self) -> str:
        answer = self._client.ask("POST", "blobs/uploads/", what=_what(self._job), ok=(202,))
        answer.finish()
        return self._client.locate(answer)

    def _whole(self, place: str, blob: Descriptor) -> Descriptor:
        body: Body = body_of(self._job.data) if self._job.data else _File(self._job.file, blob, self._report)
        answer = self._client.ask(
            "PUT",
            _with_digest(place, blob.digest),
            what=_what(self._job),
            ok=(201, 204),
            headers=OCTETS,
            body=body,
        )
        answer.finish()
        return blob

    def _packing(self, place: str) -> Descriptor:
        body = _Tree(self._job, self._report)
        answer = self._client.ask(
            "PATCH", place, what=_what(self._job), ok=(202, 204), headers=OCTETS, body=body
        )
        answer.finish()
        blob = body.blob()
        place = self._client.locate(answer)
        answer = self._client.ask(
            "PUT", _with_digest(place, blob.digest), what=_what(self._job), ok=(201, 204), headers=OCTETS
        )
        answer.finish()
        return blob


def _with_digest(place: str, digest: Digest) -> str:
    return f"{place}{'&' if '?' in place else '?'}digest={quote(digest, safe='')}"


def _what(job: SendJob, blob: Descriptor | None = None) -> str:
    name = (blob or job.blob or Descriptor(media_type="", digest=job.expected or Digest("?"), size=0)).digest
    return f"blob {name} of {job.access.name}"


class _File:
    """A blob of the store."""

    def __init__(self, path: str, blob: Descriptor, report: Report) -> None:
        self.size: int | None = blob.size
        self._path = path
        self._blob = blob
        self._report = report

    def pieces(self) -> Iterator[bytes]:
        digester = Digester()
        try:
            with open(self._path, "rb", buffering=0) as file:
                while piece := file.read(PIECE_BYTES):
                    digester.update(piece)
                    if digester.size > self._blob.size:
                        break
                    yield piece
                    self._report("pushing", 0, digester.size)
        except OSError as error:
            raise HostError(f"the blob {self._path} can't be read: {error}", errno=error.errno) from error
        if (digester.digest, digester.size) != (self._blob.digest, self._blob.size):
            raise HostError(
                f"the blob {self._blob.digest} is damaged: {self._path} holds something else",
                hint="remove the images that use it (pinnace rmi), and import, build or pull them anew",
            )


class _Tree:
    """The archive of a layer's tree, packed as it is read; its size is known at the end only."""

    size: int | None = None

    def __init__(self, job: SendJob, report: Report) -> None:
        self._job = job
        self._report = report
        self._outflow: Outflow | None = None

    def pieces(self) -> Iterable[bytes]:
        packed: queue.Queue[bytes | None] = queue.Queue(QUEUED_PIECES)
        stopped = threading.Event()
        failed: list[BaseException] = []

        def put(piece: bytes | None) -> None:
            while not stopped.is_set():
                try:
                    packed.put(piece, timeout=WAIT_S)
                    return
                except queue.Full:
                    continue
            raise _Stopped

        outflow = self._outflow = Outflow(put, compression=self._job.compression)

        def run() -> None:
            try:
                pack_layer(self._job.tree, outflow.put)
                outflow.finish()
            except BaseException as error:  # noqa: BLE001 (handed to whoever sends)
                failed.append(error)
                outflow.abort()
            try:
                put(None)
            except _Stopped:
                return

        thread = threading.Thread(target=run, name="packing", daemon=True)
        thread.start()
        sent = 0
        try:
            while (piece := packed.get()) is not None:
                sent += len(piece)
                yield piece
                self._report("pushing", 0, outflow.tar.size)
        finally:
            stopped.set()
            thread.join()
        if failed:
            raise failed[0]
        if self._job.expected is not None and outflow.tar.digest != self._job.expected:
            raise HostError(
                f"the layer {self._job.expected} was changed on disk: {self._job.tree} now has the diff id {outflow.tar.digest}",
                hint="remove the images that use it, and build or import them anew",
            )

    def blob(self) -> Descriptor:
        """Return what was sent."""
        assert self._outflow is not None and self._outflow.blob is not None
        digester = self._outflow.blob
        media_type = OCI_LAYER_OF_COMPRESSION[self._job.compression]
        return Descriptor(media_type=media_type, digest=digester.digest, size=digester.size)


class _Stopped(Exception):
    """Nobody wants the rest."""


class ManifestJob(msgspec.Struct, frozen=True, kw_only=True):
    """Give the repository a manifest under `name`; `other` is the same image in Docker's words, for old registries."""

    access: Access
    name: str
    data: bytes
    media_type: str
    other: bytes = b""
    other_type: str = ""


class ManifestSent(msgspec.Struct, frozen=True, kw_only=True):
    """What the registry took."""

    digest: Digest
    data: bytes


def send_manifest(job: ManifestJob, report: Report) -> ManifestSent:
    """Do a `ManifestJob`. Raises: ApiError, UserError, HostError."""
    with Client(job.access, report) as client:
        try:
            return client.anywhere(
                lambda: client.patiently(lambda: _put(client, job, job.data, job.media_type))
            )
        except PinnaceError as error:
            if not (job.other and isinstance(error, NotTaken)):
                raise
        return client.anywhere(lambda: client.patiently(lambda: _put(client, job, job.other, job.other_type)))


class NotTaken(UserError):
    """The registry does not take this kind of manifest."""


def _put(client: Client, job: ManifestJob, data: bytes, media_type: str) -> ManifestSent:
    what = f"manifest for {job.access.name}:{job.name}"
    try:
        answer = client.ask(
            "PUT",
            f"manifests/{job.name}",
            what=what,
            ok=(200, 201, 202),
            headers={"Content-Type": media_type},
            body=body_of(data),
        )
    except Trouble as trouble:
        if trouble.status in (400, 415):
            raise NotTaken(trouble.error.message) from trouble
        raise
    answer.finish()
    said = answer.headers.get("Docker-Content-Digest", "")
    digest = digest_of(data)
    if said.startswith("sha256:") and said != digest:
        raise UserError(f"{what} was sent as {digest}, but the registry calls it {said}")
    return ManifestSent(digest=digest, data=data)
