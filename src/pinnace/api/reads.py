"""Reads objects: from the store's bytes, through a bounded cache of decoded ones.

Used by the facade and by the write path. Synchronous, no I/O. Invariant: what is returned is the store's current state
(or, for `decode`, exactly the given record's).
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, TypeVar

from pinnace.api.errors import not_found
from pinnace.api.kinds import strategy_of
from pinnace.api.strategy import Strategy, meta_of
from pinnace.api.versions import convert, decode_stored, stored_kind, written_kind
from pinnace.kube.field_selectors import fields_of
from pinnace.kube.kind_table import BUILT_IN, KindTable
from pinnace.kube.kinds import Kind
from pinnace.store.interface import Header, Key, Record, Revision, Store

T = TypeVar("T")
LabelPredicate = Callable[[Mapping[str, str]], bool]

_ABSENT: Final = object()
_RECENT = 2048  # states that were replaced a moment ago, and that watchers still ask for


class ObjectCache:
    """The newest decoded object of each key, and some that were replaced a moment ago."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._newest: dict[Key, tuple[Revision, Any]] = {}
        self._recent: dict[tuple[Key, Revision], Any] = {}

    def get(self, key: Key, revision: Revision) -> Any:
        """Return the object, or a mark that stands for "not here"."""
        found = self._newest.get(key)
        if found is not None and found[0] == revision:
            return found[1]
        return self._recent.get((key, revision), _ABSENT)

    def put(self, key: Key, revision: Revision, obj: Any) -> None:
        """Keep an object; the oldest one goes when there are too many."""
        before = self._newest.get(key)
        if before is not None and before[0] > revision:
            self._keep_recent(key, revision, obj)
            return
        if before is not None:
            self._keep_recent(key, *before)
        elif len(self._newest) >= self._size:
            self._newest.pop(next(iter(self._newest)))
        self._newest[key] = (revision, obj)

    def forget(self, key: Key) -> None:
        """Drop a key that is gone; watchers may still ask for its last states."""
        before = self._newest.pop(key, None)
        if before is not None:
            self._keep_recent(key, *before)

    def forget_resource(self, resource: str) -> None:
        """Drop all objects of a resource: what its kind makes of them has changed."""
        for key in [key for key in self._newest if key.resource == resource]:
            del self._newest[key]
        for pair in [pair for pair in self._recent if pair[0].resource == resource]:
            del self._recent[pair]

    def _keep_recent(self, key: Key, revision: Revision, obj: Any) -> None:
        if len(self._recent) >= _RECENT:
            self._recent.pop(next(iter(self._recent)))
        self._recent[(key, revision)] = obj


def key_of(kind: Kind[Any], namespace: str, name: str) -> Key:
    """Return an object's key in the store."""
    return Key(kind.resource, namespace if kind.namespaced else "", name)


def header_of(row: Strategy[Any], key: Key, obj: Any) -> Header:
    """Return what the store must know of an object."""
    meta = meta_of(obj)
    return Header(
        key=key,
        uid=meta.uid,
        labels=meta.labels,
        owners=tuple([owner.uid for owner in meta.owner_references]),
        fields=row.index(obj),
    )


