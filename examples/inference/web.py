"""A small HTTP/1.1 server on asyncio: keep-alive, bodies with a length, and an end that loses no request.

It reads requests, calls one handler, writes answers; it knows nothing of models. `drain` is the graceful end: no new
connection is taken, requests in flight are answered (with `Connection: close`), idle connections are closed.
Invariant: whoever has sent a whole request gets an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

HEAD_LIMIT_BYTES = 16 * 1024
BODY_LIMIT_BYTES = 1024 * 1024
BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """One answer."""

    code: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


class BadRequest(Exception):
    """The request can't be answered; `code` and the text go to the client."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


Handler = Callable[[Request], Awaitable[Response]]


def json_response(code: int, document: object, headers: dict[str, str] | None = None) -> Response:
    """Return an answer with a JSON document in one line."""
    return Response(code, json.dumps(document).encode() + b"\n", headers=headers or {})


def parse_head(head: bytes) -> Request:
    """Return the request that a head means. Raises: BadRequest."""
    try:
        first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, target, version = first.split(" ")
        pairs = [line.split(":", 1) for line in lines]
        headers = {name.strip().lower(): value.strip() for name, value in pairs}
    except ValueError:
        raise BadRequest(400, "the head of the request can't be read") from None
    if not version.startswith("HTTP/1."):
        raise BadRequest(505, f"{version} is not spoken here")
    url = urlsplit(target)
    if version == "HTTP/1.0":
        headers.setdefault("connection", "close")
    return Request(method, url.path, dict(parse_qsl(url.query, keep_blank_values=True)), headers)


def render_response(response: Response, *, close: bool, with_body: bool = True) -> bytes:
    """Return an answer's bytes."""
    lines = [
        f"HTTP/1.1 {response.code} {HTTPStatus(response.code).phrase}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(response.body)}",
        *(f"{name}: {value}" for name, value in response.headers.items()),
        *(["Connection: close"] if close else []),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (response.body if with_body else b"")


class WebServer:
    """Serves one handler on one port."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._idle: set[asyncio.StreamWriter] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self._draining = False

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port."""
        self._server = await asyncio.start_server(
            self._serve, host, port, backlog=BACKLOG, limit=HEAD_LIMIT_BYTES
        )
        chosen: int = self._server.sockets[0].getsockname()[1]
        return chosen

    async def drain(self, timeout_s: float) -> bool:
        """End gracefully; returns False when requests were still in flight after `timeout_s`."""
        self._draining = True
        assert self._server is not None
        await asyncio.sleep(0)  # connections that the kernel has taken already become ours first
        self._server.close()
        for writer in list(self._idle):
            writer.close()
        if not self._connections:
            return True
        _, late = await asyncio.wait(self._connections, timeout=timeout_s)
        for task in late:
            task.cancel()
        return not late

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            first = True
            while await self._serve_one(reader, writer, first=first):
                first = False
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            pass  # the client went away
        finally:
            self._connections.discard(task)
            self._idle.discard(writer)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve_one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, first: bool
    ) -> bool:
        """Answer one request; returns whether another may follow."""
        if not first:  # only a connection that was answered once is idle: a new one has a request under way
            self._idle.add(writer)
            if self._draining:
                return False
        try:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.LimitOverrunError:
                raise BadRequest(431, f"the head of the request is over {HEAD_LIMIT_BYTES} bytes") from None
            finally:
                self._idle.discard(writer)
            request = await self._read_body(parse_head(head), reader)
            response = await self._handler(request)
        except BadRequest as error:
            writer.write(render_response(json_response(error.code, {"error": str(error)}), close=True))
            await writer.drain()
            return False
        close = self._draining or request.headers.get("connection", "").lower() == "close"
        writer.write(render_response(response, close=close, with_body=request.method != "HEAD"))
        await writer.drain()
        return not close

    async def _read_body(self, request: Request, reader: asyncio.StreamReader) -> Request:
        length = request.headers.get("content-length", "0")
        if "transfer-encoding" in request.headers or not length.isdigit():
            raise BadRequest(411, "a body needs a Content-Length")
        if int(length) > BODY_LIMIT_BYTES:
            raise BadRequest(413, f"the body is over {BODY_LIMIT_BYTES} bytes")
        body = await reader.readexactly(int(length))
        return Request(request.method, request.path, request.query, request.headers, body)
