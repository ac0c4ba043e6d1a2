"""Runs containers: an OCI runtime (runc or crun) creates them, a conmon each watches them. A doer.

Called by `sandbox/`. Errors carry the command and its stderr. Everything lies below the run dir that it is given.
Invariant: `create` that fails leaves no process, cgroup or file; `delete` is fine with whatever is left of a container.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pinnace.base import spawn
from pinnace.base.clock import Clock
from pinnace.base.errors import HostError
from pinnace.container.attach import Attachment, attach, send_control
from pinnace.container.cgroup import Cgroups, Limits, render_resources
from pinnace.container.config import DaemonRights, render_config, render_process
from pinnace.container.execs import ExecSession, start_exec
from pinnace.container.exits import Exits, open_monitor_pidfd, open_pidfd
from pinnace.container.monitor import REOPEN_LOG, MonitorOptions, RunPaths, parse_created, render_monitor_argv
from pinnace.container.plan import ContainerPlan, ProcessPlan
from pinnace.container.programs import Programs
from pinnace.container.readiness import wait_readable
from pinnace.container.start import open_gate

CREATE_TIMEOUT_S = 120.0
KILL_TIMEOUT_S = 15.0
# What the monitor and the runtime need; nothing of the daemon's own environment reaches them.
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "TZ": "UTC",
    "LC_ALL": "C",
}


@dataclass(frozen=True, slots=True)
class Created:
    """A created container: the host's pid of its first process, and of its monitor."""

    pid: int
    monitor_pid: int


