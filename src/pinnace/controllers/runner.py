"""Runs controllers: watches enqueue keys, workers reconcile them, failures come back with growing delays.

The daemon and the simulator build one `ControllerRunner`. It never decides anything about an object.
Invariant: the same key of the same controller never runs twice at once, and a key whose reconcile failed is tried again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

from pinnace.api.facade import Api, ObjectChange
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, PinnaceError, Reason
from pinnace.base.tasks import Tasks
from pinnace.base.workqueue import QueueClosed, WorkQueue
from pinnace.kube.kinds import Kind

log = logging.getLogger("pinnace.controllers")

WORKERS = 4  # per controller; Kubernetes runs 5 (--concurrent-deployment-syncs)
TELL_AFTER_FAILURES = 3  # a fault that mends itself at once deserves no event
WATCH_RETRY_S = 1.0


class ObjectKey(NamedTuple):
    """What most controllers reconcile by. `namespace` is "" for kinds that have none."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Stale(PinnaceError):
    """The facts that a plan was made from are no longer so: read anew."""


class Told(ApiError):
    """A refusal that an event of the object tells of already."""


@dataclass(frozen=True, slots=True)
class Requeue:
    """Reconcile again in `after_s`, even if nothing changes."""

    after_s: float


@dataclass(frozen=True, slots=True)
class Source:
    """Changes of `kind` concern the keys that `keys` returns. `keys` must not await."""

    kind: Kind[Any]
    keys: Callable[[ObjectChange[Any]], Iterable[Hashable]]


