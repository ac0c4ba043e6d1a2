"""Serves port-forward, in the three ways that clients speak: SPDY, SPDY inside WebSocket, and WebSocket channels.

With SPDY each forwarded connection is a pair of streams (data, error) that the client opens; with channels it is a pair
for each port of the query. All end in `PodPortForward.connect`. A doer.
Source: Kubernetes v1.36, apimachinery/pkg/util/portforward/constants.go, kubelet/pkg/cri/streaming/portforward
(httpstream.go, websocket.go).
"""

import asyncio
import contextlib

from aiohttp import web

from pinnace.api.world import PodPortForward
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, Reason
from pinnace.base.tasks import Tasks
from pinnace.kube import kinds
from pinnace.kube.objects.core_v1 import Pod
from pinnace.kubeapi.calls import Call
from pinnace.kubeapi.command_protocols import unwrap_text, wrap_text
from pinnace.kubeapi.command_wires import no_upgrade
from pinnace.kubeapi.forwarded import Forwarded, ForwardedStreams
from pinnace.kubeapi.hangups import until_gone
from pinnace.kubeapi.pipes import SocketPipe, take_over, wants_upgrade
from pinnace.kubeapi.spdy_link import PROTOCOL, VERSION_HEADER, SpdyLink, negotiate_protocol

STREAMS = "portforward.k8s.io"
TUNNEL = "SPDY/3.1+portforward.k8s.io"
CHANNELS = "v4.channel.k8s.io"
TEXT_CHANNELS = "v4.base64.channel.k8s.io"
MAX_MESSAGE_BYTES = 64 * 1024 * 1024


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
    ports = read_ports(call.query.all("ports"))
    upgrade = wants_upgrade(call.request)
    tasks = Tasks("port-forward")
    try:
        if upgrade == "websocket":
            return await _serve_socket(call.request, world, pod, tasks, ports, call.api.clock)
        if upgrade == "spdy/3.1":
            return await _serve_spdy(call.request, world, pod, tasks, call.api.clock)
    finally:
        await tasks.close()
    raise no_upgrade()


async def _serve_spdy(
    request: web.BaseRequest, world: PodPortForward, pod: Pod, tasks: Tasks, clock: Clock
) -> web.StreamResponse:
    protocol = negotiate_protocol(request, (STREAMS,))
    pipe = await take_over(request, PROTOCOL, {VERSION_HEADER: protocol})
    await _serve_streams(SpdyLink(pipe), world, pod, tasks, clock, request.transport)
    return pipe.response


async def _serve_socket(
    request: web.BaseRequest,
    world: PodPortForward,
    pod: Pod,
    tasks: Tasks,
    ports: tuple[int, ...],
    clock: Clock,
) -> web.StreamResponse:
    socket = web.WebSocketResponse(
        protocols=(TUNNEL, CHANNELS, TEXT_CHANNELS), compress=False, max_msg_size=MAX_MESSAGE_BYTES
    )
    if not socket.can_prepare(request):
        raise no_upgrade()
    await socket.prepare(request)
    if socket.ws_protocol == TUNNEL:
        link = SpdyLink(SocketPipe(socket))
        await _serve_streams(link, world, pod, tasks, clock, request.transport)
        return socket

    async def knock() -> None:
        await socket.ping()

    with contextlib.suppress(ConnectionError):
        work = _Channels(socket, world, pod, tasks, ports).run()
        await until_gone(work, request.transport, knock, clock)
    return socket


async def _serve_streams(
    link: SpdyLink,
    world: PodPortForward,
    pod: Pod,
    tasks: Tasks,
    clock: Clock,
    transport: asyncio.BaseTransport | None,
) -> None:
    with contextlib.suppress(ConnectionError):
        work = ForwardedStreams(link, world, pod, tasks, clock).run()
        await until_gone(work, transport, link.knock, clock)


def read_ports(texts: tuple[str, ...]) -> tuple[int, ...]:
    """Return the ports of the query. Raises: ApiError BadRequest."""
    ports: list[int] = []
    for text in ",".join(texts).split(",") if texts else ():
        if not text.isdigit() or not 0 < int(text) < 65536:
            raise ApiError(Reason.BAD_REQUEST, f'unable to parse "{text}" as a port')
        ports.append(int(text))
    return tuple(ports)


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
        self._text = socket.ws_protocol == TEXT_CHANNELS
        self._connections = [Forwarded(port) for port in ports]

    async def run(self) -> None:
        for index, connection in enumerate(self._connections):
            # Each channel begins with its port, so that the client can tell them apart.
            port = connection.port.to_bytes(2, "little")
            await self._send(2 * index, port)
            await self._send(2 * index + 1, port)
            self._tasks.spawn(self._serve(index, connection), f"port {connection.port}")
        async for message in self._socket:
            parted = self._read(message.data)
            if parted is None:
                continue
            index, is_error = divmod(parted[0], 2)
            if not is_error and 0 <= index < len(self._connections) and parted[1]:
                await self._connections[index].feed(parted[1])

    def _read(self, data: object) -> tuple[int, bytes] | None:
        if self._text:
            return unwrap_text(data) if isinstance(data, str | bytes) else None
        raw = data.encode() if isinstance(data, str) else data
        return (raw[0], raw[1:]) if isinstance(raw, bytes) and raw else None

    async def _send(self, channel: int, data: bytes) -> None:
        if self._text:
            await self._socket.send_str(wrap_text(channel, data))
        else:
            await self._socket.send_bytes(bytes((channel,)) + data)

    async def _serve(self, index: int, connection: Forwarded) -> None:
        async def send(data: bytes) -> None:
            if data:
                await self._send(2 * index, data)

        try:
            problem = await connection.run(self._world, self._pod, send)
            if problem:
                await self._send(2 * index + 1, problem.encode())
            if len(self._tasks) == 1:  # the last connection has ended
                await self._socket.close()
        except ConnectionError:
            return
