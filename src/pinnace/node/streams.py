"""What people do with running pods: logs, exec, attach, port-forward. Implements the Protocols of `api/world.py`. A doer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from pinnace.api.world import ExecOptions, LogOptions, Output, Session
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, Reason
from pinnace.container.attach import Attachment
from pinnace.container.execs import ExecSession
from pinnace.container.logs import LogOptions as ReadOptions
from pinnace.container.logs import read_log
from pinnace.container.system import setns
from pinnace.kube.objects.core_v1 import Container, Pod
from pinnace.node.book import PodBook
from pinnace.node.facts import ContainerFacts, ContainerState, every_container
from pinnace.node.specs import sandbox_id
from pinnace.node.status import shows_end_as_last
from pinnace.sandbox.namespaces import run_in_own_thread
from pinnace.sandbox.sandboxes import Sandboxes


class PodStreams:
    """Logs, exec, attach and port-forward of the pods of one node."""

    def __init__(
        self, sandboxes: Sandboxes, book: PodBook, clock: Clock, log_path: Callable[[str, str, int], Path]
    ) -> None:
        self._sandboxes = sandboxes
        self._book = book
        self._clock = clock
        self._log_path = log_path

    # --- logs ------------------------------------------------------------------------------------------------------

    async def read_logs(self, pod: Pod, options: LogOptions) -> AsyncIterator[bytes]:
        """Yield the log. Raises: ApiError BadRequest, in the kubelet's words."""
        container = find_container(pod, options.container)
        known = self._facts(pod, container.name)
        since = options.since_time
        if options.since_s is not None:
            since = self._clock.now() - options.since_s
        reading = ReadOptions(
            follow=options.follow and not options.previous,
            tail=options.tail_lines,
            since=since,
            timestamps=options.timestamps,
            limit_bytes=options.limit_bytes,
        )
        attempt = known.attempt
        waits = shows_end_as_last(pod, container, known)
        if options.previous and not waits and known.last is None:
            raise _bad_request(
                f'previous terminated container "{container.name}" in pod "{pod.metadata.name}" not found'
            )
        if (options.previous and not waits) or (known.state is ContainerState.ABSENT and known.attempt > 0):
            attempt = known.attempt - 1
        elif known.state is ContainerState.ABSENT:
            raise _bad_request(
                f'container "{container.name}" in pod "{pod.metadata.name}" is waiting to start: {_waiting(pod, known)}'
            )
        path = self._log_path(pod.metadata.uid, container.name, attempt)
        if known.state is ContainerState.RUNNING and not options.previous:
            stream = self._sandboxes.logs(known.container_id, reading)
        elif path.exists():
            stream = read_log(path, _still(reading))
        else:
            raise _bad_request(f"unable to retrieve container logs for pinnace://{known.container_id}")
        async for chunk in stream:
            yield chunk.data

    # --- sessions --------------------------------------------------------------------------------------------------

    async def exec(self, pod: Pod, options: ExecOptions) -> Session:
        known = self._running(pod, options)
        session = await self._sandboxes.exec(
            known.container_id, options.command, tty=options.tty, stdin=options.stdin
        )
        return _Exec(session)

    async def attach(self, pod: Pod, options: ExecOptions) -> Session:
        known = self._running(pod, options)
        return _Attached(self._sandboxes, known.container_id, self._sandboxes.attach(known.container_id))

    async def connect(self, pod: Pod, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect from inside the pod's network, so that what listens on its localhost only is reached too."""
        sandbox = self._sandboxes.get_sandbox(sandbox_id(pod.metadata.uid))
        if sandbox is None or sandbox.gone:
            raise _bad_request(f'pod "{pod.metadata.name}" is not running')

        def dial() -> socket.socket:
            if sandbox.netns_path:
                setns(sandbox.netns_path)
            return socket.create_connection(("127.0.0.1", port), timeout=10.0)

        try:
            connection = await run_in_own_thread(dial)
        except OSError as error:
            raise ApiError(
                Reason.INTERNAL_ERROR,
                f"dial tcp4 127.0.0.1:{port}: {error.strerror}",
            ) from error
        connection.setblocking(False)
        return await asyncio.open_connection(sock=connection)

    # --- finding ---------------------------------------------------------------------------------------------------

    def _facts(self, pod: Pod, name: str) -> ContainerFacts:
        facts = self._book.facts.get(pod.metadata.uid)
        return facts.container(name) if facts is not None else ContainerFacts(name)

    def _running(self, pod: Pod, options: ExecOptions) -> ContainerFacts:
        container = find_container(pod, options.container)
        known = self._facts(pod, container.name)
        if known.state is not ContainerState.RUNNING:
            phase = pod.status.phase
            if phase in ("Succeeded", "Failed"):
                raise _bad_request(
                    f"cannot exec into a container in a completed pod; current phase is {phase}"
                )
            raise _bad_request(f'container not found ("{container.name}")')
        return known


def find_container(pod: Pod, name: str) -> Container:
    """Return the named container, or the first when no name is given. Raises: ApiError BadRequest."""
    if not name:
        default = pod.metadata.annotations.get("kubectl.kubernetes.io/default-container", "")
        if default or len(pod.spec.containers) == 1:
            name = default or pod.spec.containers[0].name
        else:
            names = " ".join(c.name for c in pod.spec.containers)
            raise _bad_request(
                f"a container name must be specified for pod {pod.metadata.name}, choose one of: [{names}]"
            )
    for container in every_container(pod):
        if container.name == name:
            return container
    raise _bad_request(f"container {name} is not valid for pod {pod.metadata.name}")


def _waiting(pod: Pod, known: ContainerFacts) -> str:
    if known.problem is not None:
        if known.problem.reason.startswith("Err") or known.problem.reason == "ImagePullBackOff":
            return "trying and failing to pull image"
        return known.problem.message or known.problem.reason
    return "PodInitializing" if pod.spec.init_containers else "ContainerCreating"


def _still(options: ReadOptions) -> ReadOptions:
    return ReadOptions(
        tail=options.tail, since=options.since, timestamps=options.timestamps, limit_bytes=options.limit_bytes
    )


def _bad_request(message: str) -> ApiError:
    return ApiError(Reason.BAD_REQUEST, message)


class _Exec:
    """An `ExecSession` as the edges see it."""

    def __init__(self, session: ExecSession) -> None:
        self._session = session

    async def write_stdin(self, data: bytes) -> None:
        await self._session.write(data)

    async def close_stdin(self) -> None:
        await self._session.close_stdin()

    async def output(self) -> AsyncIterator[Output]:
        while chunk := await self._session.read():
            yield Output(chunk.stream, chunk.data)

    async def resize(self, width: int, height: int) -> None:
        self._session.resize(height, width)

    async def wait(self) -> int:
        code = await self._session.wait()
        if self._session.failure:
            raise ApiError(
                Reason.INTERNAL_ERROR, f"error executing command in container: {self._session.failure}"
            )
        return code

    async def close(self) -> None:
        await self._session.close()


class _Attached:
    """An `Attachment` as the edges see it; its end is the container's."""

    def __init__(self, sandboxes: Sandboxes, container_id: str, attachment: Attachment) -> None:
        self._sandboxes = sandboxes
        self._container_id = container_id
        self._attachment = attachment

    async def write_stdin(self, data: bytes) -> None:
        await self._attachment.write(data)

    async def close_stdin(self) -> None:
        await self._attachment.close_stdin()

    async def output(self) -> AsyncIterator[Output]:
        while chunk := await self._attachment.read():
            yield Output(chunk.stream, chunk.data)

    async def resize(self, width: int, height: int) -> None:
        self._attachment.resize(height, width)

    async def wait(self) -> int:
        fact: Any = await self._sandboxes.wait(self._container_id)
        return int(fact.exit_code)

    async def close(self) -> None:
        await self._attachment.close()
