"""Learns that containers have ended, as facts: a pidfd of the container's first process, then conmon's files.

A doer. Events, not polling: the pidfd becomes readable when the process ends; then the monitor drains the log, writes
the exit file and ends, which a pidfd of the monitor tells. Invariant: one fact per watched container, exactly once, also
when the monitor was killed (then the code is unknown) and after the daemon itself was restarted.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pinnace.base.clock import Clock
from pinnace.base.errors import HostError
from pinnace.container.cgroup import Cgroups
from pinnace.container.monitor import RunPaths

UNKNOWN_EXIT_CODE = 137  # Source: Kubernetes, pkg/kubelet/status, the code of reason ContainerStatusUnknown


class ExitFact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a container ended. `signal` is 0 when it ended by itself; `known` is False when nobody saw the end.

    A process that returns a code over 128 can't be told from one that a signal ended, as in any shell.
    Units: `finished_at` seconds since 1970.
    """

    container_id: str
    exit_code: int
    signal: int = 0
    oom_killed: bool = False
    finished_at: float = 0.0
    known: bool = True


def parse_exit(container: str, text: str, finished_at: float, *, oom_killed: bool) -> ExitFact:
    """Return the fact in an exit file. Example: "137" is code 137 by signal 9."""
    code = int(text.strip())
    number = code - 128 if 128 < code <= 128 + 64 else 0
    return ExitFact(
        container_id=container, exit_code=code, signal=number, oom_killed=oom_killed, finished_at=finished_at
    )


@dataclass(slots=True)
class _Watched:
    folder: str
    pidfd: int
    monitor_pid: int
    pid: int
    ended: asyncio.Future[ExitFact]
    monitor_fd: int = -1
    killed: bool = False  # by us


class Exits:
    """All containers that are watched, and who wants to hear of their ends."""

    def __init__(self, paths: RunPaths, cgroups: Cgroups, clock: Clock) -> None:
        self._paths = paths
        self._cgroups = cgroups
        self._clock = clock
        self._watched: dict[str, _Watched] = {}
        self._listeners: list[Callable[[ExitFact], None]] = []
        self._subscriptions: set[Subscription] = set()

    def listen(self, listener: Callable[[ExitFact], None]) -> None:
        """Call `listener` with each fact, before any subscriber gets it."""
        self._listeners.append(listener)

    def subscribe(self) -> Subscription:
        """Return an iterator over all facts from now on."""
        subscription = Subscription(self._subscriptions)
        self._subscriptions.add(subscription)
        return subscription

    def watch(self, container: str, pid: int, monitor_pid: int, folder: str) -> None:
        """Watch a container; one that has ended already is told in the next turn of the loop."""
        if container in self._watched:
            return
        loop = asyncio.get_running_loop()
        watched = _Watched(folder, open_pidfd(pid, folder), monitor_pid, pid, loop.create_future())
        self._watched[container] = watched
        if watched.pidfd >= 0:
            loop.add_reader(watched.pidfd, self._on_process_end, container)
        else:
            loop.call_soon(self._on_process_end, container)

    async def wait(self, container: str) -> ExitFact:
        """Return how a watched container ended, once it has."""
        watched = self._watched.get(container)
        if watched is None:
            raise HostError(f"container {container} is not running")
        return await asyncio.shield(watched.ended)

    def is_watched(self, container: str) -> bool:
        """Return whether the container is watched and has not ended."""
        watched = self._watched.get(container)
        return watched is not None and not watched.ended.done()

    def send_signal(self, container: str, number: int) -> bool:
        """Send a signal to the container's first process; False when it has ended. The pid can't be another's by then."""
        watched = self._watched.get(container)
        if watched is None or watched.pidfd < 0:
            return False
        try:
            watched.killed = watched.killed or number == signal.SIGKILL
            signal.pidfd_send_signal(watched.pidfd, number)
        except ProcessLookupError:
            return False
        return True

    def pid(self, container: str) -> int | None:
        """Return the host's pid of the container's first process while it is watched."""
        watched = self._watched.get(container)
        return watched.pid if watched is not None and not watched.ended.done() else None

    def forget(self, container: str) -> None:
        """Stop watching; a waiter is cancelled."""
        watched = self._watched.pop(container, None)
        if watched is not None:
            self._close(watched)
            watched.ended.cancel()

    def close(self) -> None:
        """Stop watching all, and end all subscriptions. The containers go on."""
        for container in tuple(self._watched):
            self.forget(container)
        for subscription in tuple(self._subscriptions):
            subscription.close()

    def _on_process_end(self, container: str) -> None:
        watched = self._watched.get(container)
        if watched is None:
            return
        self._close(watched)
        if not self._paths.exit_file(container).exists():
            watched.monitor_fd = open_monitor_pidfd(watched.monitor_pid, container)
            if watched.monitor_fd >= 0:
                asyncio.get_running_loop().add_reader(watched.monitor_fd, self._on_monitor_end, container)
                return
        self._settle(container, watched)

    def _on_monitor_end(self, container: str) -> None:
        watched = self._watched.get(container)
        if watched is not None:
            self._close(watched)
            self._settle(container, watched)

    def _settle(self, container: str, watched: _Watched) -> None:
        fact = self.read_exit(container, watched.folder) or ExitFact(
            container_id=container, exit_code=UNKNOWN_EXIT_CODE, finished_at=self._clock.now(), known=False
        )
        if watched.ended.done():
            return
        watched.ended.set_result(fact)
        self.publish(fact)

    def publish(self, fact: ExitFact) -> None:
        """Tell a fact to all who listen; also for a container that could not be watched any more."""
        for listener in self._listeners:
            listener(fact)
        for subscription in tuple(self._subscriptions):
            subscription.put(fact)

    def read_exit(self, container: str, folder: str) -> ExitFact | None:
        """Return the fact that the monitor has recorded; None when there is none."""
        file = self._paths.exit_file(container)
        try:
            text, finished_at = file.read_text(), file.stat().st_mtime
        except FileNotFoundError:
            return None
        fact = parse_exit(container, text or "0", finished_at, oom_killed=False)
        return msgspec.structs.replace(fact, oom_killed=self._is_oom(fact, folder))

    def _is_oom(self, fact: ExitFact, folder: str) -> bool:
        """Return whether the kernel killed a process of the container for want of memory.

        The monitor notes it, and the container's cgroup counts it; but systemd removes that cgroup the moment it is empty,
        often before the monitor has looked. Then the pod's cgroup, which counts what happens below it, has the answer for
        a container that was killed, and not by us.
        """
        container = fact.container_id
        if self._paths.oom_file(container).exists() or self._cgroups.count_oom_kills(folder) > 0:
            return True
        watched = self._watched.get(container)
        if (
            fact.signal != signal.SIGKILL
            or (watched is not None and watched.killed)
            or self._cgroups.exists(folder)
        ):
            return False
        baseline = self._paths.oom_baseline_file(container)
        before = int(baseline.read_text()) if baseline.exists() else 0
        return self._cgroups.count_oom_kills(_pod_folder(folder)) > before

    def note_baseline(self, container: str, folder: str) -> None:
        """Note how many OOM kills the pod has seen before this container; also for a later daemon."""
        count = self._cgroups.count_oom_kills(_pod_folder(folder))
        self._paths.oom_baseline_file(container).write_text(str(count))

    def _close(self, watched: _Watched) -> None:
        for descriptor in (watched.pidfd, watched.monitor_fd):
            if descriptor >= 0:
                asyncio.get_running_loop().remove_reader(descriptor)
                os.close(descriptor)
        watched.pidfd = watched.monitor_fd = -1


