"""Serves port-forward over WebSocket, in both ways that clients speak.

kubectl carries a SPDY/3.1 connection inside the messages, with a pair of streams (data, error) for each forwarded
connection; the Python client uses plain channels, a pair for each port. Both end in `PodPortForward.connect`.
Source: Kubernetes v1.36, apimachinery/pkg/util/portforward/constants.go, kubelet/pkg/cri/streaming/portforward.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from pinnace.api.world import PodPortForward
from pinnace.base.errors import ApiError, PinnaceError, Reason
from pinnace.base.tasks import Tasks
from pinnace.kube import kinds
from pinnace.kube.objects.core_v1 import Pod
from pinnace.kubeapi import spdy
from pinnace.kubeapi.calls import Call

log = logging.getLogger("pinnace.kubeapi")

TUNNEL = "SPDY/3.1+portforward.k8s.io"
CHANNELS = "v4.channel.k8s.io"

_CHUNK_BYTES = 64 * 1024

Send = Callable[[bytes], Awaitable[None]]


async def serve_port_forward(call: Call) -> web.StreamResponse:
    """Carry connections to ports inside a pod, until the client leaves."""
    world = call.means.world.port_forward
    if world is None:
        raise ApiError(Reason.SERVICE_UNAVAILABLE, "nobody here can reach into pods")
    pod = call.api.get(kinds.POD, call.namespace, call.name)
    if pod.status.phase != "Running":
        raise ApiError(
            Reason.BAD_REQUEST,
            f"unable to forward port because pod is not running. Current status={pod.status.phase}",
        )
    socket = web.WebSocketResponse(protocols=(TUNNEL, CHANNELS), compress=False, max_msg_size=0)
    if not socket.can_prepare(call.request):
        raise ApiError(
            Reason.BAD_REQUEST, "Upgrade request required: this server speaks WebSocket here, not SPDY"
        )
    ports = read_ports(call.query.all("ports"))
    await socket.prepare(call.request)
    tasks = Tasks("port-forward")
    try:
        if socket.ws_protocol == TUNNEL:
            await _Tunnel(socket, world, pod, tasks).run()
        else:
            await _Channels(socket, world, pod, tasks, ports).run()
    except ConnectionError:
        pass
    finally:
        await tasks.close()
    return socket


def read_ports(texts: tuple[str, ...]) -> tuple[int, ...]:
    """Return the ports of the query. Raises: ApiError BadRequest."""
    ports: list[int] = []
    for text in ",".join(texts).split(",") if texts else ():
        if not text.isdigit() or not 0 < int(text) < 65536:
            raise ApiError(Reason.BAD_REQUEST, f'unable to parse "{text}" as a port')
        ports.append(int(text))
    return tuple(ports)


@dataclass(eq=False)
class _Connection:
    """One connection into the pod: bytes wait in `inbox` until it is open; None is their end."""

    port: int
    inbox: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(maxsize=16))

    async def run(self, world: PodPortForward, pod: Pod, send: Send) -> str:
        """Move bytes both ways until both are done; return what went wrong, or ""."""
        try:
            reader, writer = await world.connect(pod, self.port)
        except (PinnaceError, OSError) as error:
            name = f"{pod.metadata.namespace}/{pod.metadata.name}"
            why = error.strerror or str(error) if isinstance(error, OSError) else error.message
            return f"error forwarding port {self.port} to pod {name}: {why}"
        inward = asyncio.ensure_future(self._pump_in(writer))
        try:
            while data := await reader.read(_CHUNK_BYTES):
                await send(data)
        except ConnectionResetError:
            pass
        finally:
            inward.cancel()
            await asyncio.gather(inward, return_exceptions=True)
            writer.close()
        return ""

    async def _pump_in(self, writer: asyncio.StreamWriter) -> None:
        while (data := await self.inbox.get()) is not None:
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


class _Tunnel:
    """SPDY inside WebSocket messages."""

    def __init__(self, socket: web.WebSocketResponse, world: PodPortForward, pod: Pod, tasks: Tasks) -> None:
        self._socket = socket
        self._world = world
        self._pod = pod
        self._tasks = tasks
        self._spdy = spdy.SpdyServer()
        self._errors: dict[str, int] = {}
        self._connections: dict[int, _Connection] = {}

    async def run(self) -> None:
        async for message in self._socket:
            if message.type is not WSMsgType.BINARY:
                continue
            try:
                for event in self._spdy.receive(message.data):
                    await self._handle(event)
            except spdy.SpdyError as error:
                log.info("port-forward to %s: %s", self._pod.metadata.name, error)
                return

    async def _handle(self, event: spdy.SpdyEvent) -> None:
        match event:
            case spdy.StreamOpened():
                await self._open(event)
            case spdy.DataReceived(stream, data, finished):
                await self._deliver(stream, data, finished)
            case spdy.StreamReset(stream):
                await self._deliver(stream, b"", True)
            case spdy.PingReceived(number):
                await self._socket.send_bytes(self._spdy.pong(number))

    async def _open(self, event: spdy.StreamOpened) -> None:
        """Take one of a pair's two streams; the data stream comes second and starts the connection."""
        headers, stream = event.headers, event.stream
        request, port = headers.get("requestid", ""), headers.get("port", "")
        await self._socket.send_bytes(self._spdy.reply(stream))
        if headers.get("streamtype") == "error":
            self._errors[request] = stream
            return
        errors = self._errors.pop(request, None)
        if errors is None or not port.isdigit():
            await self._socket.send_bytes(self._spdy.reset(stream, spdy.PROTOCOL_ERROR))
            return
        connection = self._connections[stream] = _Connection(int(port))
        self._tasks.spawn(self._serve(stream, errors, connection), f"port {port}")

    async def _deliver(self, stream: int, data: bytes, finished: bool) -> None:
        connection = self._connections.get(stream)
        if connection is None:
            return
        if data:
            await connection.inbox.put(data)
        if finished:
            await connection.inbox.put(None)

    async def _serve(self, stream: int, errors: int, connection: _Connection) -> None:
        async def send(data: bytes) -> None:
            await self._socket.send_bytes(self._spdy.data(stream, data))

        try:
            problem = await connection.run(self._world, self._pod, send)
            self._connections.pop(stream, None)
            _empty(connection.inbox)
            await self._socket.send_bytes(self._spdy.data(errors, problem.encode(), finished=True))
            await self._socket.send_bytes(self._spdy.data(stream, b"", finished=True))
        except ConnectionError:
            return  # the client has gone


