"""Containers of `pinnace run`: created, started, stopped, restarted, removed, and adopted by the next daemon. A doer.

Called by `ownapi/`; built by `daemon/`, before anything is adopted. Everything that changes a container holds its lock,
except its end, which is noted at once and tidied up under the lock afterwards.
Invariants: a person's call is carried through when the client goes away; an end is noted once; a container whose object
is gone is removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace

from pinnace.api.facade import Api
from pinnace.base.chance import Chance
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, PinnaceError, Reason
from pinnace.base.times import render_time
from pinnace.engine import status
from pinnace.engine.adoption import Adoption, decide_adoption
from pinnace.engine.book import Entry
from pinnace.engine.health import STARTING, Health, compute_argv
from pinnace.engine.lives import Lives, Size, Started
from pinnace.engine.maker import Maker, Publisher
from pinnace.engine.merge import Merged, merge
from pinnace.engine.names import check_name, generate_name
from pinnace.engine.records import Records
from pinnace.engine.request import RunRequest
from pinnace.engine.specs import NetworkFacts, is_ours
from pinnace.engine.volumes import Volumes
from pinnace.image.store import ImageStore
from pinnace.kube.kinds import CONTAINER
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.kube.objects.pinnace_v1 import Container
from pinnace.sandbox.sandboxes import Sandboxes

log = logging.getLogger("pinnace.engine")
T = TypeVar("T")

STOP_GRACE_S = 10.0  # Source: Docker's documentation, docker stop, --time
FOREVER_S = 1e9
WATCH_RETRY_S = 1.0
ID_DIGITS = 64


class Engine(Lives):
    """All containers of one instance. Call `start` once the sandboxes are adopted, `close` at the end."""

    def __init__(
        self,
        api: Api,
        sandboxes: Sandboxes,
        images: ImageStore,
        publisher: Publisher,
        clock: Clock,
        chance: Chance,
        *,
        home: Path,
        network: Callable[[], NetworkFacts],
    ) -> None:
        volumes = Volumes(api, home / "volumes", chance)
        folder = home / "containers"
        maker = Maker(sandboxes, images, publisher, volumes, folder=folder, network=network)
        super().__init__(sandboxes, maker, volumes, Records(api, clock), clock)
        self._api = api
        self._images = images
        self._chance = chance
        self._calls: set[asyncio.Task[Any]] = set()
        self._exits = sandboxes.exits()  # before anything is adopted, so that no end is missed
        images.add_roots(lambda: [entry.spec.image_id for entry in self.book])  # type: ignore[misc]

    # --- life --------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Adopt what runs, note what ended meanwhile, start what comes back, remove what nobody knows."""
        now = self._clock.now()
        decided: list[tuple[Entry, Adoption]] = []
        for container in sorted(self._records.list(), key=lambda one: one.spec.auto_remove, reverse=True):
            decision = self._decide(container, now)
            if (
                container.spec.name in self.book.names
            ):  # only an object that somebody wrote by hand can have one
                name = f"{container.spec.name}-{container.metadata.name[:12]}"
                log.warning("a second container is called %s: it is %s here", container.spec.name, name)
                container = replace(container, spec=replace(container.spec, name=name))
            if decision.next == "remove":
                self._tasks.spawn(self._dispose(container), f"remove {container.metadata.name[:12]}")
            else:
                decided.append((self.book.add(container), decision))
        self.maker.remove_unknown({container.metadata.name for container in self._records.list()})
        for sandbox in self._sandboxes.list_sandboxes():
            owner = sandbox.id.partition("-")[2]
            if is_ours(sandbox.id) and self._api.find(CONTAINER, "", owner) is None:
                log.warning("container %s has no object: removing it", owner[:12])
                self._tasks.spawn(self._sandboxes.remove_sandbox(sandbox.id), f"remove {owner[:12]}")
        for entry, decision in decided:
            await self._adopt(entry, decision)
        self._records.start()
        self._tasks.spawn(self._follow_exits(), "exits", forever=True)
        self._tasks.spawn(self._follow_objects(), "objects", forever=True)

    def _decide(self, container: Container, now: float) -> Adoption:
        container_id = container.metadata.name
        handle = self._sandboxes.get_container(container_id)
        sandbox = None if handle is None else self._sandboxes.get_sandbox(handle.sandbox_id)
        return decide_adoption(container, handle, host_gone=sandbox is None or sandbox.gone, now=now)

    async def _adopt(self, entry: Entry, decision: Adoption) -> None:
        if decision.fact is not None:
            if entry.status.state != status.RUNNING:
                entry.set_status(replace(entry.status, state=status.RUNNING))
            self._end(entry, decision.fact, restart=decision.next == "end")
        match decision.next:
            case "watch":
                await self._watch_again(entry)
            case "start":
                self._begin_restart(entry, 0.0)
            case "wait-over":
                self._begin_restart(entry, 0.0)
            case "leave" if entry.status.state == status.RESTARTING:
                self._set(entry, replace(entry.status, state=status.EXITED))
            case _:
                pass

    async def _watch_again(self, entry: Entry) -> None:
        handle = self._sandboxes.get_container(entry.id)
        sandbox = self._sandboxes.get_sandbox(handle.sandbox_id) if handle else None
        if handle is None or sandbox is None:
            return
        ports = entry.status.ports
        known = replace(entry.container, spec=replace(entry.spec, ports=ports or entry.spec.ports))
        try:
            ports = await self.maker.publish(known, sandbox.ip)
        except PinnaceError as error:
            log.error("ports of container %s can't be published again: %s", entry.spec.name, error.message)
        if entry.status.state != status.RUNNING or entry.status.pid != handle.pid:
            address = sandbox.address
            again = status.started(
                entry.status,
                pid=handle.pid,
                now=handle.started_at,
                ip=sandbox.ip,
                gateway=address.gateway if address else "",
                mac=address.mac if address else "",
                ports=ports,
                health=STARTING if compute_argv(entry.spec.health) else "",
            )
            self._set(entry, again)
        before = Health(entry.status.health or STARTING, entry.status.failed_checks)
        self._begin_checks(entry, handle.started_at, before)

    async def close(self) -> None:
        """Finish calls, write statuses, stop watching. The containers go on."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=STOP_GRACE_S)
        self._exits.close()
        await self.prober.close()
        await self._tasks.close()
        await self._records.close()

    async def carry(self, call: Coroutine[Any, Any, T]) -> T:
        """Run a person's call to its end, also when the connection that it came by is closed meanwhile."""
        task = asyncio.get_running_loop().create_task(call)
        self._calls.add(task)
        task.add_done_callback(self._call_ended)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(self._let_go)
            raise

    def _let_go(self, task: asyncio.Task[Any]) -> None:
        """Close what nobody reads any more."""
        if not task.cancelled() and task.exception() is None and isinstance(task.result(), Started):
            self._tasks.spawn(task.result().close(), "close an abandoned attachment")

    def _call_ended(self, task: asyncio.Task[Any]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # seen: whoever called has got it, unless he is gone

    # --- what changes a container --------------------------------------------------------------------------------------

    def _admit(self, request: RunRequest) -> tuple[Entry, Merged]:
        """Decide what a container is, and reserve its name. Raises: UserError, ApiError."""
        image = self._images.resolve(request.image)
        if image is None:
            raise no_such_image(request.image)
        name = check_name(request.name) if request.name else generate_name(self.book.names, self._chance)
        merged = merge(request, image.id, image.config.config, name=name, cpus=os.cpu_count() or 1)
        mounts = tuple(
            replace(mount, source=self.volumes.name_anonymous())
            if mount.type == "volume" and not mount.source
            else mount
            for mount in merged.spec.mounts
        )
        meta = ObjectMeta(name=self._chance.hex(ID_DIGITS), creation_timestamp=render_time(self._clock.now()))
        return self.book.add(Container(metadata=meta, spec=replace(merged.spec, mounts=mounts))), merged

    async def create(self, request: RunRequest) -> tuple[Entry, tuple[str, ...]]:
        """Make a container that waits to be started; return it and warnings. Raises: UserError, ApiError."""
        entry, merged = self._admit(request)
        try:
            await self._records.create(entry.container)
        except BaseException:
            self.book.forget(entry)
            raise
        return entry, merged.warnings

    async def run(self, request: RunRequest, *, attach: bool, size: Size | None = None) -> Started:
        """Create and start a container, one beside the other where one doesn't need the other.

        Raises: UserError, ApiError, HostError; `failures.classify` has the exit code. A container that could not be
        started stays, as with Docker, unless it was to be removed.
        """
        entry, merged = self._admit(request)
        entry.set_status(replace(entry.status, starting=True))
        async with self._locks.hold(entry.id):
            recorded = asyncio.ensure_future(self._records.create(entry.container))
            try:
                attachment = await self._launch(entry, attach=attach, size=size, recorded=recorded)
            except BaseException:
                with contextlib.suppress(PinnaceError):
                    await asyncio.shield(recorded)
                if not await self._is_recorded(recorded):
                    self.book.forget(entry)
                elif entry.spec.auto_remove:
                    self.book.forget(entry)
                    await asyncio.shield(self._dispose(entry.container))
                raise
        return Started(entry, attachment, merged.warnings, first=True)

    async def _is_recorded(self, recorded: asyncio.Future[None]) -> bool:
        return recorded.done() and not recorded.cancelled() and recorded.exception() is None

    async def start_container(
        self, reference: str, *, attach: bool = False, size: Size | None = None
    ) -> Started:
        """Start a container that doesn't run. Raises: as `run`."""
        entry = self.book.find(reference)
        async with self._locks.hold(entry.id):
            self._must_stay(entry, reference)
            if entry.status.state == status.RUNNING:
                return self.attach(entry) if attach else Started(entry)
            self._cancel_timer(entry)
            entry.set_status(replace(entry.status, restart_count=0, failures=0))
            return Started(entry, await self._launch(entry, attach=attach, size=size))

    async def stop(self, reference: str, *, grace_s: float | None = None) -> None:
        """Send the stop signal, then SIGKILL after the grace; fine when it doesn't run. Units: below 0 waits for ever."""
        entry = self.book.find(reference)
        async with self._locks.hold(entry.id):
            self._must_stay(entry, reference)
            await self._stop(entry, grace_s)

    async def _stop(self, entry: Entry, grace_s: float | None) -> None:
        if entry.status.state == status.RESTARTING:
            self._cancel_timer(entry)
            self._set(entry, replace(entry.status, state=status.EXITED, stopped=True))
        elif entry.status.state == status.RUNNING:
            self._set(entry, replace(entry.status, stopped=True))
            await self._records.flush(entry.id)
            if grace_s is None:
                own = entry.spec.stop_timeout_s
                grace_s = STOP_GRACE_S if own is None else float(own)
            fact = await self._sandboxes.stop(entry.id, grace_s=FOREVER_S if grace_s < 0 else grace_s)
            self._end(entry, fact)
        else:
            return
        if entry.spec.auto_remove and not entry.held:
            await entry.gone.wait()
        else:
            await self.maker.stop(entry.id)

    async def restart(self, reference: str, *, grace_s: float | None = None) -> None:
        """Stop a container, if it runs, and start it. Raises: as `run`."""
        entry = self.book.find(reference)
        async with self._locks.hold(entry.id):
            self._must_stay(entry, reference)
            entry.held = True
            try:
                await self._stop(entry, grace_s)
            finally:
                entry.held = False
            await self._launch(entry)

    def kill(self, reference: str, number: int) -> None:
        """Send a signal. SIGKILL and the stop signal also end the restart policy. Raises: ApiError Conflict."""
        entry = self.book.find(reference)
        if entry.status.state == status.RESTARTING:
            self._cancel_timer(entry)
            self._set(entry, replace(entry.status, state=status.EXITED, stopped=True))
            return
        if entry.status.state != status.RUNNING:
            raise ApiError(
                Reason.CONFLICT,
                f"cannot kill container: {reference}: container {entry.id} is not running",
                kind="containers",
                name=entry.spec.name,
            )
        handle = self._sandboxes.get_container(entry.id)
        if number == 9 or (handle is not None and handle.stop_signal == _signal_name(number)):
            self._set(entry, replace(entry.status, stopped=True))
        self._sandboxes.kill(entry.id, number)

    async def remove(self, reference: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container, with its anonymous volumes if asked; a running one only by force. Raises: ApiError, HostError."""
        entry = self.book.find(reference)
        if entry.is_running and not force:
            raise ApiError(
                Reason.CONFLICT,
                f'cannot remove container "{reference}": container is running: '
                "stop the container before removing or force remove",
                kind="containers",
                name=entry.spec.name,
                hint=f"pinnace stop {reference}, or pinnace rm -f {reference}",
            )
        async with self._locks.hold(entry.id):
            self._must_stay(entry, reference)
            self._cancel_timer(entry)
            code = entry.status.exit_code if not entry.is_running else 137
            self._set(entry, replace(entry.status, state=status.REMOVING, pid=0, exit_code=code))
            await self._dispose(entry.container, volumes=volumes)
            self.book.forget(entry)

    async def wait(self, reference: str, condition: str = "not-running") -> int:
        """Return the exit code once the condition holds: "not-running", "next-exit" or "removed"."""
        entry = self.book.find(reference)
        events = {"not-running": entry.idle, "next-exit": entry.ended, "removed": entry.gone}
        await events.get(condition, entry.idle).wait()
        return entry.status.exit_code

    # --- ends ----------------------------------------------------------------------------------------------------------

    async def _follow_exits(self) -> None:
        async for fact in self._exits:
            entry = self.book.get(fact.container_id)
            if entry is not None:
                self.note_exit(entry, fact)

    async def _follow_objects(self) -> None:
        """Remove containers whose object somebody deleted."""
        while True:
            try:
                async for change in self._api.watch(CONTAINER):
                    if change.type == "DELETED":
                        self._note_deleted(change.object.metadata.name)
            except PinnaceError as error:
                log.warning("the watch of containers ended: %s; starting anew", error.message)
            await self._clock.sleep(WATCH_RETRY_S)

    def _note_deleted(self, container_id: str) -> None:
        entry = self.book.get(container_id)
        if entry is not None and entry.status.state != status.REMOVING:
            log.info("the object of container %s was deleted: removing it", entry.spec.name)
            self._tasks.spawn(self.remove(entry.id, force=True), f"remove {entry.spec.name}")

    # --- what there is -------------------------------------------------------------------------------------------------

    def users_of_image(self, image_id: str) -> tuple[tuple[str, bool], ...]:
        """Return (container's id, whether it runs) for the containers that were made from an image."""
        return tuple((entry.id, entry.is_running) for entry in self.book if entry.spec.image_id == image_id)

    def _must_stay(self, entry: Entry, reference: str) -> None:
        """Refuse what was removed while its lock was waited for."""
        if entry.gone.is_set() or entry.status.state == status.REMOVING:
            raise ApiError(
                Reason.CONFLICT, f"container {reference} is being removed", kind="containers", name=reference
            )


def no_such_image(reference: str) -> ApiError:
    """Return the refusal of an image that is not in the store."""
    tagged = reference if ":" in reference.rpartition("/")[2] or "@" in reference else f"{reference}:latest"
    return ApiError(
        Reason.NOT_FOUND,
        f"Unable to find image '{tagged}' locally",
        kind="images",
        name=reference,
        hint=f"build it (pinnace build -t {reference} .) or bring it in (pinnace import FILE {reference}); "
        "pinnace images shows what there is",
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""
