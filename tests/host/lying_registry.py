"""A registry in a thread that does what a script says: it stalls, cuts, lies about digests, asks for names and patience.

    with lying_registry() as registry:
        image = registry.put_image("team/app", "v1", make_image([tar_of({"a": b"1"})]))
        registry.lie(Lie("GET", "/blobs/", cut_after=1000))              # once
        registry.lie(Lie("HEAD|GET", "/manifests/", status=429, times=2, headers={"Retry-After": "0"}))
        store.pull(registry.reference("team/app:v1"))
        registry.seen                                                    # what was asked, in order

Without a script it is an honest registry that keeps everything in memory, for pulls and for pushes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from pinnace.oci import media_types
from tests.host.registries import HandMade, digest_of

ALWAYS = 1_000_000
PIECE_BYTES = 1 << 16


@dataclass
class Lie:
    """What happens to a request whose method and path (with its query) fit, `times` times. Units: bytes of the body.

    `status` (with `body`, `headers`) answers instead of the truth. `cut_after` closes the connection after so many bytes
    of the body, `stall_after` sends nothing more and keeps it open. `tamper` changes the body's last byte. `length` is the
    Content-Length that is claimed. `ranges=False`: the whole body is sent though a part was asked for. `unless`: a header
    whose presence spares the request.
    """

    method: str
    path: str
    times: int = 1
    status: int = 0
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    stall_after: int | None = None
    tamper: bool = False
    length: int | None = None
    ranges: bool = True
    unless: str = ""


@dataclass(frozen=True)
class Seen:
    """A request that came."""

    method: str
    path: str
    headers: Mapping[str, str]
    size: int = 0


class LyingRegistry:
    """What the registry holds, and its script."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.repositories: dict[str, set[str]] = {}  # which blobs each has
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.types: dict[str, str] = {}
        self.seen: list[Seen] = []
        self.host = ""
        self.closing = threading.Event()
        self._lies: list[Lie] = []
        self._lock = threading.Lock()
        self._uploads: dict[str, bytearray] = {}

    def reference(self, name: str) -> str:
        return f"{self.host}/{name}"

    def put_image(self, repository: str, tag: str, image: HandMade) -> HandMade:
        """Hold an image; return it."""
        self.blobs |= image.blobs
        self.repositories.setdefault(repository, set()).update(image.blobs)
        self.put_manifest(repository, tag, image.manifest)
        return image

    def put_manifest(self, repository: str, tag: str, data: bytes, media_type: str = "") -> str:
        """Hold a manifest or an index under a tag and its digest; return that."""
        digest = digest_of(data)
        with contextlib.suppress(ValueError, AttributeError):
            media_type = media_type or json.loads(data).get("mediaType", "")
        self.types[digest] = media_type or media_types.OCI_MANIFEST
        for name in (tag, digest):
            self.manifests[(repository, name)] = data
        self.repositories.setdefault(repository, set())
        return digest

    def lie(self, *lies: Lie) -> None:
        """Add to the script."""
        self._lies.extend(lies)

    def forget_lies(self) -> None:
        """Be honest again."""
        with self._lock:
            self._lies.clear()

    def asked(self, method: str, path: str) -> list[Seen]:
        """Return the requests that fit."""
        return [one for one in self.seen if one.method == method and re.search(path, one.path)]

    def _next_lie(self, method: str, path: str, headers: Mapping[str, str]) -> Lie | None:
        with self._lock:
            for lie in self._lies:
                fits = re.fullmatch(lie.method, method) and re.search(lie.path, path)
                if fits and lie.times > 0 and not (lie.unless and lie.unless in headers):
                    lie.times -= 1
                    return lie
        return None