class Controller(Protocol):
    """What the runner runs. `kind`, where there is one, is the kind that its keys (`ObjectKey`) name."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> Kind[Any] | None: ...

    @property
    def sources(self) -> Sequence[Source]: ...

    async def reconcile(self, key: Any) -> Requeue | None:
        """Read the world anew and bring what `key` names one step nearer to what it should be."""
        ...


@runtime_checkable
class Listener(Protocol):
    """A controller that hears of more than changes of objects."""

    def listen(self, enqueue: Callable[[Any], None]) -> None:
        """Call `enqueue(key)` from now on for whatever has to be reconciled."""
        ...


@dataclass(frozen=True, slots=True)
class Failure:
    """What goes wrong with one key at present. Units: `since` is unix seconds of the first failure in a row."""

    controller: str
    key: str
    message: str
    since: float
    count: int


@dataclass(slots=True)
class _Running:
    controller: Controller
    queue: WorkQueue[Any] = field(default_factory=WorkQueue)
    failures: dict[Any, Failure] = field(default_factory=dict)


def own_key(change: ObjectChange[Any]) -> tuple[ObjectKey, ...]:
    """Return the key of the changed object itself."""
    meta = change.object.metadata
    return (ObjectKey(meta.namespace, meta.name),)


class ControllerRunner:
    """Runs `controllers` on one `Api`, with one watch per kind for all of them."""

    def __init__(
        self,
        api: Api,
        controllers: Sequence[Controller],
        clock: Clock,
        *,
        workers: int = WORKERS,
        on_failure: Callable[[str, BaseException], None] | None = None,
    ) -> None:
        self._api = api
        self._clock = clock
        self._workers = workers
        self._running = tuple(_Running(controller) for controller in controllers)
        self._tasks = Tasks("controllers", on_failure)
        self._watches: dict[Kind[Any], asyncio.Task[Any]] = {}
        self._unlisten: Callable[[], None] = lambda: None

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Return what fails at present, longest first. Empty when all is well."""
        return tuple(
            sorted((f for running in self._running for f in running.failures.values()), key=lambda f: f.since)
        )

    @property
    def idle(self) -> bool:
        """Say whether no key waits or runs; those that wait for a time don't count."""
        return all(running.queue.idle for running in self._running)

    def start(self) -> None:
        """Start watching and reconciling; returns at once."""
        self._follow_kinds()
        self._unlisten = self._api.kinds.on_change(self._follow_kinds)
        for running in self._running:
            if isinstance(running.controller, Listener):
                running.controller.listen(running.queue.add)
            for number in range(self._workers):
                self._tasks.spawn(self._work(running), f"{running.controller.name}-{number}")

    async def close(self) -> None:
        """Stop; a reconcile under way is cancelled (it is idempotent, the next start carries on)."""
        self._unlisten()
        for running in self._running:
            running.queue.close()
        await self._tasks.close()

    def enqueue(self, controller: str, key: Hashable) -> None:
        """Have one key reconciled now. Raises: KeyError for a controller that is not run."""
        for running in self._running:
            if running.controller.name == controller:
                running.queue.add(key)
                return
        raise KeyError(controller)

    def _follow_kinds(self) -> None:
        """Watch every kind that a controller wants to hear of, and no other: custom kinds come and go."""
        wanted = dict(self._by_kind())
        for kind in [kind for kind in self._watches if kind not in wanted]:
            self._watches.pop(kind).cancel()
        for kind, interested in wanted.items():
            if kind not in self._watches:
                task = self._tasks.spawn(
                    self._watch(kind, interested), f"watch-{kind.group_resource}", forever=True
                )
                self._watches[kind] = task

    def _by_kind(self) -> list[tuple[Kind[Any], list[tuple[_Running, Source]]]]:
        rows: dict[str, tuple[Kind[Any], list[tuple[_Running, Source]]]] = {}
        for running in self._running:
            for source in running.controller.sources:
                rows.setdefault(source.kind.resource, (source.kind, []))[1].append((running, source))
        return list(rows.values())

    async def _watch(self, kind: Kind[Any], interested: list[tuple[_Running, Source]]) -> None:
        while True:
            watch = self._api.watch(kind)
            try:
                async for change in watch:
                    for running, source in interested:
                        self._enqueue_keys(running, source, change)
            except ApiError as error:  # too old a revision: the next watch begins with all that is there
                log.info("watch of %s starts anew: %s", kind.plural, error)
            finally:
                watch.close()
            await self._clock.sleep(WATCH_RETRY_S)

    def _enqueue_keys(self, running: _Running, source: Source, change: ObjectChange[Any]) -> None:
        try:
            for key in source.keys(change):
                running.queue.add(key)
        except Exception:  # one object that a controller can't place must not deafen all controllers
            meta = change.object.metadata
            where = f"{source.kind.plural} {meta.namespace}/{meta.name}"
            log.exception("%s can't tell whom a change of %s concerns", running.controller.name, where)

    async def _work(self, running: _Running) -> None:
        while True:
            try:
                key = await running.queue.get()
            except QueueClosed:
                return
            try:
                await self._reconcile(running, key)
            finally:
                running.queue.done(key)

    async def _reconcile(self, running: _Running, key: Any) -> None:
        try:
            requeue = await running.controller.reconcile(key)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told and tried again
            if _is_race(error):
                log.debug("%s %s reads anew: %s", running.controller.name, key, error)
                running.queue.add_failed(key)
            else:
                await self._tell(running, key, error)
            return
        running.queue.forget(key)
        running.failures.pop(key, None)
        if requeue is not None:
            running.queue.add_after(key, requeue.after_s)

    async def _tell(self, running: _Running, key: Any, error: Exception) -> None:
        name = running.controller.name
        before = running.failures.get(key)
        count = 1 if before is None else before.count + 1
        since = self._clock.now() if before is None else before.since
        running.failures[key] = Failure(name, str(key), str(error), since, count)
        delay_s = running.queue.add_failed(key)
        expected = isinstance(error, PinnaceError)
        log.warning(
            "%s %s failed (%d in a row), again in %.3g s: %s",
            name,
            key,
            count,
            delay_s,
            error,
            exc_info=None if expected else error,
        )
        if count == TELL_AFTER_FAILURES and running.controller.kind and not isinstance(error, Told):
            obj = self._api.find(running.controller.kind, key.namespace, key.name)
            if obj is not None:
                await self._api.record_event(
                    obj, "Warning", "ReconcileFailed", str(error), component=f"{name}-controller"
                )


def _is_race(error: Exception) -> bool:
    """Say whether somebody else's write came first, which the next try settles."""
    return isinstance(error, Stale) or (isinstance(error, ApiError) and error.reason is Reason.CONFLICT)
