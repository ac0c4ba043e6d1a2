"""Turns the store's changes into changes of objects.

Used through the facade by controllers, scheduler, node and network. Invariant: no gap and no duplicate, also when the
reader falls behind: then it goes on from the last revision that it has seen.
"""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from pinnace.api.reads import Reader
from pinnace.base.errors import ApiError, Reason
from pinnace.kube.kinds import Kind
from pinnace.store.interface import Change, Compacted, Revision, RevisionAhead, SlowWatcher, Store, Watch

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ObjectChange(Generic[T]):
    """One change of one object. `type` is "ADDED", "MODIFIED" or "DELETED"; `previous` is what it was, if anything."""

    type: str
    object: T
    previous: T | None = None


def expired(error: Compacted | RevisionAhead) -> ApiError:
    """Return the error for a revision that can't be watched from."""
    if isinstance(error, Compacted):
        why = f"too old resource version: {error.since} ({error.compacted})"
    else:
        why = f"Too large resource version: {error.since}, current: {error.revision}"
    return ApiError(Reason.EXPIRED, why)


class ObjectWatch(Generic[T]):
    """An endless iteration over changes. `close`, or dropping it, ends it; cancelling who waits only ends the wait."""

    def __init__(
        self, store: Store, reader: Reader, kind: Kind[T], namespace: str | None, since: Revision | None
    ) -> None:
        self._store = store
        self._reader = reader
        self._kind = kind
        self._namespace = namespace or None
        self._present: deque[T] = deque()
        if since is None:
            listing = store.list(kind.resource, self._namespace)
            self._present.extend(reader.decode(kind, record) for record in listing.records)
            since = listing.revision
        self._watch = self._open(since)

    def _open(self, since: Revision) -> Watch:
        try:
            return self._store.watch(self._kind.resource, self._namespace, since=since)
        except (Compacted, RevisionAhead) as error:
            raise expired(error) from error

    def __aiter__(self) -> AsyncIterator[ObjectChange[T]]:
        return self

    async def __anext__(self) -> ObjectChange[T]:
        if self._present:
            return ObjectChange("ADDED", self._present.popleft())
        while True:
            try:
                return self._render(await self._watch.__anext__())
            except SlowWatcher as error:
                self._watch = self._open(error.seen)

    def _render(self, change: Change) -> ObjectChange[T]:
        decode = self._reader.decode
        previous = None if change.previous is None else decode(self._kind, change.previous)
        return ObjectChange(change.type, decode(self._kind, change.record), previous)

    def close(self) -> None:
        """End the iteration."""
        self._present.clear()
        self._watch.close()

    async def aclose(self) -> None:
        """End the iteration, for those who hold it as an asynchronous generator."""
        self.close()
