"""Two ways to move plain bytes both ways over one request: the connection itself, taken over, or WebSocket messages.

Used by whoever speaks something else than HTTP after an upgrade (SPDY, what is proxied). A doer. Invariants: what a
reader does not take holds up the sender; the end of the connection is b"" to the reader and a ConnectionError to the
writer.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

from aiohttp import WSMsgType, web

_INBOX_BYTES = 256 * 1024
# A client closes first, having heard the end; one that doesn't is not waited for longer than this.
LINGER_S = 5.0


class Pipe(Protocol):
    """Bytes both ways."""

    async def read(self) -> bytes:
        """Return what has come; b"" once the peer sends no more."""
        ...

    async def write(self, data: bytes) -> None:
        """Send; returns when there is room for more. Raises: ConnectionError."""
        ...


class TakenOver:
    """The connection of a request, after the answer 101. Made by `take_over`."""

    def __init__(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        self.response = response
        self._transport: Any = request.transport
        self._pieces: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._paused = False
        self._over = request.transport is None
        self._came = asyncio.Event()
        if not self._over:
            # The server's own way to hand a connection to another parser, as its WebSockets do.
            request.protocol.set_parser(self)  # type: ignore[arg-type]

    # what the server's protocol calls

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._pieces.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes > _INBOX_BYTES and not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()
        self._came.set()
        return False, b""

    def feed_eof(self) -> None:
        self._over = True
        self._came.set()

    # what its user calls

    async def read(self) -> bytes:
        while not self._pieces:
            if self._over:
                return b""
            self._came.clear()
            await self._came.wait()
        data = b"".join(self._pieces) if len(self._pieces) > 1 else self._pieces[0]
        self._pieces.clear()
        self._waiting_bytes = 0
        if self._paused and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        if self._over or self._transport.is_closing():
            raise ConnectionResetError("the client has gone")
        await self.response.write(data)

    async def linger(self) -> None:
        """Read on until the client closes: a connection that is closed with bytes unread takes back what it sent."""
        try:
            async with asyncio.timeout(LINGER_S):
                while await self.read():
                    pass
        except TimeoutError:
            return


async def take_over(request: web.BaseRequest, protocol: str, headers: Mapping[str, str]) -> TakenOver:
    """Answer 101 and return the connection. Return `response` to the server in the end: it closes the connection then.

    Raises: ConnectionError.
    """
    response = web.StreamResponse(
        status=101, headers={"Connection": "Upgrade", "Upgrade": protocol, **headers}
    )
    await response.prepare(request)
    response.force_close()
    return TakenOver(request, response)


class SocketPipe:
    """Binary WebSocket messages as plain bytes; where one ends means nothing."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def read(self) -> bytes:
        while True:
            message = await self._socket.receive()
            if message.type is WSMsgType.BINARY and message.data:
                return bytes(message.data)
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                return b""

    async def write(self, data: bytes) -> None:
        await self._socket.send_bytes(data)


def wants_upgrade(request: web.BaseRequest) -> str:
    """Return the protocol that the client wants to go on with, in lower case; "" for none."""
    words = [word.strip().lower() for word in request.headers.get("Connection", "").split(",")]
    return request.headers.get("Upgrade", "").strip().lower() if "upgrade" in words else ""
