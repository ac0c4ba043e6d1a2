"""One HTTP connection to a registry or a token server: TLS, proxies, time-outs. Synchronous, for worker processes.

Called by `client`. It never follows, retries or authenticates. Invariant: an answer that ends too early, or says nothing
for `stall_s`, is a `Trouble`, never a short body.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from pinnace.base.errors import ApiError, HostError, Reason, UserError
from pinnace.image.registry.challenge import basic_header
from pinnace.image.registry.endpoints import find_certs, find_proxy, host_name, host_port
from pinnace.image.registry.refusals import Trouble
from pinnace.image.registry.settings import RegistrySettings
from pinnace.oci.credentials import Credential

PIECE_BYTES = 1 << 20
AGENT = "pinnace"

Pieces = Callable[[], Iterable[bytes | memoryview]]


class Body(Protocol):
    """What is sent with a request; `size` None sends it in chunks. `pieces` is called anew for each try."""

    size: int | None

    def pieces(self) -> Iterable[bytes | memoryview]: ...


class Answer:
    """An answer whose body has not been read yet. Read it to its end, or close it."""

    def __init__(self, connection: Connection, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.reason = response.reason
        self.headers = response.headers
        self.challenges: tuple[str, ...] = tuple(response.headers.get_all("WWW-Authenticate") or ())
        self.length = response.length  # None when the answer comes in chunks, 0 after HEAD
        self._left = response.length
        self._connection = connection
        self._response = response
        if self._left == 0:
            response.close()

    def read(self, size: int = PIECE_BYTES) -> bytes:
        """Return up to `size` bytes; empty at the end. Raises: Trouble when the connection breaks or stalls."""
        if self._left == 0:
            return b""
        try:
            # never more than the body has: on a kept connection that would wait for an answer that nobody asked for
            data = self._response.read1(size if self._left is None else min(size, self._left))
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._connection.trouble(error) from error
        if not data:
            if self._left:
                self.close()
                raise self._connection.broken(f"{self._left} bytes are missing")
            return b""
        if self._left is not None:
            self._left -= len(data)
            if self._left == 0:
                self._response.close()
        return data

    def body(self, most: int) -> bytes:
        """Return the whole body, of which there may be `most` bytes. Raises: Trouble."""
        found: list[bytes] = []
        size = 0
        while data := self.read():
            found.append(data)
            size += len(data)
            if size > most:
                self.close()
                host = self._connection.host
                raise Trouble(
                    UserError(f"{host} sends more than the {most} bytes that such an answer may have")
                )
        return b"".join(found)

    def start_of_body(self, most: int) -> bytes:
        """Return the first bytes of the body of a refusal, whatever happens, and close."""
        try:
            return self.read(most)
        except Trouble:
            return b""
        finally:
            self.finish()

    def finish(self) -> None:
        """Let the connection be used again, if what is left to read is little."""
        try:
            if self._left is None or self._left <= PIECE_BYTES:
                while self._left and self.read():
                    pass
                if self._left is None and not self.read() and self._response.isclosed():
                    return
        except Trouble:
            return
        if self._left != 0:
            self.close()

    def close(self) -> None:
        self._response.close()
        self._connection.close()


class Connection:
    """A connection to one host, opened when it is first used, and again when the other side closed it."""

    def __init__(self, scheme: str, host: str, verify: bool, settings: RegistrySettings) -> None:
        self.scheme = scheme
        self.host = host
        self._verify = verify
        self._settings = settings
        self._through_proxy = False
        self._headers: dict[str, str] = {"User-Agent": AGENT}
        self._http: http.client.HTTPConnection | None = None
        self._used = False

    def request(
        self, method: str, target: str, headers: Mapping[str, str], body: Body | None = None
    ) -> Answer:
        """Send a request and return the answer's head. Raises: Trouble."""
        for fresh in (False, True):
            if fresh or self._http is None or self._http.sock is None:
                self.close()
                self._open()
            reused = self._used
            try:
                return self._send(method, target, headers, body)
            except (OSError, http.client.HTTPException) as error:
                # a kept connection may have been closed meanwhile; that is no failure yet
                if fresh or not reused or isinstance(error, TimeoutError):
                    self.close()
                    raise self.trouble(error) from error
        raise AssertionError

    def _send(self, method: str, target: str, headers: Mapping[str, str], body: Body | None) -> Answer:
        http_ = self._http
        assert http_ is not None
        self._used = True
        url = f"{self.scheme}://{self.host}{target}" if self._through_proxy else target
        http_.putrequest(method, url, skip_host=True, skip_accept_encoding=True)
        http_.putheader("Host", self.host)
        for name, value in {**self._headers, **headers}.items():
            http_.putheader(name, value)
        if body is None:
            if method in ("POST", "PUT", "PATCH"):
                http_.putheader("Content-Length", "0")
            http_.endheaders()
        else:
            self._send_body(http_, body)
        return Answer(self, http_.getresponse())

    def _send_body(self, http_: http.client.HTTPConnection, body: Body) -> None:
        if body.size is None:
            http_.putheader("Transfer-Encoding", "chunked")
        else:
            http_.putheader("Content-Length", str(body.size))
        http_.endheaders()
        try:
            for piece in body.pieces():
                if body.size is None:
                    http_.send(b"%x\r\n" % len(piece))
                    http_.send(piece)
                    http_.send(b"\r\n")
                else:
                    http_.send(piece)
            if body.size is None:
                http_.send(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            # the other side may have answered before it had read everything: what it says counts, if it can be read
            if http_.sock is None:
                raise

    def abort(self) -> None:
        """Wake up whoever waits on the connection, from another thread; what they get is an error."""
        sock = None if self._http is None else self._http.sock
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it; the next request opens it again."""
        if self._http is not None:
            self._http.close()
            self._http = None
        self._used = False

    def _open(self) -> None:
        patience = self._settings.patience
        name, port = host_name(self.host), host_port(self.host, self.scheme)
        proxy = find_proxy(self.scheme, self.host, self._settings, os.environ)
        try:
            if proxy is not None:
                self._http = self._open_through(proxy, name, port)
            elif self.scheme == "https":
                self._http = http.client.HTTPSConnection(
                    name, port, timeout=patience.connect_s, context=self._context()
                )
            else:
                self._http = http.client.HTTPConnection(name, port, timeout=patience.connect_s)
            self._http.connect()
            sock = self._http.sock
            sock.settimeout(patience.stall_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self.trouble(error, connecting=True) from error

    def _open_through(self, proxy: str, name: str, port: int) -> http.client.HTTPConnection:
        parts = urlsplit(proxy)
        if parts.scheme != "http" or not parts.hostname:
            raise Trouble(UserError(f"the proxy {proxy!r} can't be used", hint="write http://HOST:PORT"))
        headers = {}
        if parts.username:
            user = Credential(username=unquote(parts.username), password=unquote(parts.password or ""))
            headers["Proxy-Authorization"] = basic_header(user)
        timeout = self._settings.patience.connect_s
        proxy_port = parts.port or 3128
        if self.scheme == "https":
            tunnel = http.client.HTTPSConnection(
                parts.hostname, proxy_port, timeout=timeout, context=self._context()
            )
            tunnel.set_tunnel(name, port, headers)
            return tunnel
        self._through_proxy = True
        self._headers.update(headers)
        return http.client.HTTPConnection(parts.hostname, proxy_port, timeout=timeout)

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if not self._verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        folder = find_certs(self.host, self._settings.cert_dirs)
        if folder is not None:
            load_certificates(context, folder)
        return context

    def broken(self, why: str) -> Trouble:
        """Return the trouble of a connection that ended too early."""
        return Trouble(HostError(f"the connection to {self.host} broke: {why}"), again=True)

    def trouble(self, error: Exception, *, connecting: bool = False) -> Trouble:
        """Return what a failed call means."""
        trouble = self._trouble(error, connecting)
        trouble.reached = not connecting
        return trouble

    def _trouble(self, error: Exception, connecting: bool) -> Trouble:
        stall_s = self._settings.patience.connect_s if connecting else self._settings.patience.stall_s
        if isinstance(error, TimeoutError):
            what = "accepts no connection" if connecting else "says nothing"
            return Trouble(
                ApiError(
                    Reason.SERVICE_UNAVAILABLE,
                    f"{self.host} {what} for {stall_s:g} s (i/o timeout)",
                    hint="is the network up? does a proxy stand between?",
                ),
                again=True,
            )
        if isinstance(error, ssl.SSLCertVerificationError):
            return Trouble(
                HostError(
                    f"{self.host} has a certificate that can't be trusted: {error.verify_message}",
                    hint=f"put its CA into {self._settings.cert_dirs[0] if self._settings.cert_dirs else '.'}/{self.host}/ca.crt",
                )
            )
        if isinstance(error, ssl.SSLError) and connecting:
            if error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
                return Trouble(
                    HostError(
                        f"{self.host} does not speak TLS: server gave HTTP response to HTTPS client",
                        hint=f"if that is right, name {self.host} in the insecure registries",
                    )
                )
            return Trouble(HostError(f"{self.host} and we can't agree on TLS: {error.reason or error}"))
        if isinstance(error, socket.gaierror):
            text = f"dial tcp: lookup {host_name(self.host)}: {error.strerror}"
            return Trouble(
                HostError(text, errno=error.errno, hint="is the name right, and is there a network?")
            )
        if isinstance(error, OSError) and connecting:
            why = error.strerror or str(error)
            return Trouble(
                HostError(
                    f"dial tcp {self.host}: {why}", errno=error.errno, hint="does a registry listen there?"
                ),
                again=isinstance(error, ConnectionResetError),
            )
        return self.broken(getattr(error, "strerror", None) or str(error) or type(error).__name__)


def load_certificates(context: ssl.SSLContext, folder: Path) -> None:
    """Take what Docker takes from a folder: *.crt to trust, *.cert with *.key to show. Raises: UserError."""
    for path in sorted(folder.iterdir()):
        try:
            if path.suffix == ".crt":
                context.load_verify_locations(path)
            elif path.suffix == ".cert":
                context.load_cert_chain(path, path.with_suffix(".key"))
            elif path.suffix == ".key" and not path.with_suffix(".cert").exists():
                raise UserError(f"there is no {path.with_suffix('.cert').name} beside the key {path}")
        except (OSError, ssl.SSLError) as error:
            raise UserError(f"the certificate {path} can't be used: {error}") from error
