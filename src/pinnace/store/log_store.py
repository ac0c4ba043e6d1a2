"""The store, except for the medium: pending writes, conflicts, batches, compaction.

`sqlite.py` and `memory.py` say how a batch becomes durable; everything a caller can observe is decided here, once.
A batch is what queued while the last one was being made durable: nothing waits for company, and nobody waits alone.
Invariant: a change reaches the state, and through it get, list and watch, only after its batch is durable, in
revision order; after one failed batch nothing reaches it any more.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable

from pinnace.base.errors import Bug
from pinnace.store.interface import (
    Build,
    Change,
    ChangeType,
    Key,
    KeyExists,
    KeyMissing,
    Listing,
    Record,
    Revision,
    RevisionConflict,
    StoreFailed,
)
from pinnace.store.state import LogLimits, State
from pinnace.store.watches import BUFFER_LIMIT, LogWatch, Watches

log = logging.getLogger("pinnace.store")


class Batch:
    """Changes that become durable together or not at all, the states they make obsolete, and who waits for them."""

    __slots__ = ("changes", "compacted", "drops", "waiters")

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.drops: list[Revision] = []
        self.compacted: Revision | None = None
        self.waiters: list[asyncio.Future[None]] = []

    def __bool__(self) -> bool:
        return bool(self.changes or self.drops or self.compacted is not None)


class LogStore(ABC):
    """The `Store` over a medium that `_make_durable` names."""

    def __init__(self, state: State, limits: LogLimits, buffer_limit: int = BUFFER_LIMIT) -> None:
        self._state = state
        self._limits = limits
        self._watches = Watches(state, buffer_limit)
        self._assigned = state.revision
        self._pending: dict[Key, tuple[Record | None, Batch]] = {}
        self._open = Batch()
        self._under_way: Batch | None = None
        self._flush_planned = False
        self._failure: Callable[[], StoreFailed] | None = None
        self._closed = False

    @abstractmethod
    def _make_durable(self, batch: Batch) -> None:
        """Begin to make the batch durable; `_finish` is called on the loop when it is, or has failed."""

    @abstractmethod
    async def _release(self) -> None:
        """Let go of the medium; nothing is under way."""

    # ------------------------------------------------------------------ readings

    @property
    def revision(self) -> Revision:
        return self._state.revision

    @property
    def compacted(self) -> Revision:
        return self._state.compacted

    @property
    def failure(self) -> StoreFailed | None:
        return None if self._failure is None else self._failure()

    def __len__(self) -> int:
        return len(self._state)

    def get(self, key: Key) -> Record | None:
        return self._state.get(key)

    def latest(self, key: Key) -> Record | None:
        return self._newest(key)[0]

    def latest_in(self, resource: str, namespace: str) -> tuple[Record, ...]:
        newest: dict[Key, Record | None] = {
            record.key: record for record in self._state.page(resource, namespace, None, None).records
        }
        for key, (record, _) in self._pending.items():
            if key.resource == resource and key.namespace == namespace:
                newest[key] = record
        return tuple(record for record in newest.values() if record is not None)

    def list(
        self,
        resource: str,
        namespace: str | None = None,
        *,
        after: Key | None = None,
        limit: int | None = None,
        at: Revision | None = None,
    ) -> Listing:
        return self._state.page(resource, namespace, after, limit, at)

    def changed(self, resource: str) -> Revision:
        return self._state.changed(resource)

    def by_owner(self, uid: str, resource: str | None = None) -> tuple[Record, ...]:
        return self._state.by_owner(uid, resource)

    def by_field(self, resource: str, field: str, value: str) -> tuple[Record, ...]:
        return self._state.by_field(resource, field, value)

    def watch(self, resource: str | None, namespace: str | None = None, *, since: Revision) -> LogWatch:
        if self._closed:
            raise Bug("the store is closed")
        return self._watches.open(resource, namespace, since)

    # ------------------------------------------------------------------ writes

    async def create(self, key: Key, build: Build) -> Record:
        current, batch = self._newest(key)
        if current is not None:
            await self._durable(batch)
            raise KeyExists(key)
        return await self._write("ADDED", key, None, build)

    async def update(self, key: Key, expected: Revision, build: Build) -> Record:
        return await self._write("MODIFIED", key, await self._expect(key, expected), build)

    async def delete(self, key: Key, expected: Revision, build: Build) -> Record:
        return await self._write("DELETED", key, await self._expect(key, expected), build)

    async def settled(self, key: Key) -> None:
        while (entry := self._pending.get(key)) is not None:
            await self._durable(entry[1])

    async def compact(self, revision: Revision) -> None:
        self._refuse_if_failed()
        batch = self._compact(revision)
        self._plan_flush()
        await self._durable(batch)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._watches.close()
        while self._failure is None and (batch := self._under_way or self._open):
            try:
                self._plan_flush()
                await self._durable(batch)
            except StoreFailed as error:
                log.error("the last writes are lost: %s", error)
        await self._release()

    # ------------------------------------------------------------------ inside

    def _newest(self, key: Key) -> tuple[Record | None, Batch | None]:
        """Return the newest state, pending or not, and the batch that it waits for."""
        entry = self._pending.get(key)
        return (self._state.get(key), None) if entry is None else entry

    async def _expect(self, key: Key, expected: Revision) -> Record:
        current, batch = self._newest(key)
        if current is not None and current.revision == expected:
            return current
        # The caller will read again: let it find what it collided with.
        await self._durable(batch)
        if current is None:
            raise KeyMissing(key)
        raise RevisionConflict(key, expected, current.revision)

    async def _write(self, type: ChangeType, key: Key, previous: Record | None, build: Build) -> Record:
        self._refuse_if_failed()
        revision = Revision(self._assigned + 1)
        header, value = build(revision)
        if header.key != key or self._assigned != revision - 1:
            raise Bug(f"the write of {key} built {header.key}, or wrote to the store itself")
        self._assigned = revision
        record = Record(header, revision, value)
        batch = self._open
        batch.changes.append(Change(type, record, previous))
        self._pending[key] = (None if type == "DELETED" else record, batch)
        self._plan_flush()
        await self._durable(batch)
        return record

    async def _durable(self, batch: Batch | None) -> None:
        """Wait until the batch is durable. Raises: StoreFailed. A cancelled waiter leaves the batch alone."""
        if batch is None:
            return
        waiter = asyncio.get_running_loop().create_future()
        batch.waiters.append(waiter)
        await waiter

    def _refuse_if_failed(self) -> None:
        if self._failure is not None:
            raise self._failure()
        if self._closed:
            raise StoreFailed("the store is closed", hint="Pinnace is going down; try again when it is up")

    def _plan_flush(self) -> None:
        """Start the open batch at the end of this turn of the loop, so that everybody who is awake can join."""
        if self._under_way is None and not self._flush_planned:
            self._flush_planned = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_planned = False
        batch, self._open = self._open, Batch()
        self._under_way = batch
        self._make_durable(batch)

    def _finish(self, batch: Batch, failure: Callable[[], StoreFailed] | None = None) -> None:
        """Take note that a batch is durable, or that it never will be."""
        self._under_way = None
        if failure is not None:
            self._fail(batch, failure)
            return
        for change in batch.changes:
            self._state.apply(change)
            entry = self._pending.get(change.record.key)
            if entry is not None and entry[1] is batch:
                del self._pending[change.record.key]
            self._watches.tell(change)
        for waiter in batch.waiters:
            if not waiter.done():
                waiter.set_result(None)
        overdue = self._state.overdue(self._limits)
        if overdue is not None:
            self._compact(overdue)
        if self._open.changes or self._open.waiters:
            self._plan_flush()

    def _fail(self, batch: Batch, failure: Callable[[], StoreFailed]) -> None:
        self._failure = failure
        queued, self._open = self._open, Batch()
        self._pending.clear()
        log.error(
            "%s; %d writes lost, writes are refused from now on",
            failure(),
            len(batch.changes) + len(queued.changes),
        )
        for waiter in (*batch.waiters, *queued.waiters):
            if not waiter.done():
                waiter.set_exception(failure())

    def _compact(self, revision: Revision) -> Batch:
        """Compact the state now; what that makes obsolete on the medium goes with the next batch."""
        batch = self._open
        batch.drops += self._state.compact(revision)
        batch.compacted = self._state.compacted
        return batch
