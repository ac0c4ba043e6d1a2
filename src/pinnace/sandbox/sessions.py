"""What a client does with a running container: exec, attach, logs. A doer; the base of `Sandboxes`.

Nothing here makes or removes a container.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from pinnace.base.errors import HostError
from pinnace.container.attach import Attachment
from pinnace.container.capabilities import ALL_CAPABILITIES, compute_capabilities
from pinnace.container.execs import ExecOutput, ExecSession, run_exec
from pinnace.container.logs import LogOptions, read_log, rotate_log
from pinnace.container.plan import ProcessPlan
from pinnace.container.runtime import Runtime
from pinnace.container.streams import Chunk
from pinnace.container.system import read_in_root
from pinnace.container.users import resolve_user
from pinnace.sandbox.compose import merge_env
from pinnace.sandbox.spec import ContainerHandle

LOG_MAX_BYTES = 10 << 20  # Source: Kubernetes, KubeletConfiguration, containerLogMaxSize
LOG_MAX_FILES = 5  # Source: same page, containerLogMaxFiles


class Sessions:
    """Sessions with the containers that `_containers` holds."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._containers: dict[str, ContainerHandle] = {}

    def _must_have_container(self, container_id: str) -> ContainerHandle:
        handle = self._containers.get(container_id)
        if handle is None:
            raise HostError(f"there is no container {container_id}")
        return handle

    async def exec(
        self,
        container_id: str,
        argv: tuple[str, ...],
        *,
        tty: bool = False,
        stdin: bool = False,
        env: tuple[str, ...] = (),
        user: str = "",
        cwd: str = "",
        privileged: bool = False,
    ) -> ExecSession:
        """Start a further process in a running container, as its user and in its environment unless told otherwise.

        `close` the session in the end: that kills the process if it still runs. Raises: HostError, UserError.
        """
        handle = self._must_have_container(container_id)
        process = _plan_exec(handle, argv, tty=tty, env=env, user=user, cwd=cwd, privileged=privileged)
        return await self._runtime.exec(container_id, process, folder=handle.folder, stdin=stdin)

    async def run_exec(self, container_id: str, argv: tuple[str, ...], *, timeout_s: float) -> ExecOutput:
        """Run a process in a container to its end and return what it wrote: for probes and hooks.

        Raises: TimeoutError (the process is killed then), HostError.
        """
        return await run_exec(await self.exec(container_id, argv), timeout_s=timeout_s)

    def attach(self, container_id: str) -> Attachment:
        """Connect to the stdio of a container that is created or running. Raises: HostError."""
        self._must_have_container(container_id)
        return self._runtime.attach(container_id)

    def resize(self, container_id: str, height: int, width: int) -> bool:
        """Set the size of a container's terminal; False when it isn't running."""
        return self._runtime.resize(container_id, height, width)

    def logs(self, container_id: str, options: LogOptions) -> AsyncIterator[Chunk]:
        """Give a container's log. With `follow` it ends with the container. Raises: HostError."""
        handle = self._must_have_container(container_id)
        running = self._runtime.exits.is_watched(container_id)
        if not running:
            return read_log(Path(handle.log_path), _without_follow(options))
        return read_log(Path(handle.log_path), options, ended=lambda: self._wait_quietly(container_id))

    async def _wait_quietly(self, container_id: str) -> None:
        await asyncio.gather(self._runtime.exits.wait(container_id), return_exceptions=True)

    def rotate_logs(self, *, max_bytes: int = LOG_MAX_BYTES, files: int = LOG_MAX_FILES) -> tuple[str, ...]:
        """Rotate the logs that have grown over `max_bytes`; return the ids of their containers."""
        rotated = []
        for handle in self._containers.values():
            path = Path(handle.log_path)
            if handle.state == "running" and path.exists() and path.stat().st_size > max_bytes:
                rotate_log(path, files - 1)
                self._runtime.reopen_log(handle.id)
                rotated.append(handle.id)
        return tuple(rotated)


def _without_follow(options: LogOptions) -> LogOptions:
    return LogOptions(
        tail=options.tail,
        since=options.since,
        until=options.until,
        timestamps=options.timestamps,
        limit_bytes=options.limit_bytes,
        streams=options.streams,
    )


def _plan_exec(
    handle: ContainerHandle,
    argv: tuple[str, ...],
    *,
    tty: bool,
    env: tuple[str, ...],
    user: str,
    cwd: str,
    privileged: bool,
) -> ProcessPlan:
    spec = handle.spec
    passwd, group = read_in_root(handle.rootfs, "/etc/passwd"), read_in_root(handle.rootfs, "/etc/group")
    if user:
        who = resolve_user(passwd, group, user)
    else:
        text = handle.user if spec.uid is None else str(spec.uid)
        who = resolve_user(passwd, group, text, gid=spec.gid, extra_groups=spec.groups)
    capabilities = compute_capabilities(
        add=spec.capabilities_add,
        drop=spec.capabilities_drop,
        privileged=spec.privileged or privileged,
        held=ALL_CAPABILITIES,
    )
    terminal = ("TERM=xterm",) if tty else ()
    return ProcessPlan(
        argv=argv,
        env=merge_env(terminal, handle.env, env),
        cwd=cwd or handle.cwd,
        user=who,
        tty=tty,
        capabilities=capabilities,
        no_new_privileges=spec.no_new_privileges and not privileged,
        rlimits=spec.rlimits,
        oom_score_adj=spec.oom_score_adj,
    )
