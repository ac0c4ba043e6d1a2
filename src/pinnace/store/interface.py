"""What the store promises: the types, the errors and the `Store` protocol.

Read by `api/`, the only caller; implemented by `sqlite.py` (durable) and `memory.py` (simulator, tests).
Invariant: every write gets the next revision, and is seen by get, list and watch only when it is on disk.

    StoreError            what the caller's own write or reading ran into
    ├── KeyExists         create: the key is there already
    ├── KeyMissing        update, delete: the key is not there
    ├── RevisionConflict  update, delete: somebody wrote in between
    ├── Compacted         watch: the log no longer reaches back so far
    ├── RevisionAhead     watch: the store has not come so far (another store's revision)
    └── SlowWatcher       watch: the reader fell behind by more than the buffer
    HostError
    └── StoreFailed       the disk refused; reads go on, writes are refused from now on
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Literal, NamedTuple, NewType, Protocol

import msgspec

from pinnace.base.errors import HostError, PinnaceError

Revision = NewType("Revision", int)
ChangeType = Literal["ADDED", "MODIFIED", "DELETED"]


class Key(NamedTuple):
    """Names one object. `namespace` is "" for kinds that have none. Keys sort by resource, namespace, name."""

    resource: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return "/".join(part for part in self if part)


class Header(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What can be asked about an object without decoding it.

    Shape: `owners` are uids; `fields` maps an indexed path to its value, like {"spec.nodeName": "n1"}. The maps are
    never mutated.
    """

    key: Key
    uid: str = ""
    labels: Mapping[str, str] = {}
    owners: tuple[str, ...] = ()
    fields: Mapping[str, str] = {}


class Record(msgspec.Struct, frozen=True, gc=False):
    """One state of one object: its header, the revision that wrote it, and its bytes."""

    header: Header
    revision: Revision
    value: bytes

    @property
    def key(self) -> Key:
        return self.header.key


class Change(msgspec.Struct, frozen=True, gc=False):
    """One entry of the log.

    Shape: `record` is the new state; for "DELETED" the last one, at the deletion's revision. `previous` is what was
    there before, None for "ADDED".
    """

    type: ChangeType
    record: Record
    previous: Record | None = None

    @property
    def revision(self) -> Revision:
        return self.record.revision


class Listing(NamedTuple):
    """A page of records. Shape: ordered by key; `remaining` counts the records after this page."""

    revision: Revision
    records: tuple[Record, ...]
    remaining: int


Build = Callable[[Revision], tuple[Header, bytes]]
"""Makes the header and bytes of a write that was given this revision; called once, before the write's first wait."""


class StoreError(PinnaceError):
    """A write or a watch that can't be done as asked."""


class KeyExists(StoreError):
    """The key to create is there already."""

    def __init__(self, key: Key) -> None:
        super().__init__(f"{key} already exists")
        self.key = key


class KeyMissing(StoreError):
    """The key to change is not there."""

    def __init__(self, key: Key) -> None:
        super().__init__(f"{key} not found")
        self.key = key


class RevisionConflict(StoreError):
    """The object is at another revision than the writer has read."""

    def __init__(self, key: Key, expected: Revision, actual: Revision) -> None:
        super().__init__(f"{key} is at revision {actual}, not {expected}")
        self.key = key
        self.expected = expected
        self.actual = actual


class Compacted(StoreError):
    """Changes after `since` are partly gone from the log; list again and watch from there."""

    def __init__(self, since: Revision, compacted: Revision) -> None:
        super().__init__(f"revision {since} has been compacted; the log starts after {compacted}")
        self.since = since
        self.compacted = compacted


class RevisionAhead(StoreError):
    """A revision that this store has not given yet."""

    def __init__(self, since: Revision, revision: Revision) -> None:
        super().__init__(f"revision {since} is ahead of the store, which is at {revision}")
        self.since = since
        self.revision = revision


class SlowWatcher(StoreError):
    """The watcher did not keep up; `seen` is the last revision it was given. List again and watch from there."""

    def __init__(self, seen: Revision, limit: int) -> None:
        super().__init__(
            f"the watcher stayed at revision {seen} while more than {limit} changes waited for it"
        )
        self.seen = seen
        self.limit = limit


