"""Holds what is durable, in memory: the log of changes and the indexes that are its readings.

Used by `log_store.py` only. Pure memory: no I/O, no waiting. Both implementations of the store share it.
Invariant: `revision` never goes back, and every index says exactly what applying the log in order says.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from dataclasses import dataclass
from typing import TypeVar

from pinnace.base.errors import Bug
from pinnace.store.interface import Change, Compacted, Key, Listing, Record, Revision, RevisionAhead

_Entry = TypeVar("_Entry")


@dataclass(frozen=True, slots=True)
class LogLimits:
    """How much history is kept for watchers that come back.

    Units: `value_bytes` counts the superseded values that only the log still holds. What goes beyond either limit is
    compacted, oldest first.
    """

    changes: int = 10_000
    value_bytes: int = 16 * 1024 * 1024


class State:
    """The records, their indexes and the recent changes."""

    def __init__(self, revision: Revision = Revision(0), compacted: Revision = Revision(0)) -> None:
        self.revision = revision
        self.compacted = compacted
        self.log_bytes = 0
        self._log: deque[Change] = deque()
        self._records: dict[Key, Record] = {}
        self._keys: dict[str, list[Key]] = {}
        self._owned: dict[str, dict[Key, None]] = {}
        self._fields: dict[tuple[str, str, str], dict[Key, None]] = {}
        self._changed: dict[str, Revision] = {}

    def __len__(self) -> int:
        return len(self._records)

    # ------------------------------------------------------------------ readings

    def get(self, key: Key) -> Record | None:
        return self._records.get(key)

    def page(
        self,
        resource: str,
        namespace: str | None,
        after: Key | None,
        limit: int | None,
        at: Revision | None = None,
    ) -> Listing:
        """Return a page of the present, or of the state at a revision. Raises: Compacted, RevisionAhead."""
        if at is not None and at != self.revision:
            before = self._before(resource, at)
            if before:
                return self._page_of_past(resource, namespace, after, limit, at, before)
            return self.page(resource, namespace, after, limit)._replace(revision=at)
        keys = self._keys.get(resource)
        if keys is None:
            return Listing(self.revision, (), 0)
        first, last = _range(keys, resource, namespace, after)
        end = last if limit is None else min(last, first + limit)
        records = self._records
        return Listing(self.revision, tuple([records[key] for key in keys[first:end]]), last - end)

    def _before(self, resource: str, at: Revision) -> dict[Key, Record | None]:
        """Return what those objects were at a revision that have changed since; None for one that was not there."""
        if at < self.compacted:
            raise Compacted(at, self.compacted)
        if at >= self.changed(resource):
            if at > self.revision:
                raise RevisionAhead(at, self.revision)
            return {}
        before: dict[Key, Record | None] = {}
        for change in self.changes_after(at):
            if change.record.key.resource == resource:
                before.setdefault(change.record.key, change.previous)
        return before

    def _page_of_past(
        self,
        resource: str,
        namespace: str | None,
        after: Key | None,
        limit: int | None,
        at: Revision,
        before: dict[Key, Record | None],
    ) -> Listing:
        present = (key for key in self._keys.get(resource, []) if key not in before)
        keys = sorted([*present, *(key for key, record in before.items() if record is not None)])
        first, last = _range(keys, resource, namespace, after)
        end = last if limit is None else min(last, first + limit)
        records = tuple([before.get(key) or self._records[key] for key in keys[first:end]])
        return Listing(at, records, last - end)

    def changed(self, resource: str) -> Revision:
        return self._changed.get(resource, Revision(0))

    def by_owner(self, uid: str, resource: str | None) -> tuple[Record, ...]:
        keys = self._owned.get(uid, {})
        return tuple(
            self._records[key] for key in sorted(keys) if resource is None or key.resource == resource
        )

    def by_field(self, resource: str, field: str, value: str) -> tuple[Record, ...]:
        return tuple(self._records[key] for key in sorted(self._fields.get((resource, field, value), ())))

    def changes_after(self, since: Revision) -> list[Change]:
        """Return the log after `since`, in order. Raises: Compacted, RevisionAhead."""
        if since < self.compacted:
            raise Compacted(since, self.compacted)
        if since > self.revision:
            raise RevisionAhead(since, self.revision)
        newer: list[Change] = []
        for change in reversed(self._log):
            if change.revision <= since:
                break
            newer.append(change)
        newer.reverse()
        return newer

    # ------------------------------------------------------------------ changes

    def apply(self, change: Change) -> None:
        """Append one durable change to the log and to every index."""
        if change.revision <= self.revision:
            raise Bug(f"revision {change.revision} of {change.record.key} comes after {self.revision}")
        self.revision = change.revision
        self._changed[change.record.key.resource] = change.revision
        self._log.append(change)
        self.log_bytes += _superseded_bytes(change)
        if change.previous is not None:
            self._unindex(change.previous)
        if change.type == "DELETED":
            self._remove(change.record.key)
        else:
            self.put(change.record)

    def put(self, record: Record) -> None:
        """Set a state without a log entry: what was written before the log that is kept."""
        key = record.key
        if key not in self._records:
            insort(self._keys.setdefault(key.resource, []), key)
        self._records[key] = record
        for uid in record.header.owners:
            self._owned.setdefault(uid, {})[key] = None
        for field, value in record.header.fields.items():
            self._fields.setdefault((key.resource, field, value), {})[key] = None

    def compact(self, revision: Revision) -> list[Revision]:
        """Forget the changes up to `revision`; return the revisions whose states nobody can ask for any more."""
        if revision > self.revision:
            raise RevisionAhead(revision, self.revision)
        dropped: list[Revision] = []
        while self._log and self._log[0].revision <= revision:
            change = self._log.popleft()
            self.log_bytes -= _superseded_bytes(change)
            if change.previous is not None:
                dropped.append(change.previous.revision)
            if change.type == "DELETED":
                dropped.append(change.revision)
        self.compacted = max(self.compacted, revision)
        return dropped

    def overdue(self, limits: LogLimits) -> Revision | None:
        """Return the revision to compact to so that the log is within `limits` with a tenth to spare, or None."""
        if len(self._log) <= limits.changes and self.log_bytes <= limits.value_bytes:
            return None
        spare_changes, spare_bytes = limits.changes * 9 // 10, limits.value_bytes * 9 // 10
        length, size, revision = len(self._log), self.log_bytes, self.compacted
        for change in self._log:
            if length <= spare_changes and size <= spare_bytes:
                break
            length -= 1
            size -= _superseded_bytes(change)
            revision = change.revision
        return revision

    def _remove(self, key: Key) -> None:
        del self._records[key]
        keys = self._keys[key.resource]
        del keys[bisect_left(keys, key)]
        if not keys:
            del self._keys[key.resource]

    def _unindex(self, record: Record) -> None:
        key = record.key
        for uid in record.header.owners:
            _discard(self._owned, uid, key)
        for field, value in record.header.fields.items():
            _discard(self._fields, (key.resource, field, value), key)


def _range(keys: list[Key], resource: str, namespace: str | None, after: Key | None) -> tuple[int, int]:
    """Return where the keys of a namespace that come after a key begin and end."""
    first, last = 0, len(keys)
    if namespace is not None:
        first = bisect_left(keys, Key(resource, namespace, ""))
        last = bisect_left(keys, Key(resource, namespace + "\0", ""), first)
    if after is not None:
        first = bisect_right(keys, after, first, last)
    return first, last


def _superseded_bytes(change: Change) -> int:
    """Return the bytes that only the log keeps alive."""
    size = 0 if change.previous is None else len(change.previous.value)
    return size + len(change.record.value) if change.type == "DELETED" else size


def _discard(index: dict[_Entry, dict[Key, None]], entry: _Entry, key: Key) -> None:
    keys = index.get(entry)
    if keys is None:
        return
    keys.pop(key, None)
    if not keys:
        del index[entry]