class Reader:
    """Gets and lists objects of every kind."""

    def __init__(self, store: Store, cache_size: int, kinds: KindTable = BUILT_IN) -> None:
        self._store = store
        self._kinds = kinds
        self.cache = ObjectCache(cache_size)

    def kind_named(self, api_version: str, kind: str) -> Kind[Any] | None:
        """Return the row of an apiVersion and kind, custom ones too."""
        return self._kinds.by_api_version(api_version, kind)

    def versions_of(self, kind: Kind[Any]) -> tuple[str, ...]:
        """Return the names of all versions in which a kind is served."""
        versions = tuple(one.version for one in self._kinds.versions_of(kind) if one.group == kind.group)
        return versions or (kind.version,)

    def decode(self, kind: Kind[T], record: Record) -> T:
        """Return a record's object, in the kind's version."""
        stored = stored_kind(kind)
        key, revision = record.header.key, record.revision
        obj = self.cache.get(key, revision)
        if obj is _ABSENT:
            obj = decode_stored(stored, record)
            self.cache.put(key, revision, obj)
        result: T = obj if stored is kind else convert(obj, kind)
        return result

    def find(self, kind: Kind[T], namespace: str, name: str) -> T | None:
        """Return the object, or None."""
        record = self._store.get(key_of(kind, namespace, name))
        return None if record is None else self.decode(kind, record)

    def get(self, kind: Kind[T], namespace: str, name: str) -> T:
        """Return the object. Raises: ApiError NotFound."""
        return self.decode(kind, self.get_record(kind, namespace, name))

    def get_record(self, kind: Kind[Any], namespace: str, name: str) -> Record:
        """Return the record. Raises: ApiError NotFound."""
        record = self._store.get(key_of(kind, namespace, name))
        if record is None:
            raise not_found(kind, name)
        return record

    def list(
        self,
        kind: Kind[T],
        namespace: str | None,
        labels: LabelPredicate | None,
        fields: Mapping[str, str] | None,
    ) -> tuple[T, ...]:
        """Return what matches, in key order."""
        records = self._candidates(kind, namespace or None, fields or {})
        if labels is not None:
            records = tuple(record for record in records if labels(record.header.labels))
        if fields:
            wanted = fields.items()
            records = tuple(
                record for record in records if wanted <= self.fields_of(kind, record, fields).items()
            )
        decode = self.decode
        return tuple([decode(kind, record) for record in records])

    def all(self, kind: Kind[T]) -> tuple[T, ...]:
        """Return all objects of one kind."""
        return self.list_in(kind, "")

    def changed(self, kind: Kind[Any]) -> Revision:
        """Return the revision of the last change of any object of the kind."""
        return self._store.changed(kind.resource)

    def list_in(self, kind: Kind[T], namespace: str) -> tuple[T, ...]:
        """Return the objects of one kind in a namespace; "" for a kind that has none."""
        records = self._store.list(kind.resource, namespace or None).records
        return tuple([self.decode(kind, record) for record in records]) if records else ()

    def newest_in(self, resource: str, namespace: str, kind: Kind[Any] | None) -> tuple[tuple[Key, Any], ...]:
        """Return the keys of a resource in a namespace, writes on their way to disk included, and with a kind the objects.

        Only for what is checked before the next write; never show it to anybody.
        """
        return tuple(
            [
                (record.key, None if kind is None else self.decode(kind, record))
                for record in self._store.latest_in(resource, namespace)
            ]
        )

    def _candidates(
        self, kind: Kind[Any], namespace: str | None, fields: Mapping[str, str]
    ) -> tuple[Record, ...]:
        name = fields.get("metadata.name")
        namespace = fields.get("metadata.namespace", namespace)
        if name is not None and (namespace is not None or not kind.namespaced):
            record = self._store.get(key_of(kind, namespace or "", name))
            return () if record is None else (record,)
        for field in indexed_fields(kind):
            if field in fields:
                found = self._store.by_field(kind.resource, field, fields[field])
                return tuple(r for r in found if namespace is None or r.header.key.namespace == namespace)
        return self._store.list(kind.resource, namespace).records

    def fields_of(
        self, kind: Kind[Any], record: Record, wanted: Mapping[str, str] | None = None
    ) -> Mapping[str, str]:
        """Return the fields of a record that selectors may ask for; decodes only when the header lacks some of them."""
        key, held = record.header.key, record.header.fields
        always = {"metadata.name": key.name, "metadata.namespace": key.namespace}
        if wanted is not None and all(name in held or name in always for name in wanted):
            return {**always, **held}
        asked = written_kind(kind)
        return {**always, **fields_of(asked, self.decode(asked, record))}

    def owned_by(self, uid: str, kind: Kind[T]) -> tuple[T, ...]:
        """Return the objects of one kind that name `uid` as an owner."""
        return tuple([self.decode(kind, record) for record in self._store.by_owner(uid, kind.resource)])

    def by_field(self, kind: Kind[T], field: str, value: str) -> tuple[T, ...]:
        """Return the objects with this value of an indexed field."""
        return tuple(
            [self.decode(kind, record) for record in self._store.by_field(kind.resource, field, value)]
        )


@cache
def indexed_fields(kind: Kind[Any]) -> tuple[str, ...]:
    """Return the fields by which the store finds a kind's objects without looking at all of them."""
    if kind.custom is not None:
        return ()
    stored = stored_kind(kind)
    return tuple(strategy_of(stored).index(stored.type()))
