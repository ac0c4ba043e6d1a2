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
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace

from pinnace.api.facade import Api
from pinnace.base.chance import Chance
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, PinnaceError, Reason
from pinnace.base.locks import KeyedLocks
from pinnace.base.tasks import Tasks
from pinnace.base.times import render_time
from pinnace.container.attach import Attachment
from pinnace.container.exits import ExitFact
from pinnace.engine import failures, status
from pinnace.engine.adoption import Adoption, decide_adoption
from pinnace.engine.book import Book, Entry
from pinnace.engine.maker import Maker, Publisher
from pinnace.engine.merge import Merged, merge
from pinnace.engine.names import check_name, generate_name
from pinnace.engine.records import Records
from pinnace.engine.request import RunRequest
from pinnace.engine.restart import decide_restart
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


@dataclass(frozen=True, slots=True)
class Size:
    """A terminal's size."""

    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Started:
    """A container that was started; `attachment` is its stdio, when that was asked for, from the first byte.

    `close` it in the end: what was cut off of its output stands in the log until then. `first`: the log has nothing else.
    """

    entry: Entry
    attachment: Attachment | None = None
    warnings: tuple[str, ...] = field(default=())
    first: bool = False

    async def close(self) -> None:
        if self.attachment is not None:
            await self.attachment.close()
            self.entry.count_reader(-1)


class Engine:
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
        self._api = api
        self._sandboxes = sandboxes
        self._images = images
        self._clock = clock
        self._chance = chance
        self.volumes = Volumes(api, home / "volumes", chance)
        self.book = Book()
        self._records = Records(api, clock)
        self.maker = Maker(
            sandboxes, images, publisher, self.volumes, folder=home / "containers", network=network
        )
        self._locks = KeyedLocks()
        self._tasks = Tasks("engine")
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
            if decision.next == "remove" or container.spec.name in self.book.names:
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
            )
            self._set(entry, again)

    async def close(self) -> None:
        """Finish calls, write statuses, stop watching. The containers go on."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=STOP_GRACE_S)
        self._exits.close()
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

    async def _launch(
        self,
        entry: Entry,
        *,
        attach: bool = False,
        size: Size | None = None,
        recorded: Awaitable[None] | None = None,
    ) -> Attachment | None:
        """Make what the container stands on, attach, let the process begin. The container's lock is held."""
        attachment: Attachment | None = None
        try:
            sandbox, ports = await self.maker.make(entry.container)
            if recorded is not None:
                await recorded
            if attach:
                attachment = self.attach(entry).attachment
                if attachment is not None and size is not None:
                    attachment.resize(size.height, size.width)
            handle = await self._sandboxes.start(entry.id)
        except BaseException as error:
            await Started(entry, attachment).close()
            await asyncio.shield(self.maker.stop(entry.id))
            if not isinstance(error, PinnaceError):
                raise
            described = failures.describe(error, (*entry.spec.entrypoint, *entry.spec.command))
            code = failures.classify(error)
            self._set(entry, status.failed_to_start(entry.status, exit_code=code, error=described.message))
            raise described from error
        address = sandbox.address
        self._set(
            entry,
            status.started(
                entry.status,
                pid=handle.pid,
                now=handle.started_at,
                ip=sandbox.ip,
                gateway=address.gateway if address else "",
                mac=address.mac if address else "",
                ports=ports,
            ),
        )
        if handle.exit is not None:
            self._end(entry, handle.exit)
        return attachment

    def attach(self, entry: Entry) -> Started:
        """Connect to the stdio of a container that runs, or waits to be started. Raises: HostError."""
        attachment = self._sandboxes.attach(entry.id)
        entry.count_reader(1)
        return Started(entry, attachment)

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

    async def _dispose(self, container: Container, *, volumes: bool = False) -> None:
        """Remove everything of a container, its object last. Raises: HostError when something stays."""
        container_id = container.metadata.name
        await self.maker.remove(container_id)
        await self._records.delete(container_id)
        if volumes or container.spec.auto_remove:
            await self._remove_anonymous(container)

    async def _remove_anonymous(self, container: Container) -> None:
        for mount in container.spec.mounts:
            volume = self.volumes.find(mount.source) if mount.type == "volume" else None
            if volume is not None and volume.spec.anonymous and not self.users_of_volume(mount.source):
                await self.volumes.remove(mount.source)

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

    def note_exit(self, entry: Entry, fact: ExitFact) -> None:
        """Note an end, unless it is one that was noted before."""
        handle = self._sandboxes.get_container(entry.id)
        if handle is None or handle.exit == fact:
            self._end(entry, fact)

    def _end(self, entry: Entry, fact: ExitFact, *, restart: bool = True) -> None:
        if entry.status.state != status.RUNNING or entry.gone.is_set():
            return
        again = (
            decide_restart(entry.spec.restart, status.describe_end(entry.status, fact)) if restart else None
        )
        if entry.spec.auto_remove and not entry.held:
            # Whoever waits may go on: name and ports are free before he hears of it. The rest goes in the background.
            entry.container = replace(entry.container, status=status.ended(entry.status, fact, None))
            entry.ended.set()
            self._tasks.spawn(self._leave(entry), f"remove {entry.spec.name}")
            return
        self._set(entry, status.ended(entry.status, fact, again))
        if again is not None:
            self._begin_restart(entry, again.wait_s)
        elif restart:
            self._tasks.spawn(self._tidy(entry), f"tidy {entry.spec.name}")

    async def _leave(self, entry: Entry) -> None:
        await self.maker.unpublish(entry.id)
        self.book.forget(entry)
        await entry.unread.wait()
        await self._dispose(entry.container)

    async def _tidy(self, entry: Entry) -> None:
        """Give back what an ended container holds of the network, unless it was started again meanwhile."""
        async with self._locks.hold(entry.id):
            if not entry.is_running and not entry.gone.is_set():
                await self.maker.stop(entry.id)

    def _begin_restart(self, entry: Entry, wait_s: float) -> None:
        if entry.status.state != status.RESTARTING:
            self._set(entry, replace(entry.status, state=status.RESTARTING))
        entry.timer = self._tasks.spawn(self._restart_later(entry, wait_s), f"restart {entry.spec.name}")

    async def _restart_later(self, entry: Entry, wait_s: float) -> None:
        await self._clock.sleep(wait_s)
        async with self._locks.hold(entry.id):
            if entry.status.state != status.RESTARTING or entry.timer is not asyncio.current_task():
                return
            entry.timer = None
            try:
                await self._launch(entry)
            except PinnaceError as error:
                log.warning("container %s can't be started again: %s", entry.spec.name, error.message)

    def _cancel_timer(self, entry: Entry) -> None:
        if entry.timer is not None:
            entry.timer.cancel()
            entry.timer = None

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

    def users_of_volume(self, name: str) -> tuple[str, ...]:
        """Return the ids of the containers that mount a volume."""
        return tuple(
            entry.id
            for entry in self.book
            if any(mount.type == "volume" and mount.source == name for mount in entry.spec.mounts)
        )

    def _set(self, entry: Entry, new: Any) -> None:
        entry.set_status(new)
        self._records.note(entry.container)

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
