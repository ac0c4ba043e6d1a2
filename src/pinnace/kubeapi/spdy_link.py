"""Runs SPDY over a pipe, and agrees on what is spoken inside. A doer; used by `sessions.py` and `forwarding.py`.

Pings are answered here and refusals sent; everything else is an event for the user. Invariant: frames leave in the order
in which the codec made them.
"""

import logging
from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from pinnace.base.errors import ApiError, Reason
from pinnace.kubeapi import spdy
from pinnace.kubeapi.pipes import Pipe

log = logging.getLogger("pinnace.kubeapi")

PROTOCOL = "SPDY/3.1"
# Source: Kubernetes v1.36, apimachinery/pkg/util/httpstream, the names of headers.
VERSION_HEADER = "X-Stream-Protocol-Version"


class SpdyLink:
    """One connection as its server sees it."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self.codec = spdy.SpdyConnection()
        self._pings = 0  # those of a server are even

    async def events(self) -> AsyncIterator[spdy.SpdyEvent]:
        """Yield what the client does, until it has gone. Bytes that break the protocol end the connection."""
        while data := await self._pipe.read():
            try:
                for event in self.codec.receive(data):
                    match event:
                        case spdy.PingReceived(number, is_answer=False):
                            await self.write(self.codec.ping(number))
                        case spdy.StreamRefused(stream, status):
                            await self.write(self.codec.reset(stream, status))
                        case _:
                            yield event
            except spdy.SpdyError as error:
                log.info("a client's SPDY can't be read: %s", error)
                await self.write(self.codec.goodbye(spdy.PROTOCOL_ERROR))
                return

    async def knock(self) -> None:
        """Send a ping, whose answer means nothing. Raises: ConnectionError."""
        self._pings += 2
        await self.write(self.codec.ping(self._pings))

    async def write(self, frames: bytes) -> None:
        """Send what the codec has made, if anything. Raises: ConnectionError."""
        if frames:
            await self._pipe.write(frames)


def negotiate_protocol(request: web.BaseRequest, known: Sequence[str]) -> str:
    """Return the first of the client's protocols that is known.

    Source: Kubernetes v1.36, apimachinery/pkg/util/httpstream, Handshake. Raises: ApiError BadRequest, Forbidden.
    """
    values = request.headers.getall(VERSION_HEADER, [])
    asked = [word.strip() for value in values for word in value.split(",") if word.strip()]
    if not asked:
        raise ApiError(Reason.BAD_REQUEST, f"unable to upgrade: {VERSION_HEADER} is required")
    for protocol in asked:
        if protocol in known:
            return protocol
    raise ApiError(
        Reason.FORBIDDEN,
        "unable to upgrade: unable to negotiate protocol: "
        f"client supports [{' '.join(asked)}], server accepts [{' '.join(known)}]",
    )
