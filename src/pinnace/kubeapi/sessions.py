"""Serves exec and attach over WebSocket: one message is one channel byte and the data.

Source: Kubernetes v1.36, apimachinery/pkg/util/remotecommand/constants.go and kubelet/pkg/cri/streaming/remotecommand/
websocket.go: channels, the v5 close signal, and the exit code inside the Status on the error channel.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from pinnace.api.world import ExecOptions, Session
from pinnace.base.errors import ApiError, PinnaceError, Reason
from pinnace.kube import kinds
from pinnace.kube.objects.core_v1 import Pod
from pinnace.kubeapi.calls import Call
from pinnace.kubeapi.containers import choose_container
from pinnace.kubeapi.errors import build_status, to_api_error

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")

STDIN, STDOUT, STDERR, ERROR, RESIZE = range(5)
CLOSE = 255

_CHANNELS = {"stdout": bytes((STDOUT,)), "stderr": bytes((STDERR,))}

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
    socket = web.WebSocketResponse(protocols=PROTOCOLS, compress=False, max_msg_size=0)
    if not socket.can_prepare(call.request):
        raise ApiError(
            Reason.BAD_REQUEST, "Upgrade request required: this server speaks WebSocket here, not SPDY"
        )
    session = await open_session(pod, options)
    try:
        await socket.prepare(call.request)
        # An empty message tells the client that the session is up.
        await socket.send_bytes(bytes((STDOUT if options.stdout else STDERR if options.stderr else ERROR,)))
        await _pump(socket, session, options)
    except ConnectionError:
        pass
    finally:
        await session.close()
    return socket


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


async def _pump(socket: web.WebSocketResponse, session: Session, options: ExecOptions) -> None:
    """Move bytes both ways until the process has ended or the client has gone."""
    inward = asyncio.ensure_future(_pump_in(socket, session, options))
    outward = asyncio.ensure_future(_pump_out(socket, session))
    try:
        done, _ = await asyncio.wait((inward, outward), return_when=asyncio.FIRST_COMPLETED)
        if outward in done:
            outward.result()
            await socket.close()
    finally:
        for task in (inward, outward):
            task.cancel()
        await asyncio.gather(inward, outward, return_exceptions=True)


async def _pump_in(socket: web.WebSocketResponse, session: Session, options: ExecOptions) -> None:
    async for message in socket:
        if message.type is not WSMsgType.BINARY or not message.data:
            continue
        channel, data = message.data[0], message.data[1:]
        if channel == STDIN and options.stdin:
            if data:
                await session.write_stdin(data)
        elif channel == CLOSE and data[:1] == bytes((STDIN,)):
            await session.close_stdin()
        elif channel == RESIZE:
            await _resize(session, data)


async def _resize(session: Session, data: bytes) -> None:
    try:
        size = json.loads(data)
        width, height = int(size["Width"]), int(size["Height"])
    except (ValueError, KeyError, TypeError):
        return
    await session.resize(width, height)


async def _pump_out(socket: web.WebSocketResponse, session: Session) -> None:
    try:
        async for output in session.output():
            await socket.send_bytes(_CHANNELS[output.channel] + output.data)
        status = build_exit_status(await session.wait())
    except PinnaceError as error:
        status = build_status(to_api_error(error))
    await socket.send_bytes(bytes((ERROR,)) + msgspec.json.encode(status))


def build_exit_status(code: int) -> dict[str, Any]:
    """Return the Status that carries an exit code.

    Source: Kubernetes v1.36, apimachinery/pkg/util/remotecommand, NonZeroExitCodeReason and ExitCodeCauseType.
    """
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }
