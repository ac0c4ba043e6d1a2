"""One connection that is forwarded into a pod, and the pairs of SPDY streams that carry many of them. Doers.

Used by `forwarding.py`. Invariants: each direction ends for itself (half-close); what waits for one connection is
bounded, and when it is over the bound the client is held up, not the memory; a connection that has ended takes no more.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pinnace.api.world import PodPortForward
from pinnace.base.clock import Clock
from pinnace.base.errors import PinnaceError
from pinnace.base.tasks import Tasks
from pinnace.kube.objects.core_v1 import Pod
from pinnace.kubeapi import spdy
from pinnace.kubeapi.spdy_link import SpdyLink

_CHUNK_BYTES = 64 * 1024
_INBOX_BYTES = 1 << 20
# Source: Kubernetes v1.36, apimachinery/pkg/util/portforward; kubelet/pkg/cri/streaming/portforward/httpstream.go.
PAIR_TIMEOUT_S = 30.0
# After the pod has ended its side, the client has this long to end its own. Source: containerd, pkg/cri, portForward.
CLOSE_S = 1.0

Send = Callable[[bytes], Awaitable[None]]


class Forwarded:
    """One connection into the pod; what comes before it is open waits."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._pieces: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._no_more = False
        self._over = False
        self._changed = asyncio.Event()
        self._aborted = asyncio.Event()

    # what the client does

    async def feed(self, data: bytes) -> None:
        """Take bytes for the pod; returns when there is room for more."""
        if self._over or self._no_more:
            return
        self._pieces.append(data)
        self._waiting_bytes += len(data)
        self._wake()
        while self._waiting_bytes > _INBOX_BYTES and not self._over:
            await self._change()

    def finish(self) -> None:
        """No more bytes come."""
        self._no_more = True
        self._wake()

    def abort(self) -> None:
        """The client has given the connection up."""
        self._aborted.set()
        self.finish()

    # what is done

    async def run(self, world: PodPortForward, pod: Pod, send: Send) -> str:
        """Move bytes both ways until both are done; return what went wrong, or "". Raises: ConnectionError (the client's).

        `send` gets b"" once when the pod has ended its side.
        """
        try:
            reader, writer = await world.connect(pod, self.port)
        except (PinnaceError, OSError) as error:
            self._end()
            why = error.strerror or str(error) if isinstance(error, OSError) else error.message
            name = f"{pod.metadata.namespace}/{pod.metadata.name}"
            return f"error forwarding port {self.port} to pod {name}, uid {pod.metadata.uid}: {why}"
        outward = asyncio.ensure_future(self._pump_out(reader, send))
        inward = asyncio.ensure_future(self._pump_in(writer))
        aborted = asyncio.ensure_future(self._aborted.wait())
        tasks = (outward, inward, aborted)
        try:
            await asyncio.wait((outward, aborted), return_when=asyncio.FIRST_COMPLETED)
            if outward.done():
                outward.result()
                await asyncio.wait((inward, aborted), timeout=CLOSE_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._end()
            if self._aborted.is_set():
                writer.transport.abort()
            writer.close()
        return ""

    async def _pump_out(self, reader: asyncio.StreamReader, send: Send) -> None:
        try:
            while data := await reader.read(_CHUNK_BYTES):
                await send(data)
        except ConnectionResetError:
            pass
        await send(b"")

    async def _pump_in(self, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                if self._pieces:
                    data = self._pieces.popleft()
                    self._waiting_bytes -= len(data)
                    self._wake()
                    writer.write(data)
                    await writer.drain()
                elif self._no_more:
                    break
                else:
                    await self._change()
            if writer.can_write_eof():
                writer.write_eof()
        except (ConnectionError, OSError):
            self._end()  # the pod takes no more; what it has still to say is read on

    def _end(self) -> None:
        self._over = True
        self._pieces.clear()
        self._waiting_bytes = 0
        self._wake()

    def _wake(self) -> None:
        self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


@dataclass(slots=True)
class _Pair:
    """The two streams of one connection, as far as they are open."""

    port: int
    data: int = 0
    error: int = 0
    timer: "asyncio.Task[None] | None" = None


class ForwardedStreams:
    """The pairs of one SPDY connection."""

    def __init__(self, link: SpdyLink, world: PodPortForward, pod: Pod, tasks: Tasks, clock: Clock) -> None:
        self._link = link
        self._clock = clock
        self._world = world
        self._pod = pod
        self._tasks = tasks
        self._pairs: dict[str, _Pair] = {}
        self._connections: dict[int, Forwarded] = {}

    async def run(self) -> None:
        """Serve until the client has gone. Raises: ConnectionError."""
        async for event in self._link.events():
            match event:
                case spdy.StreamOpened():
                    await self._open(event)
                case spdy.DataReceived(stream, data, finished):
                    connection = self._connections.get(stream)
                    if connection is not None and data:
                        await connection.feed(data)
                    if connection is not None and finished:
                        connection.finish()
                case spdy.StreamReset(stream):
                    connection = self._connections.get(stream)
                    if connection is not None:
                        connection.abort()

    async def _open(self, event: spdy.StreamOpened) -> None:
        """Take one of a pair's two streams; they may come in any order."""
        codec, stream = self._link.codec, event.stream
        kind, port = event.headers.get("streamtype", ""), read_port(event.headers.get("port", ""))
        if kind not in ("data", "error") or port is None:
            await self._link.write(codec.reset(stream, spdy.REFUSED_STREAM))
            return
        await self._link.write(codec.reply(stream))
        request = request_of(event.headers.get("requestid", ""), kind, stream)
        pair = self._pairs.get(request)
        if pair is None:
            pair = self._pairs[request] = _Pair(port)
            pair.timer = self._tasks.spawn(self._expect(request, pair), f"pair {request}")
        if getattr(pair, kind) or pair.port != port:
            await self._link.write(codec.reset(stream, spdy.PROTOCOL_ERROR))
            return
        setattr(pair, kind, stream)
        if pair.data and pair.error:
            del self._pairs[request]
            if pair.timer is not None:
                pair.timer.cancel()
            connection = self._connections[pair.data] = Forwarded(port)
            if event.finished and kind == "data":
                connection.finish()
            self._tasks.spawn(self._serve(pair, connection), f"port {port}")

    async def _expect(self, request: str, pair: _Pair) -> None:
        """Give a half up whose other half does not come."""
        await self._clock.sleep(PAIR_TIMEOUT_S)
        if self._pairs.get(request) is not pair:
            return
        del self._pairs[request]
        codec = self._link.codec
        try:
            if pair.error:
                await self._link.write(
                    codec.data(
                        pair.error, b"unable to forward: timed out waiting for the data stream", finished=True
                    )
                )
            for stream in (pair.data, pair.error):
                if stream:
                    await self._link.write(codec.reset(stream))
        except ConnectionError:
            return

    async def _serve(self, pair: _Pair, connection: Forwarded) -> None:
        link, codec = self._link, self._link.codec

        async def send(data: bytes) -> None:
            await link.write(codec.data(pair.data, data, finished=not data))
            if not data:
                # Nothing can go wrong for the client any more; old ones wait for this word before they close.
                await link.write(codec.data(pair.error, b"", finished=True))

        try:
            problem = await connection.run(self._world, self._pod, send)
            self._connections.pop(pair.data, None)
            await link.write(codec.data(pair.error, problem.encode(), finished=True))
            await link.write(codec.data(pair.data, b"", finished=True))
            if pair.data in codec.streams:  # the client still sends, and nobody reads it
                await link.write(codec.reset(pair.data))
        except ConnectionError:
            return  # the client has gone
        finally:
            self._connections.pop(pair.data, None)


def read_port(text: str) -> int | None:
    """Return the port of a stream's header, None for what is none."""
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 65536 else None


def request_of(request: str, kind: str, stream: int) -> str:
    """Return what names a pair: old clients give no id, but open the error stream and then at once the data stream.

    Source: Kubernetes v1.36, kubelet/pkg/cri/streaming/portforward/httpstream.go, requestID.
    """
    return request or str(stream if kind == "error" else stream - 2)
