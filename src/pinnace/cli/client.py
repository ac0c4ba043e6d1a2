"""A small HTTP/1.1 client for the daemon's unix socket: enough for our own verbs, and it starts in no time.

Speaks Content-Length and chunked bodies, one request for each connection, and upgrades (a raw socket afterwards).
Errors of the daemon come back as the `ApiError`, `UserError` or `HostError` that they were.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from typing import Any

from pinnace.base.errors import ApiError, Cause, HostError, PinnaceError, Reason, UserError
from pinnace.base.settings import Settings, read_settings

JsonValue = Any


class Client:
    """Requests to one instance."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or read_settings({})

    def get(self, path: str) -> JsonValue:
        return self.call("GET", path)

    def post(self, path: str, body: JsonValue = None) -> JsonValue:
        return self.call("POST", path, body)

    def delete(self, path: str, body: JsonValue = None) -> JsonValue:
        return self.call("DELETE", path, body)

    def call(
        self, method: str, path: str, body: JsonValue = None, *, content_type: str = "application/json"
    ) -> JsonValue:
        """Send a request and return the decoded answer. Raises: PinnaceError as the daemon said."""
        answer = self.open(method, path, body, content_type=content_type)
        data = answer.read()
        return json.loads(data) if data else None

    def open(
        self,
        method: str,
        path: str,
        body: JsonValue = None,
        *,
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send a request; the answer's body is still to be read. `body` is JSON, bytes, or an iterator of bytes."""
        connection = self.connect()
        stream: Iterator[bytes] | None = None
        data = b""
        headers = {"Accept": "application/json", **(headers or {})}
        lines = [f"{method} {path} HTTP/1.1", "Host: pinnace"]
        if body is None:
            pass
        elif isinstance(body, bytes):
            data = body
        elif hasattr(body, "__next__"):
            stream = body
        else:
            data = json.dumps(body).encode()
        if stream is not None:
            lines += [f"Content-Type: {content_type}", "Transfer-Encoding: chunked"]
        elif body is not None or method in ("POST", "PUT", "PATCH"):
            lines += [f"Content-Type: {content_type}", f"Content-Length: {len(data)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        try:
            connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
            for chunk in stream or ():
                if chunk:
                    connection.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            if stream is not None:
                connection.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # the daemon has answered already, and says why
        answer = Answer(connection)
        if answer.status >= 400:
            raise parse_error(answer.status, answer.read())
        return answer

    def connect(self) -> socket.socket:
        """Return a fresh connection to the daemon. Raises: UserError, HostError."""
        path = str(self.settings.kube_socket)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(path)
        except FileNotFoundError:
            raise UserError(f"the instance {self.settings.name!r} is not running", "pinnace up") from None
        except ConnectionRefusedError:
            raise UserError(
                f"the instance {self.settings.name!r} does not answer: its daemon has died", "pinnace up"
            ) from None
        except PermissionError:
            who = "root" if os.geteuid() else "its owner"
            raise UserError(
                f"{path} belongs to {who}", "use sudo, or run `pinnace up` through sudo as this user"
            ) from None
        except OSError as error:
            raise HostError(f"{path}: {error.strerror}", errno=error.errno) from error
        return connection


class Answer:
    """An answer whose body is read piece by piece."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._file = connection.makefile("rb")
        try:
            status_line = self._file.readline().split(b" ", 2)
        except ConnectionResetError:
            status_line = []
        if len(status_line) < 2:
            raise HostError("the daemon closed the connection without an answer", hint="see `pinnace status`")
        self.status = int(status_line[1])
        self.headers: dict[str, str] = {}
        self.warnings: list[str] = []
        for line in iter(self._file.readline, b"\r\n"):
            if not line:
                break
            name, _, value = line.decode().partition(":")
            self.headers[name.strip().lower()] = value.strip()
            if name.lower() == "warning":
                self.warnings.append(_parse_warning(value))

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it comes."""
        if self.headers.get("transfer-encoding") == "chunked":
            while True:
                try:
                    size = int(self._file.readline().split(b";")[0], 16)
                except ValueError:
                    raise _broken_off() from None
                if size == 0:
                    return
                left = size
                while left:
                    piece = self._file.read1(left)
                    if not piece:
                        raise _broken_off()
                    left -= len(piece)
                    yield piece
                self._file.readline()
        elif "content-length" in self.headers:
            left = int(self.headers["content-length"])
            while left:
                piece = self._file.read1(left)
                if not piece:
                    raise _broken_off()
                left -= len(piece)
                yield piece
        else:
            while piece := self._file.read1(65536):
                yield piece

    def read(self) -> bytes:
        return b"".join(self.chunks())

    def lines(self) -> Iterator[JsonValue]:
        """Yield the values of a body that is one JSON document a line."""
        rest = b""
        for chunk in self.chunks():
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                if line.strip():
                    yield json.loads(line)
        if rest.strip():
            yield json.loads(rest)

    def raw(self) -> tuple[socket.socket, bytes]:
        """Return the socket of an upgraded connection, and what was read too much."""
        buffered: bytes = self._file.peek()
        return self.connection, buffered


def _broken_off() -> HostError:
    return HostError("the daemon broke the answer off", hint="see its log: daemon.log")


def _parse_warning(value: str) -> str:
    """Return the sentence of a Warning header: 299 - "sentence". Source: RFC 7234, 5.5."""
    quoted = value.strip().partition('"')[2].rpartition('"')[0]
    return quoted.replace('\\"', '"').replace("\\\\", "\\")


def parse_error(code: int, body: bytes) -> PinnaceError:
    """Return the error that a Kubernetes Status or our own error document means."""
    try:
        document = json.loads(body)
    except ValueError:
        return HostError(f"the daemon answered {code}: {body[:500].decode(errors='replace')}")
    return parse_error_document(document, code)


def parse_error_document(document: dict[str, Any], code: int) -> PinnaceError:
    """Return the error that a decoded error document means."""
    message = document.get("message", f"the daemon answered {code}")
    hint = document.get("hint", "")
    match document.get("reason"):
        case "UserError":
            return UserError(message, hint, document.get("where", ""))
        case "HostError":
            return HostError(message, stderr=document.get("stderr", ""), hint=hint)
        case reason:
            known = next((r for r in Reason if r.wire == reason), Reason.INTERNAL_ERROR)
            details = document.get("details") or {}
            causes = tuple(
                Cause(cause.get("reason", ""), cause.get("message", ""), cause.get("field", ""))
                for cause in details.get("causes") or ()
            )
            return ApiError(
                known,
                message,
                code=code,
                causes=causes,
                kind=details.get("kind", ""),
                name=details.get("name", ""),
                hint=hint,
            )
