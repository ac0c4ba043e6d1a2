"""Carries one remote command to its client: over WebSocket messages, or over a SPDY connection. Doers.

Both are a `Wire`: what comes in as values, what goes out by channel. `sessions.py` moves bytes between a wire and a
process and knows nothing of either.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import WSMsgType, web

from pinnace.api.world import ExecOptions
from pinnace.base.errors import ApiError, Reason
from pinnace.kubeapi import spdy
from pinnace.kubeapi.command_protocols import (
    CLOSE,
    ERROR,
    RESIZE,
    STDERR,
    STDIN,
    STDOUT,
    STREAM_TYPES,
    CommandProtocol,
    SizeReader,
    parse_size,
    unwrap_text,
    wrap_text,
)
from pinnace.kubeapi.pipes import Pipe
from pinnace.kubeapi.spdy_link import SpdyLink

# Source: Kubernetes v1.36, apimachinery/pkg/util/remotecommand, DefaultStreamCreationTimeout.
STREAMS_TIMEOUT_S = 30.0

OUTPUTS = {"stdout": STDOUT, "stderr": STDERR}


@dataclass(frozen=True, slots=True)
class StdinReceived:
    """The client has sent input; after `finished` there is no more."""

    data: bytes
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Resized:
    """The client's terminal has this size now."""

    width: int
    height: int


Input = StdinReceived | Resized


class Wire(Protocol):
    """One client of one command."""

    def inputs(self) -> AsyncIterator[Input]:
        """Yield what the client sends, until it has gone."""
        ...

    async def send(self, channel: int, data: bytes) -> None:
        """Send output; what the client did not ask for is dropped. Raises: ConnectionError."""
        ...

    async def end(self, status: dict[str, Any]) -> None:
        """Tell how it ended, and that there is no more. Raises: ConnectionError."""
        ...

    async def knock(self) -> None:
        """Say something that a client which is there takes no notice of. Raises: ConnectionError."""
        ...


def wanted_channels(options: ExecOptions) -> frozenset[int]:
    """Return the channels of output that the client asks for."""
    return frozenset(
        channel
        for channel, wanted in ((STDOUT, options.stdout), (STDERR, options.stderr and not options.tty))
        if wanted
    )


class SocketWire:
    """A message is one channel's number and the data: as they are, or as a digit and base64."""

    def __init__(self, socket: web.WebSocketResponse, options: ExecOptions) -> None:
        self._socket = socket
        self._options = options
        self._protocol = CommandProtocol(socket.ws_protocol or "")
        self._wanted = wanted_channels(options)

    async def open(self) -> None:
        """Tell the client that the command runs: an empty message on the first channel that it reads.

        Source: Kubernetes v1.36, kubelet/pkg/cri/streaming/remotecommand/websocket.go, createWebSocketStreams.
        """
        await self._send(min(self._wanted, default=ERROR), b"")

    async def inputs(self) -> AsyncIterator[Input]:
        async for message in self._socket:
            parted = self._read(message.type, message.data)
            if parted is None:
                continue
            channel, data = parted
            if channel == STDIN and self._options.stdin and data:
                yield StdinReceived(data)
            elif channel == CLOSE and self._protocol.closes:
                if data[:1] == bytes((STDIN,)):
                    yield StdinReceived(b"", finished=True)
            elif channel == RESIZE and (size := parse_size(data)) is not None:
                yield Resized(*size)

    def _read(self, kind: WSMsgType, data: Any) -> tuple[int, bytes] | None:
        if self._protocol.is_text:
            return unwrap_text(data)
        if kind is WSMsgType.TEXT:  # whatever a message calls itself: the Python client sends str as text
            data = data.encode()
        elif kind is not WSMsgType.BINARY:
            return None
        return (data[0], bytes(data[1:])) if data else None

    async def send(self, channel: int, data: bytes) -> None:
        if channel in self._wanted:
            await self._send(channel, data)

    async def _send(self, channel: int, data: bytes) -> None:
        if self._protocol.is_text:
            await self._socket.send_str(wrap_text(channel, data))
        else:
            await self._socket.send_bytes(bytes((channel,)) + data)

    async def end(self, status: dict[str, Any]) -> None:
        text = self._protocol.render_end(status)
        if text:
            await self._send(ERROR, text)
        await self._socket.close()

    async def knock(self) -> None:
        await self._socket.ping()


