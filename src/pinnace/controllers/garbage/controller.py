"""Finds owners and dependents across all kinds and carries out what `decide.py` says. Run by the runner.

Invariant: an owner is known by its uid; one of the same name is another one. An owner of a kind that is not served counts as
present, since nobody can say that it is gone.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from pinnace.api.facade import Api, ObjectChange
from pinnace.controllers.apply import apply_plan, apply_step, run_all
from pinnace.controllers.garbage.decide import (
    FOREGROUND,
    ORPHAN,
    GarbageFacts,
    OwnerState,
    is_waiting_for_dependents,
    reconcile_garbage,
)
from pinnace.controllers.plan import Change, Plan, Step
from pinnace.controllers.runner import Requeue, Source
from pinnace.kube.kinds import NAMESPACE, Kind
from pinnace.kube.objects.meta_v1 import OwnerReference

COMPONENT = "garbage-collector"
AT_ONCE = 100  # dependents that are set free together


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


class GarbageController:
    """Deletes what has lost its owners."""

    name = "garbage"
    kind = None

    def __init__(self, api: Api) -> None:
        self._api = api

    @property
    def sources(self) -> Sequence[Source]:
        return tuple(Source(kind, self._keys) for kind in self._api.kinds.stored)

    def _keys(self, change: ObjectChange[Any]) -> Iterator[AnyKey]:
        obj = change.object
        meta = obj.metadata
        if change.type == "DELETED":
            yield from self._dependent_keys(meta.uid)
            yield from self._owner_keys(obj)
            return
        if change.previous is not None:
            if _looked_at(change.previous) == _looked_at(obj):
                return
            if change.previous.metadata.owner_references != meta.owner_references:
                yield from self._owner_keys(change.previous)  # they may have nothing left to wait for
        if meta.owner_references or (meta.deletion_timestamp and {FOREGROUND, ORPHAN} & set(meta.finalizers)):
            yield self._key_of(obj)
        if is_waiting_for_dependents(obj):
            yield from self._dependent_keys(meta.uid)

    def _key_of(self, obj: Any) -> AnyKey:
        return AnyKey(self._api.kinds.kind_of(obj).resource, obj.metadata.namespace, obj.metadata.name)

    def _dependent_keys(self, uid: str) -> Iterator[AnyKey]:
        for key in self._api.dependents_of(uid):
            yield AnyKey(key.resource, key.namespace, key.name)

    def _owner_keys(self, obj: Any) -> Iterator[AnyKey]:
        for ref in obj.metadata.owner_references:
            if (kind := self._kind_of_owner(ref)) is not None:
                yield AnyKey(kind.resource, obj.metadata.namespace if kind.namespaced else "", ref.name)

    def _kind_of_owner(self, ref: OwnerReference) -> Kind[Any] | None:
        """Return the kind as it is stored, if objects of it are."""
        kind = self._api.kinds.by_api_version(ref.api_version, ref.kind)
        return None if kind is None else self._api.kinds.by_resource(kind.resource)

    def _dependents(self, uid: str) -> tuple[Any, ...]:
        return tuple(obj for key in self._dependent_keys(uid) if (obj := self._find(key)) is not None)

    def _find(self, key: AnyKey) -> Any:
        kind = self._api.kinds.by_resource(key.resource)
        return None if kind is None else self._api.find(kind, key.namespace, key.name)

    async def reconcile(self, key: AnyKey) -> Requeue | None:
        obj = self._find(key)
        if obj is None:
            return None
        facts = GarbageFacts(
            obj,
            lambda ref: self._owner_state(ref, key.namespace),
            partial(self._dependents, obj.metadata.uid),
        )
        plan = reconcile_garbage(facts)
        *others, last = plan.steps or (None,)
        if last is not None and len(others) > 1 and all(isinstance(step, Change) for step in others):
            await self._apply_together(others)
            plan = Plan((last,), plan.requeue_after_s)
        return await apply_plan(self._api, plan, COMPONENT)

    async def _apply_together(self, steps: Sequence[Step | None]) -> None:
        """Carry out changes of different objects, many in one commit."""
        for start in range(0, len(steps), AT_ONCE):
            batch = [step for step in steps[start : start + AT_ONCE] if step is not None]
            await run_all([partial(apply_step, self._api, step, COMPONENT) for step in batch])

    def _owner_state(self, ref: OwnerReference, namespace: str) -> OwnerState:
        kind = self._kind_of_owner(ref)
        if kind is None:
            return OwnerState.UNKNOWN
        if kind.namespaced and not namespace:
            return OwnerState.MISPLACED
        owner = self._api.find(kind, namespace if kind.namespaced else "", ref.name)
        if owner is not None and owner.metadata.uid == ref.uid:
            return OwnerState.WAITING if is_waiting_for_dependents(owner) else OwnerState.PRESENT
        if kind.namespaced and self._is_elsewhere(kind, ref):
            return OwnerState.MISPLACED
        return OwnerState.ABSENT

    def _is_elsewhere(self, kind: Kind[Any], ref: OwnerReference) -> bool:
        """Say whether the owner is in another namespace than the object that names it."""
        places = (self._api.find(kind, one.metadata.name, ref.name) for one in self._api.list(NAMESPACE))
        return any(owner is not None and owner.metadata.uid == ref.uid for owner in places)


def _looked_at(obj: Any) -> tuple[Any, ...]:
    """Return all of an object that garbage collection looks at."""
    meta = obj.metadata
    return meta.owner_references, meta.deletion_timestamp, meta.finalizers