class Subscription:
    """An iterator over exits; `close` ends it."""

    def __init__(self, registry: set[Subscription]) -> None:
        self._registry = registry
        self._queue: asyncio.Queue[ExitFact | None] = asyncio.Queue()

    def put(self, fact: ExitFact) -> None:
        self._queue.put_nowait(fact)

    def close(self) -> None:
        self._registry.discard(self)
        self._queue.put_nowait(None)

    def __aiter__(self) -> AsyncIterator[ExitFact]:
        return self

    async def __anext__(self) -> ExitFact:
        fact = await self._queue.get()
        if fact is None:
            raise StopAsyncIteration
        return fact


def _pod_folder(folder: str) -> str:
    return folder.rsplit("/", 1)[0]


def open_pidfd(pid: int, folder: str) -> int:
    """Return a pidfd of a container's first process; -1 when it has ended. A pid that is another's by now has ended too."""
    try:
        descriptor = os.pidfd_open(pid)
    except (ProcessLookupError, OSError):
        return -1
    # Read after the pidfd is open: from here on the pid can't be given to somebody else unseen.
    if not is_in_cgroup(pid, folder):
        os.close(descriptor)
        return -1
    return descriptor


def is_in_cgroup(pid: int, folder: str) -> bool:
    """Return whether a process is in a container's cgroup (a zombie is, in some hierarchy)."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return False
    name = folder.rsplit("/", 1)[-1]
    return any(name in line.rsplit(":", 1)[-1].split("/") for line in lines)


def open_monitor_pidfd(pid: int, container: str) -> int:
    """Return a pidfd of a container's monitor; -1 when it is gone or the pid is another's."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return -1
    try:
        is_ours = container.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:  # it ended between the two
        is_ours = False
    if not is_ours:
        os.close(descriptor)
        return -1
    return descriptor