class SpdyWire:
    """A stream of SPDY for each channel, opened by the client."""

    def __init__(self, pipe: Pipe, protocol: CommandProtocol, options: ExecOptions) -> None:
        self._protocol = protocol
        self._link = SpdyLink(pipe)
        self._events = self._link.events()
        self._streams: dict[int, int] = {}  # by channel
        self._early: list[spdy.SpdyEvent] = []
        self._sizes = SizeReader()
        expected = {ERROR, *wanted_channels(options)}
        if options.stdin:
            expected.add(STDIN)
        if options.tty and protocol.resizes:
            expected.add(RESIZE)
        self._expected = expected

    async def open(self) -> bool:
        """Take the client's streams; False when it has gone, or has not opened them in time."""
        try:
            async with asyncio.timeout(STREAMS_TIMEOUT_S):
                async for event in self._events:
                    if isinstance(event, spdy.StreamOpened):
                        await self._take(event)
                    else:
                        self._early.append(event)
                    if self._expected <= self._streams.keys():
                        return True
        except TimeoutError:
            await self._link.write(self._link.codec.goodbye(spdy.PROTOCOL_ERROR))
        return False

    async def _take(self, event: spdy.StreamOpened) -> None:
        codec, stream = self._link.codec, event.stream
        channel = STREAM_TYPES.get(event.headers.get("streamtype", ""))
        if channel is None or channel in self._streams:
            await self._link.write(codec.reset(stream, spdy.REFUSED_STREAM))
            return
        self._streams[channel] = stream
        await self._link.write(codec.reply(stream))
        if event.finished:
            self._early.append(spdy.DataReceived(stream, b"", True))

    async def inputs(self) -> AsyncIterator[Input]:
        for event in self._early:
            for value in self._read(event):
                yield value
        self._early.clear()
        async for event in self._events:
            if isinstance(event, spdy.StreamOpened):
                await self._link.write(self._link.codec.reset(event.stream, spdy.REFUSED_STREAM))
            for value in self._read(event):
                yield value

    def _read(self, event: spdy.SpdyEvent) -> list[Input]:
        match event:
            case spdy.DataReceived(stream, data, finished) if stream == self._streams.get(STDIN):
                return [StdinReceived(data, finished)]
            case spdy.StreamReset(stream) if stream == self._streams.get(STDIN):
                return [StdinReceived(b"", True)]
            case spdy.DataReceived(stream, data) if stream == self._streams.get(RESIZE):
                return [Resized(*size) for size in self._sizes.feed(data)]
        return []

    async def send(self, channel: int, data: bytes) -> None:
        stream = self._streams.get(channel)
        if stream is not None:
            await self._link.write(self._link.codec.data(stream, data))

    async def end(self, status: dict[str, Any]) -> None:
        codec = self._link.codec
        frames = b""
        for channel in (STDOUT, STDERR):
            if channel in self._streams:
                frames += codec.data(self._streams[channel], b"", finished=True)
        frames += codec.data(self._streams[ERROR], self._protocol.render_end(status), finished=True)
        for channel in (STDIN, RESIZE):  # nobody reads them any more, and nobody will write to them
            if self._streams.get(channel) in codec.streams:
                frames += codec.reset(self._streams[channel], spdy.CANCEL)
        await self._link.write(frames + codec.goodbye())

    async def knock(self) -> None:
        await self._link.knock()


def no_upgrade() -> ApiError:
    """Return the refusal of a request that does not ask for one of the two."""
    return ApiError(Reason.BAD_REQUEST, "Upgrade request required")
