"""Finds owners and dependents across all kinds and carries out what `decide.py` says. Run by the runner.

Invariant: an owner is known by its uid; one of the same name is another one. An owner of a kind that is not served counts as
present, since nobody can say that it is gone.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from pinnace.api.facade import Api, ObjectChange
from pinnace.base.clock import Clock
from pinnace.controllers.apply import apply_plan
from pinnace.controllers.garbage.decide import FOREGROUND, ORPHAN, GarbageFacts, OwnerState, reconcile_garbage
from pinnace.controllers.runner import Requeue, Source
from pinnace.kube.kinds import STORED, Kind, by_api_version, by_resource, kind_of
from pinnace.kube.objects.meta_v1 import OwnerReference

COMPONENT = "garbage-collector"


class AnyKey(NamedTuple):
    """Names an object of any kind."""

    resource: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return (
            f"{self.resource} {self.namespace}/{self.name}"
            if self.namespace
            else f"{self.resource} {self.name}"
        )


def key_of(obj: Any) -> AnyKey:
    """Return the key of an object."""
    return AnyKey(kind_of(obj).resource, obj.metadata.namespace, obj.metadata.name)


class GarbageController:
    """Deletes what has lost its owners."""

    name = "garbage"
    kind = None

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self.sources = tuple(Source(kind, self._keys) for kind in STORED)

    def _keys(self, change: ObjectChange[Any]) -> Iterator[AnyKey]:
        obj = change.object
        meta = obj.metadata
        if change.type == "DELETED":
            yield from (key_of(one) for one in self._dependents(meta.uid))
            yield from (
                key for ref in meta.owner_references if (key := _owner_key(ref, meta.namespace)) is not None
            )
        elif _is_unmoved(change):
            return
        elif meta.owner_references or (
            meta.deletion_timestamp and {FOREGROUND, ORPHAN} & set(meta.finalizers)
        ):
            yield key_of(obj)

    def _dependents(self, uid: str) -> Iterator[Any]:
        for kind in STORED:
            yield from self._api.owned_by(uid, kind)

    async def reconcile(self, key: AnyKey) -> Requeue | None:
        kind = by_resource(key.resource)
        obj = None if kind is None else self._api.find(kind, key.namespace, key.name)
        if obj is None:
            return None
        meta = obj.metadata
        asks_for_dependents = meta.deletion_timestamp and {FOREGROUND, ORPHAN} & set(meta.finalizers)
        facts = GarbageFacts(
            obj,
            lambda ref: self._owner_state(ref, meta.namespace),
            tuple(self._dependents(meta.uid)) if asks_for_dependents else (),
        )
        return await apply_plan(self._api, reconcile_garbage(facts), COMPONENT)

    def _owner_state(self, ref: OwnerReference, namespace: str) -> OwnerState:
        kind = by_api_version(ref.api_version, ref.kind)
        if kind is None or "get" not in kind.verbs:
            return OwnerState.PRESENT
        owner = self._api.find(_stored(kind), namespace if kind.namespaced else "", ref.name)
        if owner is None or owner.metadata.uid != ref.uid:
            return OwnerState.ABSENT
        waits = owner.metadata.deletion_timestamp and FOREGROUND in owner.metadata.finalizers
        return OwnerState.WAITING if waits else OwnerState.PRESENT


def _is_unmoved(change: ObjectChange[Any]) -> bool:
    """Say whether a change left alone all that garbage collection looks at."""
    if change.type != "MODIFIED" or change.previous is None:
        return False
    before, after = change.previous.metadata, change.object.metadata
    return (before.owner_references, before.deletion_timestamp, before.finalizers) == (
        after.owner_references,
        after.deletion_timestamp,
        after.finalizers,
    )


def _owner_key(ref: OwnerReference, namespace: str) -> AnyKey | None:
    kind = by_api_version(ref.api_version, ref.kind)
    return None if kind is None else AnyKey(kind.resource, namespace if kind.namespaced else "", ref.name)


def _stored(kind: Kind[Any]) -> Kind[Any]:
    return by_resource(kind.resource) or kind
