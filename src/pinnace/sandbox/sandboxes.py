"""Sandboxes and the containers in them: made, started, watched, ended, removed, and found again by the next daemon. A doer.

The one place that puts `container/`, `image/` and `network/` together; used by `node/`, `engine/` and `build/`.
Invariants: every operation is idempotent by id; a create that fails, or is cancelled, leaves nothing; what a record says
exists can be removed by a later daemon that knows nothing but the record.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import signal
from collections.abc import Collection, Coroutine
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from pinnace.base.clock import Clock
from pinnace.base.errors import HostError
from pinnace.base.locks import KeyedLocks
from pinnace.container import system
from pinnace.container.cgroup import Limits, Usage
from pinnace.container.exits import UNKNOWN_EXIT_CODE, ExitFact, Subscription
from pinnace.container.runtime import Runtime
from pinnace.container.signals import parse_signal
from pinnace.sandbox.compose import replace_namespace
from pinnace.sandbox.containers import ContainerMaker
from pinnace.sandbox.interfaces import Images, Network
from pinnace.sandbox.namespaces import find_mounts_below
from pinnace.sandbox.records import Records
from pinnace.sandbox.sessions import Sessions
from pinnace.sandbox.spec import ContainerHandle, ContainerSpec, Sandbox, SandboxSpec
from pinnace.sandbox.surroundings import SurroundingsMaker

log = logging.getLogger("pinnace.sandbox")


class Sandboxes(Sessions):
    """All sandboxes of one instance; exec, attach and logs come from `Sessions`.

    `home` is the state dir, `run` the run dir.
    """

    def __init__(
        self, runtime: Runtime, images: Images, network: Network, *, home: Path, run: Path, clock: Clock
    ) -> None:
        super().__init__(runtime)
        self._clock = clock
        self._records = Records(home)
        self._surroundings = SurroundingsMaker(runtime, network, run, self._records)
        self._maker = ContainerMaker(runtime, images, self._records, clock)
        self._sandboxes: dict[str, Sandbox] = {}
        self._locks = KeyedLocks()
        self._undoing: set[asyncio.Task[None]] = set()
        runtime.ensure_folders()
        runtime.exits.listen(self._on_exit)

    # what there is

    def get_sandbox(self, sandbox_id: str) -> Sandbox | None:
        return self._sandboxes.get(sandbox_id)

    def list_sandboxes(self) -> tuple[Sandbox, ...]:
        return tuple(self._sandboxes.values())

    def get_container(self, container_id: str) -> ContainerHandle | None:
        return self._containers.get(container_id)

    def list_containers(self, sandbox_id: str | None = None) -> tuple[ContainerHandle, ...]:
        """Return the containers of one sandbox, or of all, in the order of their creation."""
        return tuple(one for one in self._containers.values() if sandbox_id in (None, one.sandbox_id))

    def exits(self) -> Subscription:
        """Return an iterator over how containers end, from now on; `close` it. Pause processes are told too, by their ids."""
        return self._runtime.exits.subscribe()

    def usage(self, container_id: str) -> Usage | None:
        """Return what a container has used; None when it isn't running."""
        handle = self._containers.get(container_id)
        return (
            self._runtime.cgroups.read_usage(handle.folder) if handle and handle.state == "running" else None
        )

    @property
    def cgroup_driver(self) -> str:
        """How cgroups are made here: "cgroupfs" or "systemd"."""
        return self._runtime.cgroups.host.driver

    def processes(self, container_id: str) -> tuple[int, ...]:
        """Return the host's pids of a container's processes."""
        handle = self._containers.get(container_id)
        return tuple(sorted(self._runtime.cgroups.processes(handle.folder))) if handle else ()

    # sandboxes

    async def create_sandbox(self, spec: SandboxSpec) -> Sandbox:
        """Make a sandbox, or return the one that is there. One that is `gone` is made anew; its containers are kept.

        Raises: HostError; nothing is left then.
        """
        async with self._locks.hold(spec.id):
            present = self._sandboxes.get(spec.id)
            if present is not None and present.ready and not present.gone:
                return present
            sandbox = Sandbox(spec=spec, created_at=present.created_at if present else self._clock.now())
            self._remember(sandbox)
            try:
                address, pause_pid = await self._surroundings.make(spec)
            except BaseException:
                await self._undo(self._drop_surroundings(sandbox, keep=present is not None))
                raise
            sandbox = replace(
                sandbox,
                address=address,
                pause_pid=pause_pid,
                netns_path=self._surroundings.netns_path(spec),
                ready=True,
            )
            self._remember(sandbox)
            return sandbox

    async def update_sandbox(self, spec: SandboxSpec) -> Sandbox:
        """Rewrite /etc/hosts and /etc/resolv.conf of a sandbox, also for containers that run, and its limits."""
        async with self._locks.hold(spec.id):
            present = self._must_have(spec.id)
            self._surroundings.write_etc_files(spec, present.address)
            if spec.limits != present.spec.limits:
                await self._runtime.cgroups.ensure_pod(spec.id, spec.limits)
            sandbox = replace(present, spec=spec)
            self._remember(sandbox)
            return sandbox

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """End all its containers, give link, address and namespaces back, but keep root filesystems and logs."""
        async with self._locks.hold(sandbox_id):
            sandbox = self._sandboxes.get(sandbox_id)
            if sandbox is None:
                return
            await asyncio.gather(*(self._end(one) for one in self.list_containers(sandbox_id)))
            await self._surroundings.remove(sandbox_id)
            self._remember(replace(sandbox, gone=True, address=None, pause_pid=0))

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """End and remove a sandbox with all its containers. Idempotent; raises HostError when something stays."""
        async with self._locks.hold(sandbox_id):
            await self._remove_sandbox(sandbox_id)

    async def _remove_sandbox(self, sandbox_id: str) -> None:
        containers = [one.id for one in self.list_containers(sandbox_id)]
        await _gather([self.remove_container(one) for one in containers])
        await self._surroundings.remove(sandbox_id)
        self._records.remove_sandbox(sandbox_id)
        self._sandboxes.pop(sandbox_id, None)

    async def _drop_surroundings(self, sandbox: Sandbox, *, keep: bool) -> None:
        if keep:
            await self._surroundings.remove(sandbox.id)
            self._remember(replace(sandbox, ready=True, gone=True))
        else:
            await self._remove_sandbox(sandbox.id)

    # containers

    async def create_container(
        self, sandbox_id: str, spec: ContainerSpec, *, secret_env: tuple[str, ...] = ()
    ) -> ContainerHandle:
        """Make a container that waits to be started, or return the one that is there.

        `secret_env` is said to the runtime only: no record has it, so it is gone if the container is made anew.
        Raises: UserError (no such image, user or command), HostError; nothing is left then.
        """
        async with self._locks.hold(spec.id):
            present = self._containers.get(spec.id)
            if present is not None:
                return present
            return await self._create(sandbox_id, spec, None, secret_env)

    async def recreate_container(self, container_id: str) -> ContainerHandle:
        """Make an ended container ready to be started again, with the same root filesystem and log."""
        async with self._locks.hold(container_id):
            handle = self._must_have_container(container_id)
            if handle.state != "exited":
                return handle
            await self._runtime.delete(container_id, folder=handle.folder)
            return await self._create(handle.sandbox_id, handle.spec, handle)

    async def _create(
        self,
        sandbox_id: str,
        spec: ContainerSpec,
        before: ContainerHandle | None,
        secret_env: tuple[str, ...] = (),
    ) -> ContainerHandle:
        sandbox = self._must_have(sandbox_id)
        if not sandbox.ready or sandbox.gone:
            raise HostError(
                f"sandbox {sandbox_id} is not ready for container {spec.id}", hint="create the sandbox anew"
            )
        around = self._surroundings.describe(sandbox.spec, sandbox.pause_pid)
        if spec.processes_of:
            around = replace_namespace(around, "pid", self._find_processes(spec))
        handle = self._maker.begin(sandbox_id, spec)
        self._keep(handle)
        try:
            handle = await self._maker.make(handle, around, secret_env)
        except BaseException:
            await self._undo(self._clear(handle) if before is None else self._restore(before))
            raise
        self._keep(handle)
        return handle

    def _find_processes(self, spec: ContainerSpec) -> str:
        """Return the process namespace of the container whose processes a new one shall see. Raises: HostError."""
        other = self._containers.get(spec.processes_of)
        pid = self._runtime.exits.pid(spec.processes_of) if other is not None else None
        if other is None or other.state != "running" or not pid:
            raise HostError(
                f"container {spec.processes_of}, whose processes {spec.id} shall see, does not run"
            )
        return f"/proc/{pid}/ns/pid"

    async def _restore(self, before: ContainerHandle) -> None:
        await self._runtime.delete(before.id, folder=before.folder)
        self._keep(before)

    async def start(self, container_id: str) -> ContainerHandle:
        """Let a created container's process begin; fine when it runs. Raises: HostError."""
        async with self._locks.hold(container_id):
            handle = self._must_have_container(container_id)
            if handle.state != "created":
                return handle
            await self._runtime.start(container_id)
            # It may have ended already: then the exit's fact has made it "exited", which must stay.
            handle = replace(self._must_have_container(container_id), started_at=self._clock.now())
            if handle.state == "created":
                handle = replace(handle, state="running")
            self._keep(handle)
            return handle

    def kill(self, container_id: str, number: int = signal.SIGTERM) -> bool:
        """Send a signal to a container's first process; False when it isn't running."""
        return self._runtime.kill(container_id, number)

    async def wait(self, container_id: str) -> ExitFact:
        """Return how a container ended, once it has."""
        handle = self._must_have_container(container_id)
        return handle.exit if handle.exit is not None else await self._runtime.exits.wait(container_id)

    async def stop(self, container_id: str, *, grace_s: float, number: int | None = None) -> ExitFact:
        """Send the stop signal, wait up to `grace_s`, then SIGKILL; return how it ended."""
        handle = self._must_have_container(container_id)
        if handle.exit is not None:
            return handle.exit
        self.kill(container_id, parse_signal(handle.stop_signal) if number is None else number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(grace_s, 0.0)):
                return await self.wait(container_id)
        await self._end(handle)
        return await self.wait(container_id)

    async def _end(self, handle: ContainerHandle) -> None:
        if self._containers[handle.id].exit is None and self._runtime.exits.is_watched(handle.id):
            self.kill(handle.id, signal.SIGKILL)
            await self._runtime.exits.wait(handle.id)

    async def update_limits(self, container_id: str, limits: Limits) -> ContainerHandle:
        """Set other limits on a running container; what `limits` leaves out stays. Raises: HostError."""
        async with self._locks.hold(container_id):
            await self._runtime.update(container_id, limits)
            handle = self._must_have_container(container_id)
            handle = replace(handle, spec=replace(handle.spec, limits=limits))
            self._keep(handle)
            return handle

    async def remove_container(self, container_id: str) -> None:
        """End and remove a container with its root filesystem and record. Idempotent."""
        async with self._locks.hold(container_id):
            handle = self._containers.get(container_id)
            if handle is not None:
                await self._clear(handle)

    async def _clear(self, handle: ContainerHandle) -> None:
        await self._maker.clear(handle)
        self._containers.pop(handle.id, None)

    def _on_exit(self, fact: ExitFact) -> None:
        handle = self._containers.get(fact.container_id)
        if handle is not None and handle.state != "creating":
            self._keep(replace(handle, state="exited", exit=fact, pid=0))
            sandbox = self._sandboxes.get(handle.sandbox_id)
            if handle.spec.processes_of or (sandbox is not None and sandbox.spec.share_processes):
                # Its first process was not the first of the namespace: what it has started is not ended by the kernel.
                self._runtime.cgroups.kill(handle.folder)

    # the daemon's own life

    async def adopt(self) -> tuple[Sandbox, ...]:
        """Find what an earlier daemon left: watch what runs, tell what ended, remove what was half made.

        A container whose end nobody saw is told with `known=False`. Subscribe to `exits` before. Returns all sandboxes.
        """
        for sandbox_id, sandbox in list(self._records.read_sandboxes()):
            if sandbox_id in self._sandboxes:
                continue
            if sandbox is None or not sandbox.ready:
                await self._discard(sandbox_id)
                continue
            if not sandbox.gone and not self._surroundings.is_present(sandbox.spec):
                sandbox = replace(sandbox, gone=True, pause_pid=0)
            self._remember(sandbox)
            if sandbox.pause_pid:
                self._runtime.adopt(
                    self._surroundings.pause_id(sandbox_id), self._surroundings.pause_folder(sandbox_id)
                )
            for container_id, handle in list(self._records.read_containers(sandbox_id)):
                await self._adopt_container(sandbox_id, container_id, handle)
        return self.list_sandboxes()

    async def _discard(self, sandbox_id: str) -> None:
        """Remove a sandbox that was half made, or whose record can't be read."""
        log.warning("sandbox %s was half made by an earlier daemon: removing it", sandbox_id)
        for container_id, handle in list(self._records.read_containers(sandbox_id)):
            await self._maker.clear(handle or self._maker.begin(sandbox_id, ContainerSpec(id=container_id)))
        await self._remove_sandbox(sandbox_id)

    async def _adopt_container(
        self, sandbox_id: str, container_id: str, handle: ContainerHandle | None
    ) -> None:
        if handle is None or handle.state == "creating":
            log.warning("container %s was half made by an earlier daemon: removing it", container_id)
            await self._maker.clear(handle or self._maker.begin(sandbox_id, ContainerSpec(id=container_id)))
            return
        self._containers[container_id] = handle
        if handle.state == "exited":
            return
        if not self._runtime.adopt(container_id, handle.folder):
            fact = ExitFact(
                container_id=container_id,
                exit_code=UNKNOWN_EXIT_CODE,
                finished_at=self._clock.now(),
                known=False,
            )
            self._runtime.exits.publish(fact)
        elif handle.state == "created" and await self._runtime.state(container_id) == "running":
            self._keep(replace(handle, state="running", started_at=handle.created_at))

    async def remove_all(self, *, keep: Collection[str] = ()) -> None:
        """Kill and remove everything of this instance, also what a daemon that died halfway left without a record.

        Of the sandboxes to `keep`, records, logs and root filesystems stay, as after `stop_sandbox`.
        """
        for sandbox_id, _ in list(self._records.read_sandboxes()):
            if sandbox_id not in self._sandboxes:
                await self._discard(sandbox_id)
        every = [one.id for one in self.list_sandboxes()]
        await _gather([self.stop_sandbox(one) if one in keep else self.remove_sandbox(one) for one in every])
        await self._runtime.delete_all()
        run = self._surroundings.run_folder("")
        for point in find_mounts_below(run):
            system.unmount(point)
        shutil.rmtree(run, ignore_errors=True)

    async def close(self) -> None:
        """Stop watching. The containers go on; the next daemon adopts them."""
        if self._undoing:
            await asyncio.wait(self._undoing)
        self._runtime.exits.close()

    # small things

    def _remember(self, sandbox: Sandbox) -> None:
        self._records.write_sandbox(sandbox)
        self._sandboxes[sandbox.id] = sandbox

    def _keep(self, handle: ContainerHandle) -> None:
        self._records.write_container(handle)
        self._containers[handle.id] = handle

    def _must_have(self, sandbox_id: str) -> Sandbox:
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox is None:
            raise HostError(f"there is no sandbox {sandbox_id}")
        return sandbox

    async def _undo(self, work: Coroutine[Any, Any, None]) -> None:
        """Run an undo to its end, also when the caller is cancelled again; what it can't undo is logged, not raised."""
        task = asyncio.get_running_loop().create_task(work, name="sandbox/undo")
        self._undoing.add(task)
        task.add_done_callback(self._undoing.discard)
        try:
            await asyncio.shield(task)
        except HostError as error:
            log.error("an undo failed: %s", error)


async def _gather(works: list[Coroutine[Any, Any, None]]) -> None:
    """Run all to their ends; then raise the first failure."""
    for result in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
