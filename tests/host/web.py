"""A small web server for tests, scripted page by page, and git repositories made by hand. It listens on this host only."""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.unit.build.trees import Tree, grow

GIT_HTTP_BACKEND = "/usr/lib/git-core/git-http-backend"


@dataclass
class Page:
    """What a path answers. `body` may be endless or slow: an iterator of pieces."""

    body: bytes | Callable[[], Iterator[bytes]] = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Web:
    """The server: `pages` by path; `asked` are the requests that came, with their headers."""

    def __init__(self) -> None:
        self.pages: dict[str, Page | Callable[[dict[str, str]], Page]] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.git_root: Path | None = None
        self.git_login = ""  # the Authorization that git must send, if any
        self.stopped = threading.Event()
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                web._answer(self)

            do_POST = do_GET  # noqa: N815 (its name)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

        self._scheme = "http"

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    def use_tls(self, folder: Path) -> Path:
        """Speak TLS from now on; return the certificate of the authority that signed."""
        key, certificate = make_certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._scheme = "https"
        return certificate

    def paths(self) -> list[str]:
        return [path for _, path, _ in self.asked]

    def close(self) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        path = request.path
        self.asked.append((request.command, path, headers))
        if self.git_root is not None and path.startswith("/git/"):
            self._answer_git(request, path)
            return
        page = self.pages.get(path) or self.pages.get(path.partition("?")[0]) or Page(b"nothing here", 404)
        if callable(page):
            page = page(headers)
        known = (headers.get("if-none-match"), headers.get("if-modified-since"))
        if any(
            mark and mark in (page.headers.get("ETag"), page.headers.get("Last-Modified")) for mark in known
        ):
            page = Page(b"", 304, page.headers)
        request.send_response(page.status)
        for name, value in page.headers.items():
            request.send_header(name, value)
        if isinstance(page.body, bytes):
            if "Content-Length" not in page.headers and page.status != 304:
                request.send_header("Content-Length", str(len(page.body)))
            pieces: Iterator[bytes] = iter((page.body,))
        else:
            request.close_connection = True
            request.send_header("Connection", "close")
            pieces = page.body()
        request.end_headers()
        try:
            for piece in pieces:
                request.wfile.write(piece)
        except OSError:
            request.close_connection = True
        if page.headers.get("Content-Length", "") not in (
            "",
            str(len(page.body) if isinstance(page.body, bytes) else -1),
        ):
            request.close_connection = True

    def _answer_git(self, request: BaseHTTPRequestHandler, path: str) -> None:
        """git-http-backend, as a web server runs it."""
        where, _, query = path.partition("?")
        if self.git_login and request.headers.get("Authorization") != self.git_login:
            request.send_response(401)
            request.send_header("WWW-Authenticate", 'Basic realm="git"')
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if request.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(request.rfile.readline(), 16):
                body += request.rfile.read(size)
                request.rfile.readline()
            request.rfile.readline()
        done = subprocess.run(
            [GIT_HTTP_BACKEND],
            input=body,
            capture_output=True,
            check=False,
            env={
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(self.git_root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
                "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
                "PATH_INFO": where.removeprefix("/git"),
                "QUERY_STRING": query,
                "REQUEST_METHOD": request.command,
                "CONTENT_TYPE": request.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "REMOTE_ADDR": "127.0.0.1",
            },
        )
        head, _, data = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        request.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)


@contextmanager
def serving() -> Iterator[Web]:
    """Run a server for a block."""
    web = Web()
    try:
        yield web
    finally:
        web.close()


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a key and a certificate that it signed itself, for 127.0.0.1; return both files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "tls.key", folder / "tls.crt"
    encoding = serialization.Encoding.PEM
    files[0].write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    files[1].write_bytes(certificate.public_bytes(encoding))
    return files


class Repository:
    """A git repository with a working tree, at `place`."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str) -> str:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@example.com",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@example.com",
            "GIT_AUTHOR_DATE": "2020-01-02T03:04:05Z",
            "GIT_COMMITTER_DATE": "2020-01-02T03:04:05Z",
        }
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *words],
            cwd=self.place,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, files: Tree, message: str = "more") -> str:
        """Add files; return the commit."""
        grow(self.place, files)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")
