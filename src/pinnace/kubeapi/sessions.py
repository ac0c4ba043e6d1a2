"""Serves exec and attach: finds the container, opens the process, moves bytes between it and the client's wire.

A doer. Invariants: what is wrong with the request is told before the upgrade; when the client goes, at whatever moment,
the session is closed.
Source: Kubernetes v1.36, pkg/registry/core/pod/rest/subresources.go, kubelet/pkg/cri/streaming/remotecommand (exec.go,
attach.go: what the Status says).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from pinnace.api.world import ExecOptions, Session
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, PinnaceError, Reason
from pinnace.kube import kinds
from pinnace.kube.objects.core_v1 import Pod
from pinnace.kubeapi.calls import Call
from pinnace.kubeapi.command_protocols import (
    SOCKET_PROTOCOLS,
    SPDY_PROTOCOLS,
    CommandProtocol,
    build_exit_status,
)
from pinnace.kubeapi.command_wires import (
    OUTPUTS,
    Resized,
    SocketWire,
    SpdyWire,
    StdinReceived,
    Wire,
    no_upgrade,
)
from pinnace.kubeapi.containers import choose_container
from pinnace.kubeapi.errors import build_status, to_api_error
from pinnace.kubeapi.hangups import until_gone
from pinnace.kubeapi.held import hold
from pinnace.kubeapi.pipes import take_over, wants_upgrade
from pinnace.kubeapi.spdy_link import PROTOCOL as SPDY
from pinnace.kubeapi.spdy_link import VERSION_HEADER, negotiate_protocol

# A client may send all its input in one message; more than this at once would be kept in memory.
MAX_MESSAGE_BYTES = 64 * 1024 * 1024

Open = Callable[[Pod, ExecOptions], Awaitable[Session]]


async def serve_exec(call: Call) -> web.StreamResponse:
    """Run one more command in a container."""
    if call.means.world.exec is None:
        raise ApiError(Reason.SERVICE_UNAVAILABLE, "nobody here can run commands in containers")
    if not call.query.all("command"):
        raise ApiError(Reason.BAD_REQUEST, "you must specify at least 1 command for the container")
    return await _serve(call, call.means.world.exec.exec, call.query.all("command"))


async def serve_attach(call: Call) -> web.StreamResponse:
    """Connect to a container's main process."""
    if call.means.world.attach is None:
        raise ApiError(Reason.SERVICE_UNAVAILABLE, "nobody here can attach to containers")
    return await _serve(call, call.means.world.attach.attach, ())


async def _serve(call: Call, open_session: Open, command: tuple[str, ...]) -> web.StreamResponse:
    pod = call.api.get(kinds.POD, call.namespace, call.name)
    options = read_exec_options(call, pod, command)
    upgrade = wants_upgrade(call.request)
    if upgrade == "websocket":
        return await _serve_socket(call, open_session, pod, options)
    if upgrade == "spdy/3.1":
        return await _serve_spdy(call, open_session, pod, options)
    raise no_upgrade()


async def _serve_socket(call: Call, open_session: Open, pod: Pod, options: ExecOptions) -> web.StreamResponse:
    socket = web.WebSocketResponse(protocols=SOCKET_PROTOCOLS, compress=False, max_msg_size=MAX_MESSAGE_BYTES)
    if not socket.can_prepare(call.request):
        raise no_upgrade()
    async with hold(open_session(pod, options), call.means.tasks) as session:
        try:
            await socket.prepare(call.request)
            wire = SocketWire(socket, options)
            await wire.open()
            await pump(wire, session, options, call.request.transport, call.api.clock)
        except ConnectionError:
            pass
    return socket


async def _serve_spdy(call: Call, open_session: Open, pod: Pod, options: ExecOptions) -> web.StreamResponse:
    protocol = negotiate_protocol(call.request, SPDY_PROTOCOLS)
    async with hold(open_session(pod, options), call.means.tasks) as session:
        pipe = await take_over(call.request, SPDY, {VERSION_HEADER: protocol})
        try:
            wire = SpdyWire(pipe, CommandProtocol(protocol), options)
            if await wire.open():
                await pump(wire, session, options, call.request.transport, call.api.clock)
        except ConnectionError:
            pass
    await pipe.linger()
    return pipe.response


def read_exec_options(call: Call, pod: Pod, command: tuple[str, ...]) -> ExecOptions:
    """Return what is asked for. Source: Kubernetes v1, PodExecOptions: without a word, output and errors are sent.

    Raises: ApiError BadRequest.
    """
    query = call.query
    options = ExecOptions(
        command=command,
        container=choose_container(pod, query.text("container")),
        stdin=query.flag("stdin"),
        stdout=query.flag("stdout"),
        stderr=query.flag("stderr") and not query.flag("tty"),
        tty=query.flag("tty"),
    )
    if not (options.stdin or options.stdout or options.stderr):
        raise ApiError(Reason.BAD_REQUEST, "you must specify at least 1 of stdin, stdout, stderr")
    if pod.status.phase in ("Succeeded", "Failed"):
        raise ApiError(
            Reason.BAD_REQUEST,
            f"cannot exec into a container in a completed pod; current phase is {pod.status.phase}",
        )
    return options


async def pump(
    wire: Wire, session: Session, options: ExecOptions, transport: asyncio.BaseTransport | None, clock: Clock
) -> None:
    """Move bytes both ways until the process has ended or the client has gone. Raises: ConnectionError."""
    await until_gone(_pump_both(wire, session, options), transport, wire.knock, clock)


async def _pump_both(wire: Wire, session: Session, options: ExecOptions) -> None:
    inward = asyncio.ensure_future(_pump_in(wire, session, options))
    outward = asyncio.ensure_future(_pump_out(wire, session, options))
    try:
        await asyncio.wait((inward, outward), return_when=asyncio.FIRST_COMPLETED)
        if outward.done():
            outward.result()
    finally:
        for task in (inward, outward):
            task.cancel()
        await asyncio.gather(inward, outward, return_exceptions=True)


async def _pump_in(wire: Wire, session: Session, options: ExecOptions) -> None:
    async for value in wire.inputs():
        match value:
            case StdinReceived(data, finished) if options.stdin:
                if data:
                    await session.write_stdin(data)
                if finished:
                    await session.close_stdin()
            case Resized(width, height):
                await session.resize(width, height)


async def _pump_out(wire: Wire, session: Session, options: ExecOptions) -> None:
    try:
        async for output in session.output():
            await wire.send(OUTPUTS[output.channel], output.data)
        code = await session.wait()
        # How an attached container ended is its own affair: the kubelet answers with success, and `kubectl run` looks.
        status: dict[str, Any] = build_exit_status(code if options.command else 0)
    except PinnaceError as error:
        status = build_status(to_api_error(error))
    await wire.end(status)
