"""Carries a watch's lines to its client: in chunks of an HTTP answer, or in messages of a WebSocket.

Used by `watching.py`. Browsers' dashboards watch through WebSockets: one message for each event. Source: Kubernetes v1.37,
apiserver/pkg/endpoints/handlers/watch.go, HandleHTTP and HandleWS.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from aiohttp import web

from pinnace.base.errors import Bug

# What a browser that sends its token among the protocols also names; it wants one of them back.
_PROTOCOLS = ("base64.binary.k8s.io",)

# What a client may lag behind before the stream waits for it. Source: asyncio, the default high-water mark.
_ROOM_BYTES = 64 * 1024


class WatchWire(Protocol):
    """Where a watch's lines go. All but `open` raise ConnectionError once the client has gone."""

    @property
    def response(self) -> web.StreamResponse: ...

    async def open(self, media_type: str) -> None:
        """Begin the answer."""
        ...

    async def send(self, piece: bytes) -> None:
        """Send whole lines; returns when the client has room for more."""
        ...

    def has_room(self) -> bool:
        """Say whether a line can be pushed just now."""
        ...

    def push(self, line: bytes) -> None:
        """Send a line at once, without waiting."""
        ...

    def until_hangup(self) -> AbstractAsyncContextManager[None]:
        """End what runs inside when the client says that it has had enough."""
        ...

    async def close(self) -> None:
        """End the answer."""
        ...

    def abort(self) -> None:
        """Drop the connection, whatever is still to be read."""
        ...


def wants_socket(request: web.BaseRequest) -> bool:
    """Say whether the client wants a WebSocket."""
    return request.headers.get("Upgrade", "").lower() == "websocket"


class ChunkWire:
    """A chunked answer."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self.response = web.StreamResponse()

    async def open(self, media_type: str) -> None:
        headers = self.response.headers
        headers["Content-Type"] = media_type
        headers["Cache-Control"] = "no-cache, private"
        self.response.enable_chunked_encoding()
        await self.response.prepare(self._request)

    async def send(self, piece: bytes) -> None:
        await self.response.write(piece)

    def has_room(self) -> bool:
        transport = self._request.transport
        return (
            transport is not None
            and not transport.is_closing()
            and transport.get_write_buffer_size() <= _ROOM_BYTES
        )

    def push(self, line: bytes) -> None:
        assert self._request.transport is not None
        # As HTTP's chunked coding has it; what `send` does beside is what a hundred watchers don't need a hundred times.
        self._request.transport.write(b"%x\r\n%b\r\n" % (len(line), line))

    @asynccontextmanager
    async def until_hangup(self) -> AsyncIterator[None]:
        yield  # the server cancels a handler whose connection is lost

    async def close(self) -> None:
        await self.response.write_eof()

    def abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()


class SocketWire:
    """A WebSocket with one text message for each line."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self.response = self._socket = web.WebSocketResponse(protocols=_PROTOCOLS, compress=False)

    async def open(self, media_type: str) -> None:
        await self._socket.prepare(self._request)

    def has_room(self) -> bool:
        return False  # a message of a socket waits for its turn

    def push(self, line: bytes) -> None:
        raise Bug("a socket's messages are sent, not pushed")

    async def send(self, piece: bytes) -> None:
        for line in piece.splitlines():
            await self._socket.send_str(line.decode())

    @asynccontextmanager
    async def until_hangup(self) -> AsyncIterator[None]:
        watcher = asyncio.current_task()
        gone = False

        async def listen() -> None:
            nonlocal gone
            async for _ in self._socket:
                pass  # a client has nothing to say here
            gone = True
            if watcher is not None:
                watcher.cancel()

        listener = asyncio.ensure_future(listen())
        try:
            yield
        except asyncio.CancelledError:
            if not gone or watcher is None or watcher.uncancel():
                raise
            raise ConnectionError("the client has closed the socket") from None
        finally:
            listener.cancel()

    async def close(self) -> None:
        await self._socket.close()

    def abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()