class Runtime:
    """The containers of one instance."""

    def __init__(
        self, programs: Programs, run: Path, cgroups: Cgroups, clock: Clock, rights: DaemonRights
    ) -> None:
        self.programs = programs
        self.paths = RunPaths(run)
        self.cgroups = cgroups
        self.rights = rights
        self.exits = Exits(self.paths, cgroups, clock)
        self._clock = clock
        self._exec_numbers = itertools.count(1)

    @property
    def argv(self) -> list[str]:
        """The start of every command of the runtime."""
        driver = ["--systemd-cgroup"] if self.cgroups.is_systemd else []
        return [self.programs.runtime_path, "--root", str(self.paths.runtime_root), *driver]

    def ensure_folders(self) -> None:
        """Make the folders below the run dir; for root only."""
        for folder in (
            self.paths.runtime_root,
            self.paths.exits,
            self.paths.sockets,
            self.paths.run / "containers",
            self.paths.run / "persist",
        ):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def create(
        self,
        container: str,
        plan: ContainerPlan,
        *,
        folder: str,
        log_path: Path,
        stdin: bool = False,
        stdin_once: bool = False,
    ) -> Created:
        """Create a container that waits to be started, and watch it. `folder` is its cgroup's.

        Raises: HostError with the runtime's own words.
        """
        paths = self.paths
        options = MonitorOptions(log_path, plan.process.tty, stdin, stdin_once, self.cgroups.is_systemd)
        argv = render_monitor_argv(
            self.programs.monitor_path, self.programs.runtime_path, container, paths, options
        )
        try:
            paths.bundle(container).mkdir(parents=True, exist_ok=True, mode=0o700)
            paths.persist(container).mkdir(parents=True, exist_ok=True, mode=0o700)
            log_path.parent.mkdir(parents=True, exist_ok=True)
            self.exits.note_baseline(container, folder)
            (paths.bundle(container) / "config.json").write_bytes(
                render_config(plan, self.cgroups.host, self.rights)
            )
            pid = await self._start_monitor(argv, paths.bundle(container))
            monitor_pid = int(paths.monitor_pid_file(container).read_text())
        except BaseException:
            await asyncio.shield(self.delete(container, folder=folder))
            raise
        self.exits.watch(container, pid, monitor_pid, folder)
        return Created(pid, monitor_pid)

    async def _start_monitor(self, argv: list[str], folder: Path) -> int:
        """Start conmon, move it to the monitors' cgroup, let it go on, and return the pid that it tells.

        It works in the container's folder: where it works, it leaves a file `oom` when the kernel kills for memory.
        """
        answer_read, answer_write = os.pipe()
        go_read, go_write = os.pipe()
        open_fds = {answer_read, answer_write, go_read, go_write}

        def close(*descriptors: int) -> None:
            for descriptor in descriptors:
                if descriptor in open_fds:
                    open_fds.discard(descriptor)
                    os.close(descriptor)

        stderr = os.memfd_create("monitor-stderr", os.MFD_CLOEXEC)
        try:
            environment = {**_ENVIRONMENT, "_OCI_SYNCPIPE": str(answer_write), "_OCI_STARTPIPE": str(go_read)}
            process = await spawn.start(
                argv, stderr=stderr, env=environment, cwd=folder, pass_fds=(answer_write, go_read)
            )
            close(answer_write, go_read)
            try:
                await self.cgroups.adopt_monitor(process.pid)
                os.write(go_write, b"\0")
                async with asyncio.timeout(CREATE_TIMEOUT_S):
                    answer = await _read_line(answer_read)
                    await process.wait()
            except BaseException as error:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
                if isinstance(error, TimeoutError):
                    raise HostError(
                        f"the container was not created within {CREATE_TIMEOUT_S:g} s", argv=argv
                    ) from None
                raise
            return parse_created(answer, tuple(argv), os.pread(stderr, 4096, 0).decode(errors="replace"))
        finally:
            close(*tuple(open_fds))
            os.close(stderr)

    async def start(self, container: str) -> None:
        """Let a created container's process begin. Raises: HostError."""
        if self.programs.runtime == "runc":
            state = self.paths.runtime_root / container
            if await open_gate(state, lambda: self.exits.wait(container), self.exits.pid(container) or 0):
                return
        await spawn.run([*self.argv, "start", container], env=_ENVIRONMENT)

    def kill(self, container: str, number: int = signal.SIGTERM) -> bool:
        """Send a signal to the container's first process; False when it has ended."""
        return self.exits.send_signal(container, number)

    async def update(self, container: str, limits: Limits) -> None:
        """Set other limits on a running container; what `limits` leaves out stays. Raises: HostError."""
        document = msgspec.json.encode(render_resources(limits, self.cgroups.host))
        # A file in memory rather than stdin: crun opens /dev/stdin anew, which a socket refuses.
        descriptor = os.memfd_create("resources", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, document)
            argv = [*self.argv, "update", "--resources", f"/proc/self/fd/{descriptor}", container]
            await spawn.run(argv, env=_ENVIRONMENT, pass_fds=(descriptor,))
        finally:
            os.close(descriptor)

    async def state(self, container: str) -> str:
        """Return "creating", "created", "running", "paused", "stopped", or "" when the runtime knows no such container."""
        if not (self.paths.runtime_root / container).is_dir():
            return ""
        completed = await spawn.run([*self.argv, "state", container], check=False, env=_ENVIRONMENT)
        if completed.returncode != 0:
            return ""
        return str(msgspec.json.decode(completed.stdout, type=dict[str, Any]).get("status", ""))

    async def delete(self, container: str, *, folder: str) -> None:
        """End a container if it runs, and remove all that the run dir and the cgroups hold of it. Idempotent."""
        if self.exits.is_watched(container):
            self.kill(container, signal.SIGKILL)
            try:
                async with asyncio.timeout(KILL_TIMEOUT_S):
                    await self.exits.wait(container)
            except TimeoutError:
                raise HostError(
                    f"container {container} does not end after SIGKILL",
                    hint=f"a process waits in the kernel: cat /proc/{self.exits.pid(container)}/stack",
                ) from None
        self.cgroups.kill(
            folder
        )  # what shares another's process namespace, or was left by a half-made container
        self.exits.forget(container)
        if (self.paths.runtime_root / container).exists():
            completed = await spawn.run(
                [*self.argv, "delete", "--force", container], check=False, env=_ENVIRONMENT
            )
            if completed.returncode != 0:
                shutil.rmtree(self.paths.runtime_root / container, ignore_errors=True)
        await self.cgroups.remove_path(folder)
        await self._end_monitor(container)
        shutil.rmtree(self.paths.bundle(container), ignore_errors=True)
        shutil.rmtree(self.paths.persist(container), ignore_errors=True)
        self.paths.exit_file(container).unlink(missing_ok=True)
        self.paths.socket_link(container).unlink(missing_ok=True)

    async def delete_all(self) -> None:
        """End and remove all containers of the instance, their monitors and cgroups, known or not."""
        containers = sorted(path.name for path in self.paths.run.glob("containers/*"))
        self.cgroups.kill_containers()
        # The monitors reap their containers; killed first, they would leave that to an init that may be slow.
        await asyncio.gather(*(self._end_monitor(container) for container in containers))
        for container in containers:
            self.exits.forget(container)
        await self.cgroups.remove_all()
        for folder in ("runtime", "exits", "attach", "containers", "persist"):
            shutil.rmtree(self.paths.run / folder, ignore_errors=True)

    async def _end_monitor(self, container: str) -> None:
        """Wait for the monitor of a deleted container to end, which it does by itself; else kill it."""
        try:
            pid = int(self.paths.monitor_pid_file(container).read_text())
        except (OSError, ValueError):
            return
        descriptor = open_monitor_pidfd(pid, container)
        if descriptor < 0:
            return
        try:
            try:
                async with asyncio.timeout(2.0):
                    await wait_readable(descriptor)
            except TimeoutError:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                await wait_readable(descriptor)
        finally:
            os.close(descriptor)

    def adopt(self, container: str, folder: str) -> bool:
        """Watch again a container that an earlier daemon created; False when neither it nor its exit is there.

        One that ended meanwhile is told as an exit in the next turn of the loop.
        """
        try:
            pid = int(self.paths.pid_file(container).read_text())
            monitor_pid = int(self.paths.monitor_pid_file(container).read_text())
        except (OSError, ValueError):
            return False
        descriptor = open_pidfd(pid, folder)
        if descriptor >= 0:
            os.close(descriptor)
        elif not self.paths.exit_file(container).exists() and not self._has_monitor(monitor_pid, container):
            return False
        self.exits.watch(container, pid, monitor_pid, folder)
        return True

    def _has_monitor(self, pid: int, container: str) -> bool:
        descriptor = open_monitor_pidfd(pid, container)
        if descriptor >= 0:
            os.close(descriptor)
        return descriptor >= 0

    def attach(self, container: str) -> Attachment:
        """Connect to a container's stdio. Between `create` and `start` no output is missed. Raises: HostError."""
        return attach(self.paths.socket(container), self.paths.control(container))

    def resize(self, container: str, height: int, width: int) -> bool:
        """Set the size of a container's terminal; False when it has ended."""
        return send_control(self.paths.control(container), f"1 {height} {width}\n".encode())

    def reopen_log(self, container: str) -> bool:
        """Have the monitor open its log anew, after the file was renamed; False when it is gone."""
        return send_control(self.paths.control(container), REOPEN_LOG)

    async def exec(
        self, container: str, process: ProcessPlan, *, folder: str, stdin: bool = False
    ) -> ExecSession:
        """Start a further process in a running container. Raises: HostError when it isn't running."""
        if not self.exits.is_watched(container):
            raise HostError(f"container {container} is not running")
        document = msgspec.json.encode(render_process(process, self.rights))
        pid_file = self.paths.bundle(container) / f"exec-{next(self._exec_numbers)}"
        return await start_exec(
            self.argv,
            container,
            document,
            tty_wanted=process.tty,
            stdin=stdin,
            folder=folder,
            pid_file=pid_file,
            clock=self._clock,
        )


async def _read_line(descriptor: int) -> bytes:
    """Return what comes up to a newline or the end of a pipe."""
    os.set_blocking(descriptor, False)
    collected = b""
    while not collected.endswith(b"\n"):
        try:
            data = os.read(descriptor, 65536)
        except BlockingIOError:
            await wait_readable(descriptor)
            continue
        if not data:
            break
        collected += data
    return collected