class StoreFailed(HostError):
    """The state can't be written any more. Reads go on; whoever waited for a write gets this, and so does every later one."""


class Watch(Protocol):
    """Changes in revision order, without gap or duplicate. Ends when closed by either side.

    Raises: SlowWatcher from the iteration, once, when the reader fell too far behind; the watch is closed then.
    """

    @property
    def revision(self) -> Revision:
        """Everything up to here has been handed out (what a bookmark says)."""
        ...

    def __aiter__(self) -> AsyncIterator[Change]: ...

    async def __anext__(self) -> Change: ...

    sink: Callable[[Change], bool] | None
    """Takes changes at once while the reader waits in `some`, in order; False leaves one to the reader. Must not raise."""

    async def some(self, timeout_s: float, limit: int = 500) -> Sequence[Change] | None:
        """Return the changes that wait, at least one unless the time passes first; None at the end of the iteration.

        Raises: SlowWatcher, as the iteration does.
        """
        ...

    def close(self) -> None:
        """Stop; a reader that waits sees the end of the iteration."""
        ...


class Store(Protocol):
    """The revisioned store. Reads are synchronous and see only what is durable; writes return when they are."""

    @property
    def revision(self) -> Revision:
        """The last durable revision; 0 for a new store."""
        ...

    @property
    def compacted(self) -> Revision:
        """The log holds every change after this revision."""
        ...

    @property
    def failure(self) -> StoreFailed | None:
        """Why writes are refused, or None."""
        ...

    def get(self, key: Key) -> Record | None: ...

    def latest(self, key: Key) -> Record | None:
        """Return the newest state, writes on their way to disk included.

        Only for a read-modify-write that names this revision as `expected`: its acknowledgement then covers the state
        it was built on. Never show it to anybody.
        """
        ...

    def latest_in(self, resource: str, namespace: str) -> tuple[Record, ...]:
        """Return the newest states of a resource in a namespace, writes on their way to disk included; see `latest`."""
        ...

    def list(
        self,
        resource: str,
        namespace: str | None = None,
        *,
        after: Key | None = None,
        limit: int | None = None,
        at: Revision | None = None,
    ) -> Listing:
        """Return records in key order, those after `after`, at most `limit`. None means all namespaces.

        With `at`, the state at that revision, which the log must still reach. Raises: Compacted, RevisionAhead.
        """
        ...

    def changed(self, resource: str) -> Revision:
        """Return the revision of the last change of any object of the resource that this process has seen; 0 if none.

        For those who derive something from a resource's objects: while it stays the same, so does what they derived.
        """
        ...

    def by_owner(self, uid: str, resource: str | None = None) -> tuple[Record, ...]:
        """Return the records that name `uid` among their owners."""
        ...

    def by_field(self, resource: str, field: str, value: str) -> tuple[Record, ...]:
        """Return the records whose header has this value for an indexed field."""
        ...

    async def create(self, key: Key, build: Build) -> Record:
        """Raises: KeyExists, StoreFailed. An error about a key comes only once the state it speaks of can be read."""
        ...

    async def update(self, key: Key, expected: Revision, build: Build) -> Record:
        """Raises: KeyMissing, RevisionConflict (pending writes count), StoreFailed; see `create`."""
        ...

    async def delete(self, key: Key, expected: Revision, build: Build) -> Record:
        """Remove the object; `build` gives its last state, which the log and the watchers get.

        Raises: as `update`.
        """
        ...

    async def settled(self, key: Key) -> None:
        """Return when no write of the key is on its way to disk (at once if none is). Raises: StoreFailed."""
        ...

    def watch(self, resource: str | None, namespace: str | None = None, *, since: Revision) -> Watch:
        """Watch the changes after `since`; None means all resources, all namespaces.

        Raises: Compacted, RevisionAhead.
        """
        ...

    async def compact(self, revision: Revision) -> None:
        """Forget the changes up to `revision` (current states stay). Raises: RevisionAhead, StoreFailed."""
        ...

    async def close(self) -> None:
        """End the watches, finish the writes under way, and let go of the file."""
        ...
