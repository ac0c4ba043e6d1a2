"""Asks the host's resolvers on behalf of a pod and hands the answer back as it came.

Called by `server`. Each question goes out from a port of its own, as itself: identifier, flags and options are the
client's, so what comes back fits the client. Keeps nothing.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from contextlib import suppress

DNS_PORT = 53
TRY_TIMEOUT_S = 2.0  # per server: a client gives up after 5 s. Source: resolv.conf(5), timeout


class Forwarder:
    """Sends questions to the first server that answers."""

    def __init__(self, list_servers: Callable[[], tuple[str, ...]], *, port: int = DNS_PORT) -> None:
        self._list_servers = list_servers
        self._port = port

    async def ask(self, packet: bytes, *, by_tcp: bool) -> bytes | None:
        """Return the answer of the host's resolvers; None when none of them answers in time."""
        for server in self._list_servers():
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(TRY_TIMEOUT_S):
                    return await (self._ask_tcp if by_tcp else self._ask_udp)(server, packet)
        return None

    async def _ask_udp(self, server: str, packet: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        exchange = _Exchange(packet[:2], loop.create_future())
        transport, _ = await loop.create_datagram_endpoint(lambda: exchange, remote_addr=(server, self._port))
        try:
            transport.sendto(packet)
            return await exchange.answer
        finally:
            transport.close()

    async def _ask_tcp(self, server: str, packet: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(server, self._port)
        try:
            writer.write(struct.pack("!H", len(packet)) + packet)
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            return await reader.readexactly(length)
        finally:
            writer.close()


class _Exchange(asyncio.DatagramProtocol):
    """One question on its way; what has another identifier is not its answer."""

    def __init__(self, identifier: bytes, answer: asyncio.Future[bytes]) -> None:
        self.answer = answer
        self._identifier = identifier

    def datagram_received(self, data: bytes, _: object) -> None:
        if data[:2] == self._identifier and not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
