"""Hands durable changes to the watchers, each in revision order, without gap or duplicate.

Used by `log_store.py`. A watcher that falls behind by more than its buffer is told so; nothing is dropped silently.
Invariant: what a watch has handed out plus what waits in its buffer is all that it should have seen.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable

from pinnace.store.interface import Change, Revision, SlowWatcher
from pinnace.store.state import State

BUFFER_LIMIT = (
    10_000  # changes; references only, so a full buffer costs 80 kB plus what compaction would have freed
)
# A push costs some 50 µs: others have their turn between these.
_PUSHES_PER_TURN = 20


class LogWatch:
    """One watcher's place in the log."""

    def __init__(
        self,
        watches: Watches,
        resource: str | None,
        namespace: str | None,
        since: Revision,
        backlog: deque[Change],
        buffer_limit: int,
    ) -> None:
        self.resource = resource
        self.namespace = namespace
        self._watches = watches
        self._seen = since
        self._buffer = backlog
        self._limit = buffer_limit + len(backlog)
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self._slow = False
        self._queued = False
        self.sink: Callable[[Change], bool] | None = None

    @property
    def revision(self) -> Revision:
        if self._buffer or self._closed:
            return self._seen
        return self._watches.revision

    def offer(self, change: Change) -> None:
        """Take one change that this watch asked for."""
        if len(self._buffer) >= self._limit:
            self._slow = True
            self.close()
            return
        self._buffer.append(change)
        if self.sink is None:
            self._wake()
        elif not self._queued:
            self._queued = True
            self._watches.push_soon(self)

    def push(self) -> None:
        """Hand to the sink what it takes; wake the reader for the rest."""
        self._queued = False
        if self._waiter is None or self.sink is None:
            return  # the reader is busy, and takes all of it when it comes back
        while self._buffer and self.sink(self._buffer[0]):
            self._seen = self._buffer.popleft().revision
        if self._buffer:
            self._wake()

    def close(self) -> None:
        if self._closed:
            return
        self._seen = self.revision
        self._closed = True
        self._buffer.clear()
        self._watches.forget(self)
        self._wake()

    def __aiter__(self) -> AsyncIterator[Change]:
        return self

    async def __anext__(self) -> Change:
        while not self._buffer:
            if self._slow:
                self._slow = False
                raise SlowWatcher(self._seen, self._limit)
            if self._closed:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        change = self._buffer.popleft()
        self._seen = change.revision
        return change

    async def some(self, timeout_s: float, limit: int = 500) -> list[Change] | None:
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while not self._buffer:
            if self._slow:
                self._slow = False
                raise SlowWatcher(self._seen, self._limit)
            if self._closed:
                return None
            if loop.time() >= end:
                return []
            self._waiter = loop.create_future()
            timer = loop.call_at(end, self._wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        buffer = self._buffer
        changes = [buffer.popleft() for _ in range(min(limit, len(buffer)))]
        self._seen = changes[-1].revision
        return changes

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Watches:
    """All watchers of one store. A watch that its reader has dropped without closing is forgotten with it."""

    def __init__(self, state: State, buffer_limit: int = BUFFER_LIMIT) -> None:
        self._state = state
        self._buffer_limit = buffer_limit
        self._by_resource: dict[str | None, list[weakref.ref[LogWatch]]] = {}
        self._to_push: deque[LogWatch] = deque()

    def __len__(self) -> int:
        return sum(len(references) for references in self._by_resource.values())

    @property
    def revision(self) -> Revision:
        return self._state.revision

    def open(self, resource: str | None, namespace: str | None, since: Revision) -> LogWatch:
        """Start a watch after `since`. Raises: Compacted, RevisionAhead."""
        backlog = deque(
            change
            for change in self._state.changes_after(since)
            if (resource is None or change.record.key.resource == resource)
            and (namespace is None or change.record.key.namespace == namespace)
        )
        watch = LogWatch(self, resource, namespace, since, backlog, self._buffer_limit)

        def dropped(reference: weakref.ref[LogWatch]) -> None:
            self._remove(resource, reference)

        self._by_resource.setdefault(resource, []).append(weakref.ref(watch, dropped))
        return watch

    def tell(self, change: Change) -> None:
        """Offer one change to everybody who watches its resource, or all."""
        key = change.record.key
        for resource in (key.resource, None):
            for watch in self._watching(resource):
                if watch.namespace is None or watch.namespace == key.namespace:
                    watch.offer(change)

    def push_soon(self, watch: LogWatch) -> None:
        """Let a watch push in one of the next turns of the loop, after those who wrote have been told."""
        if not self._to_push:
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._push)
        self._to_push.append(watch)

    def _push(self) -> None:
        waiting = self._to_push
        for _ in range(min(_PUSHES_PER_TURN, len(waiting))):
            waiting[0].push()
            waiting.popleft()
        if waiting:
            asyncio.get_running_loop().call_soon(self._push)

    def forget(self, watch: LogWatch) -> None:
        for reference in tuple(self._by_resource.get(watch.resource, ())):
            if reference() is watch:
                self._remove(watch.resource, reference)

    def close(self) -> None:
        for resource in tuple(self._by_resource):
            for watch in self._watching(resource):
                watch.close()

    def _watching(self, resource: str | None) -> list[LogWatch]:
        references = self._by_resource.get(resource, ())
        return [watch for reference in references if (watch := reference()) is not None]

    def _remove(self, resource: str | None, reference: weakref.ref[LogWatch]) -> None:
        references = self._by_resource.get(resource, [])
        if reference in references:
            references.remove(reference)
        if not references:
            self._by_resource.pop(resource, None)
