"""Decides what a deletion does to an object: nothing yet, a mark, or the end.

Pure: the object, the wish and `now` in, a plan out. Source: Kubernetes v1.36, apiserver/pkg/registry/rest/delete.go and
generic/registry/store.go. Invariant: an object with finalizers is never removed, only marked.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from pinnace.api.errors import conflict
from pinnace.api.strategy import Strategy, meta_of, with_meta
from pinnace.api.validation.metadata import FOREGROUND_FINALIZER, ORPHAN_FINALIZER
from pinnace.api.validation.problems import Problems
from pinnace.base.times import parse_time, render_time
from pinnace.kube.objects.meta_v1 import ObjectMeta

T = TypeVar("T")

# Propagation policy -> the finalizer that makes the garbage collector carry it out.
_FINALIZERS = {"Orphan": ORPHAN_FINALIZER, "Foreground": FOREGROUND_FINALIZER, "Background": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteWish:
    """What the caller asks for. Units: `grace_s` seconds. "" and None mean: no wish, no condition."""

    grace_s: int | None = None
    uid: str | None = None
    resource_version: str | None = None
    propagation: str | None = None


class Action(Enum):
    """What is to be done with the object."""

    NOTHING = "nothing"
    MARK = "mark"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class DeletionPlan(Generic[T]):
    """What a deletion does, and the object as it is then."""

    action: Action
    object: T


def check_preconditions(row: Strategy[T], obj: T, wish: DeleteWish) -> None:
    """Raise unless the object is the one that was meant. Raises: ApiError Conflict."""
    meta = meta_of(obj)
    for name, wished, actual in (
        ("UID", wish.uid, meta.uid),
        ("ResourceVersion", wish.resource_version, meta.resource_version),
    ):
        if wished and wished != actual:
            why = f"Precondition failed: {name} in precondition: {wished}, {name} in object meta: {actual}"
            raise conflict(row.kind, meta.name, why)


def plan_deletion(row: Strategy[T], obj: T, wish: DeleteWish, now: float) -> DeletionPlan[T]:
    """Return what the wish does to the object.

    Example: a bound pod with a grace of 30 s is marked with now + 30; a ConfigMap without finalizers is removed.
    """
    meta = meta_of(obj)
    begun = obj if meta.deletion_timestamp else row.begin_deletion(obj)
    finalizers = compute_finalizers(
        meta_of(begun).finalizers, wish.propagation or default_propagation(row, obj)
    )
    grace = row.grace(obj, wish.grace_s) if row.grace is not None else 0
    if meta.deletion_timestamp:
        marked = with_meta(_shorten(obj, meta, grace, now), finalizers=finalizers)
    else:
        changes = {"generation": meta.generation + 1} if meta.generation else {}
        marked = with_meta(
            begun,
            finalizers=finalizers,
            deletion_timestamp=render_time(now + grace),
            deletion_grace_period_seconds=grace,
            **changes,
        )
    if is_over(row, marked):
        return DeletionPlan(Action.REMOVE, marked)
    return DeletionPlan(Action.NOTHING if marked == obj else Action.MARK, marked)


def default_propagation(row: Strategy[T], obj: T) -> str | None:
    """Return what a deletion without a wish does to the dependents; None when nothing has to be written down.

    Source: Kubernetes v1.36, apiserver/pkg/registry/generic/registry/store.go, shouldOrphanDependents.
    """
    meta = meta_of(obj)
    decided = meta.deletion_timestamp or ORPHAN_FINALIZER in meta.finalizers
    if not row.orphans or decided or FOREGROUND_FINALIZER in meta.finalizers:
        return None
    return "Orphan"


def _shorten(obj: T, meta: ObjectMeta, grace: int, now: float) -> T:
    """A second wish can only shorten the grace. Source: rest/delete.go, BeforeDelete."""
    held = meta.deletion_grace_period_seconds or 0
    if grace >= held:
        return obj
    asked = parse_time(meta.deletion_timestamp) - held
    return with_meta(
        obj, deletion_timestamp=render_time(max(asked + grace, now)), deletion_grace_period_seconds=grace
    )


def is_over(row: Strategy[T], obj: T) -> bool:
    """Say whether an object that is being deleted has nothing left to wait for."""
    meta = meta_of(obj)
    return bool(
        meta.deletion_timestamp
        and not meta.finalizers
        and not meta.deletion_grace_period_seconds
        and row.may_go(obj)
    )


def compute_finalizers(finalizers: tuple[str, ...], propagation: str | None) -> tuple[str, ...]:
    """Return the finalizers that a propagation policy leads to; None leaves them alone.

    Raises: ApiError Invalid for a policy that there isn't.
    """
    if not propagation:
        return finalizers
    if propagation not in _FINALIZERS:
        problems = Problems()
        problems.not_supported("propagationPolicy", propagation, _FINALIZERS)
        raise problems.to_error("DeleteOptions", "meta.k8s.io", "")
    kept = tuple(name for name in finalizers if name not in (ORPHAN_FINALIZER, FOREGROUND_FINALIZER))
    added = _FINALIZERS[propagation]
    return (*kept, added) if added else kept
