"""Decides what happens to one object because of its owners and its dependents.

Pure. Called by `controller.py`.
Invariant: an object with an owner that is there, and not waiting for its dependents to go, is never deleted.
Source: Kubernetes v1.36, pkg/controller/garbagecollector/garbagecollector.go (attemptToDeleteItem,
processDeletingDependentsItem, orphanDependents).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from pinnace.controllers.plan import Change, Delete, Plan, Step
from pinnace.kube.objects.meta_v1 import OwnerReference

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


class OwnerState(Enum):
    """How it stands with one owner."""

    PRESENT = "present"
    ABSENT = "absent"
    WAITING = "waiting"  # it is being deleted, and waits for its dependents to go first


@dataclass(frozen=True, slots=True)
class GarbageFacts:
    """One object, the state of each of its owners, and those that name it as an owner."""

    object: Any
    owner_state: Callable[[OwnerReference], OwnerState]
    dependents: tuple[Any, ...] = ()


def reconcile_garbage(facts: GarbageFacts) -> Plan:
    """Return what to do with the object and its dependents."""
    meta = facts.object.metadata
    if meta.deletion_timestamp:
        if ORPHAN in meta.finalizers:
            return Plan((*_orphan(meta.uid, facts.dependents), _without_finalizer(facts.object, ORPHAN)))
        if FOREGROUND in meta.finalizers:
            return Plan(tuple(_delete_dependents_first(facts)))
        return Plan()
    return Plan(tuple(_judge_owners(facts)))


def _orphan(uid: str, dependents: Sequence[Any]) -> list[Step]:
    return [Change(one, _without_owners(one, {uid}), "its owner goes without it") for one in dependents]


def _delete_dependents_first(facts: GarbageFacts) -> list[Step]:
    uid = facts.object.metadata.uid
    blocking = [one for one in facts.dependents if _blocks(one, uid)]
    if not blocking:
        return [_without_finalizer(facts.object, FOREGROUND)]
    return [
        Delete(one, "its owner waits for it to go", propagation="Foreground")
        for one in blocking
        if not one.metadata.deletion_timestamp and not _has_other_controller(one, uid)
    ]


def _has_other_controller(one: Any, uid: str) -> bool:
    """Say whether another owner still holds the dependent; its own reconcile then only drops the reference."""
    return any(ref.uid != uid and ref.controller for ref in one.metadata.owner_references)


def _blocks(one: Any, uid: str) -> bool:
    return any(ref.uid == uid and ref.block_owner_deletion for ref in one.metadata.owner_references)


def _judge_owners(facts: GarbageFacts) -> list[Step]:
    obj = facts.object
    states = {ref.uid: facts.owner_state(ref) for ref in obj.metadata.owner_references}
    if not states:
        return []
    leaving = {uid for uid, state in states.items() if state is not OwnerState.PRESENT}
    if len(leaving) < len(states):
        return [Change(obj, _without_owners(obj, leaving), "some of its owners are gone")] if leaving else []
    if OwnerState.WAITING in states.values():
        return [Delete(obj, "its owner waits for it to go", propagation="Foreground")]
    propagation = "Orphan" if ORPHAN in obj.metadata.finalizers else None
    propagation = "Foreground" if FOREGROUND in obj.metadata.finalizers else propagation
    return [Delete(obj, "its owners are gone", propagation=propagation or "Background")]


def _without_owners(obj: Any, uids: set[str]) -> Any:
    refs = tuple(ref for ref in obj.metadata.owner_references if ref.uid not in uids)
    return msgspec.structs.replace(obj, metadata=msgspec.structs.replace(obj.metadata, owner_references=refs))


def _without_finalizer(obj: Any, name: str) -> Change:
    rest = tuple(finalizer for finalizer in obj.metadata.finalizers if finalizer != name)
    after = msgspec.structs.replace(obj, metadata=msgspec.structs.replace(obj.metadata, finalizers=rest))
    return Change(obj, after, f"finalizer {name} is done")