class _Channels:
    """A channel byte before the data: 2n is port n's data, 2n+1 its errors."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        world: PodPortForward,
        pod: Pod,
        tasks: Tasks,
        ports: tuple[int, ...],
    ) -> None:
        self._socket = socket
        self._world = world
        self._pod = pod
        self._tasks = tasks
        self._connections = [_Connection(port) for port in ports]

    async def run(self) -> None:
        for index, connection in enumerate(self._connections):
            # Each channel begins with its port, so that the client can tell them apart.
            port = connection.port.to_bytes(2, "little")
            await self._socket.send_bytes(bytes((2 * index,)) + port)
            await self._socket.send_bytes(bytes((2 * index + 1,)) + port)
            self._tasks.spawn(self._serve(index, connection), f"port {connection.port}")
        async for message in self._socket:
            if message.type is not WSMsgType.BINARY or not message.data:
                continue
            index, is_error = divmod(message.data[0], 2)
            if not is_error and index < len(self._connections):
                await self._connections[index].inbox.put(message.data[1:])

    async def _serve(self, index: int, connection: _Connection) -> None:
        async def send(data: bytes) -> None:
            await self._socket.send_bytes(bytes((2 * index,)) + data)

        try:
            problem = await connection.run(self._world, self._pod, send)
            if problem:
                await self._socket.send_bytes(bytes((2 * index + 1,)) + problem.encode())
            if len(self._tasks) == 1:  # the last connection has ended
                await self._socket.close()
        except ConnectionError:
            return


def _empty(inbox: asyncio.Queue[bytes | None]) -> None:
    """Drop what nobody will read, so that the reader of the tunnel is not held up by it."""
    while not inbox.empty():
        inbox.get_nowait()