@contextlib.contextmanager
def lying_registry(address: str = "127.0.0.1") -> Iterator[LyingRegistry]:
    """Run one, without TLS."""
    registry = LyingRegistry()
    server = _Server((address, 0), type("Handler", (_Handler,), {"registry": registry}))
    registry.host = f"{address}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        registry.closing.set()
        server.shutdown()
        server.close_all()
        server.server_close()  # waits for the threads
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.open: set[socket.socket] = set()

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        self.open.discard(request)
        super().shutdown_request(request)

    def close_all(self) -> None:
        for one in list(self.open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # the client went away in the middle: that is what it should do


class _Handler(BaseHTTPRequestHandler):
    registry: LyingRegistry
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815

    def _serve(self) -> None:
        body = self._read_body()
        headers = dict(self.headers.items())
        with self.registry._lock:
            self.registry.seen.append(Seen(self.command, self.path, headers, len(body)))
        lie = self.registry._next_lie(self.command, self.path, headers)
        if lie is not None and lie.status:
            self._answer(lie.status, lie.body or b"", lie.headers, lie)
            return
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path in ("/v2", "/v2/"):
            self._answer(200, b"{}", {}, lie)
        elif match := re.fullmatch(r"/v2/(.+)/manifests/([^/]+)", path):
            self._manifest(match[1], match[2], body, lie)
        elif match := re.fullmatch(r"/v2/(.+)/blobs/(sha256:[^/]+)", path):
            self._blob(match[1], match[2], lie)
        elif match := re.fullmatch(r"/v2/(.+)/blobs/uploads/(.*)", path):
            self._upload(match[1], match[2], query, body, lie)
        else:
            self._refuse(404, "UNSUPPORTED", "no such page", lie)

    def _manifest(self, repository: str, name: str, body: bytes, lie: Lie | None) -> None:
        held = self.registry
        if self.command == "PUT":
            digest = held.put_manifest(repository, name, body, self.headers.get("Content-Type", ""))
            place = f"/v2/{repository}/manifests/{digest}"
            self._answer(201, b"", {"Docker-Content-Digest": digest, "Location": place}, lie)
            return
        data = held.manifests.get((repository, name))
        if repository not in held.repositories:
            self._refuse(404, "NAME_UNKNOWN", "repository name not known to registry", lie)
        elif data is None:
            self._refuse(404, "MANIFEST_UNKNOWN", "manifest unknown", lie)
        else:
            digest = digest_of(data)
            self._answer(
                200, data, {"Content-Type": held.types[digest], "Docker-Content-Digest": digest}, lie
            )

    def _blob(self, repository: str, digest: str, lie: Lie | None) -> None:
        data = self.registry.blobs.get(digest)
        if data is None or digest not in self.registry.repositories.get(repository, ()):
            self._refuse(404, "BLOB_UNKNOWN", "blob unknown to registry", lie)
            return
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted and (lie is None or lie.ranges):
            start = int(wanted[1])
            said = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
            self._answer(206, data[start:], said, lie)
        else:
            self._answer(200, data, {"Content-Type": "application/octet-stream"}, lie)

    def _upload(
        self, repository: str, session: str, query: dict[str, list[str]], body: bytes, lie: Lie | None
    ) -> None:
        held = self.registry
        if self.command == "POST":
            mount, source = query.get("mount", [""])[0], query.get("from", [""])[0]
            if mount and mount in held.repositories.get(source, ()):
                held.repositories.setdefault(repository, set()).add(mount)
                self._answer(201, b"", {"Docker-Content-Digest": mount}, lie)
                return
            session = hashlib.sha256(f"{repository}{len(held.seen)}".encode()).hexdigest()[:16]
            held._uploads[session] = bytearray()
        if session not in held._uploads:
            self._refuse(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", lie)
            return
        held._uploads[session] += body
        place = f"/v2/{repository}/blobs/uploads/{session}?state=x"
        if self.command != "PUT":
            said = {"Location": place, "Range": f"0-{max(0, len(held._uploads[session]) - 1)}"}
            self._answer(202, b"", said, lie)
            return
        data = bytes(held._uploads.pop(session))
        digest = query.get("digest", [""])[0]
        if digest_of(data) != digest:
            self._refuse(400, "DIGEST_INVALID", "provided digest did not match uploaded content", lie)
            return
        held.blobs[digest] = data
        held.repositories.setdefault(repository, set()).add(digest)
        self._answer(201, b"", {"Docker-Content-Digest": digest}, lie)

    def _refuse(self, status: int, code: str, message: str, lie: Lie | None) -> None:
        body = json.dumps({"errors": [{"code": code, "message": message, "detail": None}]}).encode()
        self._answer(status, body, {"Content-Type": "application/json"}, lie)

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str], lie: Lie | None) -> None:
        self.send_response(status)
        if lie is not None and lie.tamper and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        for name, value in {**headers, **(lie.headers if lie else {})}.items():
            self.send_header(name, value.replace("{host}", self.registry.host))
        length = len(body) if lie is None or lie.length is None else lie.length
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command == "HEAD":
            return
        if lie is not None and lie.cut_after is not None:
            self._send(body[: lie.cut_after])
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
        elif lie is not None and lie.stall_after is not None:
            self._send(body[: lie.stall_after])
            self.registry.closing.wait()
            self.close_connection = True
        else:
            self._send(body)
            if length != len(body):
                self.close_connection = True

    def _send(self, body: bytes) -> None:
        for start in range(0, len(body), PIECE_BYTES):
            self.wfile.write(body[start : start + PIECE_BYTES])

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def log_message(self, format: str, *args: object) -> None:
        pass
