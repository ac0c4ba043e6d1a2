"""What happens to a container between a person's calls, and what those calls are made of: its process begins, ends, is started

again, is tidied up, is removed. A doer; the base of `Engine`.

An end is noted at once; what follows from it takes the container's lock first. Invariants: an end is noted once; whoever
hears of the end of a container that is to be removed finds its name and its ports free.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass, field

from msgspec.structs import replace

from pinnace.base.clock import Clock
from pinnace.base.errors import PinnaceError
from pinnace.base.locks import KeyedLocks
from pinnace.base.tasks import Tasks
from pinnace.container.attach import Attachment
from pinnace.container.exits import ExitFact
from pinnace.engine import failures, status
from pinnace.engine.book import Book, Entry
from pinnace.engine.health import STARTING, Health, compute_argv
from pinnace.engine.maker import Maker
from pinnace.engine.prober import Prober
from pinnace.engine.records import Records
from pinnace.engine.restart import decide_restart
from pinnace.engine.volumes import Volumes
from pinnace.kube.objects.pinnace_v1 import Container, ContainerStatus
from pinnace.sandbox.sandboxes import Sandboxes

log = logging.getLogger("pinnace.engine")


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


class Lives:
    """The lives of one engine's containers."""

    def __init__(
        self, sandboxes: Sandboxes, maker: Maker, volumes: Volumes, records: Records, clock: Clock
    ) -> None:
        self._sandboxes = sandboxes
        self._clock = clock
        self._records = records
        self._locks = KeyedLocks()
        self._tasks = Tasks("engine")
        self.prober = Prober(sandboxes, clock)
        self.maker = maker
        self.volumes = volumes
        self.book = Book()

    # --- beginning -----------------------------------------------------------------------------------------------------

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
                health=STARTING if compute_argv(entry.spec.health) else "",
            ),
        )
        self._begin_checks(entry, handle.started_at, Health())
        if handle.exit is not None:
            self._end(entry, handle.exit)
        return attachment

    def attach(self, entry: Entry) -> Started:
        """Connect to the stdio of a container that runs, or waits to be started. Raises: HostError."""
        attachment = self._sandboxes.attach(entry.id)
        entry.count_reader(1)
        return Started(entry, attachment)

    # --- end -----------------------------------------------------------------------------------------------------------

    def note_exit(self, entry: Entry, fact: ExitFact) -> None:
        """Note an end, unless it is one that was noted before."""
        handle = self._sandboxes.get_container(entry.id)
        if handle is None or handle.exit == fact:
            self._end(entry, fact)

    def _end(self, entry: Entry, fact: ExitFact, *, restart: bool = True) -> None:
        if entry.status.state != status.RUNNING or entry.gone.is_set():
            return
        self.prober.end(entry.id)
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

    def _begin_checks(self, entry: Entry, started: float, before: Health) -> None:
        """Begin the health checks of a container that runs, where it has any."""

        def note(health: Health) -> None:
            if entry.status.state == status.RUNNING and not entry.gone.is_set():
                self._set(entry, replace(entry.status, health=health.status, failed_checks=health.streak))

        self.prober.begin(entry.id, entry.spec.health, started, before, note)

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

    # --- once more -----------------------------------------------------------------------------------------------------

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

    # --- removal -------------------------------------------------------------------------------------------------------

    async def _dispose(self, container: Container, *, volumes: bool = False) -> None:
        """Remove everything of a container, its object last. Raises: HostError when something stays."""
        container_id = container.metadata.name
        self.prober.forget(container_id)
        await self.maker.remove(container_id)
        await self._records.delete(container_id)
        if volumes or container.spec.auto_remove:
            await self._remove_anonymous(container)

    async def _remove_anonymous(self, container: Container) -> None:
        for mount in container.spec.mounts:
            volume = self.volumes.find(mount.source) if mount.type == "volume" else None
            if volume is not None and volume.spec.anonymous and not self.users_of_volume(mount.source):
                await self.volumes.remove(mount.source)

    def users_of_volume(self, name: str) -> tuple[str, ...]:
        """Return the ids of the containers that mount a volume."""
        return tuple(
            entry.id
            for entry in self.book
            if any(mount.type == "volume" and mount.source == name for mount in entry.spec.mounts)
        )

    def _set(self, entry: Entry, new: ContainerStatus) -> None:
        entry.set_status(new)
        self._records.note(entry.container)
