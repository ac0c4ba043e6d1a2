"""Decides what happens to one object because of its owners and its dependents.

Pure. Called by `controller.py`.
Invariant: an object with an owner that is there, and not waiting for its dependents to go, is never deleted.
Source: Kubernetes v1.36, pkg/controller/garbagecollector/garbagecollector.go (attemptToDeleteItem,
processDeletingDependentsItem, orphanDependents) and graph_builder.go (reportInvalidNamespaceOwnerRef).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import msgspec

from pinnace.controllers.owners import with_owners
from pinnace.controllers.plan import Change, Delete, Plan, Record, Step
from pinnace.kube.objects.meta_v1 import OwnerReference

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
LOOK_AGAIN_S = 30.0  # for an owner of a kind that is not served: nothing tells when that changes


class OwnerState(Enum):
    """How it stands with one owner."""

    PRESENT = "present"
    ABSENT = "absent"
    WAITING = "waiting"  # it is being deleted, and waits for its dependents to go first
    UNKNOWN = "unknown"  # its kind is not served: nobody can say that it is gone
    MISPLACED = "misplaced"  # it is there, in another namespace, where it can't own this object


_HOLDS = frozenset({OwnerState.PRESENT, OwnerState.UNKNOWN})


@dataclass(frozen=True, slots=True)
class GarbageFacts:
    """One object, the state of each of its owners, and those that name it as an owner (asked for only when needed)."""

    object: Any
    owner_state: Callable[[OwnerReference], OwnerState]
    dependents: Callable[[], Sequence[Any]] = field(default=tuple)


def reconcile_garbage(facts: GarbageFacts) -> Plan:
    """Return what to do with the object; with its dependents only where they are to stay without it."""
    meta = facts.object.metadata
    if meta.deletion_timestamp:
        if ORPHAN in meta.finalizers:
            return Plan((*_orphan(meta.uid, facts.dependents()), _without_finalizer(facts.object, ORPHAN)))
        if FOREGROUND in meta.finalizers and not _blocking(meta.uid, facts.dependents()):
            return Plan((_without_finalizer(facts.object, FOREGROUND),))
        return Plan()
    return _judge_owners(facts)


def is_waiting_for_dependents(obj: Any) -> bool:
    """Say whether an object is being deleted after its dependents, each of which has to be looked at."""
    meta = obj.metadata
    return bool(meta.deletion_timestamp) and FOREGROUND in meta.finalizers


def _orphan(uid: str, dependents: Sequence[Any]) -> list[Step]:
    return [Change(one, _without_owners(one, {uid}), "its owner goes without it") for one in dependents]


def _blocking(uid: str, dependents: Sequence[Any]) -> list[Any]:
    return [
        one
        for one in dependents
        if any(ref.uid == uid and ref.block_owner_deletion for ref in one.metadata.owner_references)
    ]


def _judge_owners(facts: GarbageFacts) -> Plan:
    obj = facts.object
    refs = obj.metadata.owner_references
    states = [facts.owner_state(ref) for ref in refs]
    if (
        not obj.metadata.namespace
    ):  # an owner in a namespace can't be looked up from outside: it holds, for ever
        holds = _HOLDS | {OwnerState.MISPLACED}
    else:
        holds = _HOLDS
    told = _tell_misplaced(obj, refs, states)
    again = LOOK_AGAIN_S if OwnerState.UNKNOWN in states else None
    leaving = {ref.uid for ref, state in zip(refs, states, strict=True) if state not in holds}
    if not leaving:
        return Plan(told, again)
    if any(state in holds for state in states):
        change = Change(obj, _without_owners(obj, leaving), "some of its owners are gone")
        return Plan((*told, change), again)
    if OwnerState.WAITING in states and (dependents := facts.dependents()):
        return Plan((*told, *_delete_with_dependents(obj, dependents)))
    return Plan((*told, Delete(obj, "its owners are gone", propagation=_propagation_of(obj))))


def _tell_misplaced(
    obj: Any, refs: Sequence[OwnerReference], states: Sequence[OwnerState]
) -> tuple[Record, ...]:
    namespace = obj.metadata.namespace
    return tuple(
        Record(
            obj,
            "Warning",
            "OwnerRefInvalidNamespace",
            f"ownerRef [{ref.api_version}/{ref.kind}, namespace: {namespace}, name: {ref.name}, uid: {ref.uid}]"
            f' does not exist in namespace "{namespace}"',
        )
        for ref, state in zip(refs, states, strict=True)
        if state is OwnerState.MISPLACED
    )


def _delete_with_dependents(obj: Any, dependents: Sequence[Any]) -> list[Step]:
    """An owner waits for the object, and the object has dependents: they go first, too.

    Where one of them waits already, the two may own each other; the object then no longer blocks its owners.
    """
    steps: list[Step] = []
    refs = obj.metadata.owner_references
    if any(map(is_waiting_for_dependents, dependents)) and any(ref.block_owner_deletion for ref in refs):
        loose = tuple(msgspec.structs.replace(ref, block_owner_deletion=False) for ref in refs)
        steps.append(Change(obj, with_owners(obj, loose), "its owner must not wait for it in a circle"))
    return [*steps, Delete(obj, "its owner waits for it to go", propagation="Foreground")]


def _propagation_of(obj: Any) -> str:
    if ORPHAN in obj.metadata.finalizers:
        return "Orphan"
    return "Foreground" if FOREGROUND in obj.metadata.finalizers else "Background"


def _without_owners(obj: Any, uids: set[str]) -> Any:
    return with_owners(obj, tuple(ref for ref in obj.metadata.owner_references if ref.uid not in uids))


def _without_finalizer(obj: Any, name: str) -> Change:
    rest = tuple(finalizer for finalizer in obj.metadata.finalizers if finalizer != name)
    after = msgspec.structs.replace(obj, metadata=msgspec.structs.replace(obj.metadata, finalizers=rest))
    return Change(obj, after, f"finalizer {name} is done")
