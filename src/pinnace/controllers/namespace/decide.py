"""Decides how a terminating namespace ends: what to delete next, what its conditions say, whether it may go.

Pure. Called by `controller.py`. Invariant: the finalizer "kubernetes" goes only when nothing is left in the namespace.
Source: Kubernetes v1.36, pkg/controller/namespace/deletion (namespaced_resources_deleter.go, status_condition_utils.go).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from pinnace.base.times import render_time
from pinnace.kube.objects.core_v1 import Namespace, NamespaceCondition

FINALIZER = "kubernetes"
PODS = "pods"
LOOK_AGAIN_S = 5.0  # what goes enqueues the namespace; this is for what could not be deleted


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of one kind. `finalizers` says how many of the objects wait for each finalizer."""

    count: int
    finalizers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class NamespacePlan:
    """What the status says; `finalize`: the namespace may go. Units: `requeue_after_s` seconds."""

    conditions: tuple[NamespaceCondition, ...] = ()
    finalize: bool = False
    requeue_after_s: float | None = None


def is_to_be_emptied(namespace: Namespace) -> bool:
    """Say whether the namespace is on its way out and waits for its contents to go."""
    return bool(namespace.metadata.deletion_timestamp) and FINALIZER in namespace.spec.finalizers


def choose_kinds(present: Collection[str]) -> tuple[str, ...]:
    """Return the kinds (by group resource) to be deleted now: pods first, so that nothing goes that they still need.

    Source: Kubernetes v1.36, feature OrderedNamespaceDeletion.
    """
    return (PODS,) if PODS in present else tuple(sorted(present))


def judge_namespace(
    namespace: Namespace, left: Mapping[str, Left], failures: Sequence[str], now: float
) -> NamespacePlan:
    """Return what follows from what is left after deleting. `left`: by group resource, kinds with objects only.

    `failures` are the reasons why objects could not be deleted, one per kind.
    """
    if PODS in left:  # the turn of the others has not come
        left = {PODS: left[PODS]}
    conditions = _render_conditions(namespace.status.conditions, left, failures, now)
    if left or failures:
        return NamespacePlan(conditions, requeue_after_s=LOOK_AGAIN_S)
    stays = namespace.metadata.finalizers or len(namespace.spec.finalizers) > 1
    return NamespacePlan(conditions if stays else (), finalize=True)


def _render_conditions(
    before: tuple[NamespaceCondition, ...], left: Mapping[str, Left], failures: Sequence[str], now: float
) -> tuple[NamespaceCondition, ...]:
    waiting: dict[str, int] = {}
    for one in left.values():
        for finalizer, count in one.finalizers.items():
            waiting[finalizer] = waiting.get(finalizer, 0) + count
    remaining = ", ".join(
        f"{_with_dot(resource)} has {one.count} resource instances" for resource, one in sorted(left.items())
    )
    finalizers = ", ".join(f"{name} in {count} resource instances" for name, count in sorted(waiting.items()))
    present = {condition.type: condition for condition in before}
    rows = {
        **_ALL_WELL,
        **({"NamespaceDeletionContentFailure": _failed(failures)} if failures else {}),
        **(
            {
                "NamespaceContentRemaining": (
                    "True",
                    "SomeResourcesRemain",
                    f"Some resources are remaining: {remaining}",
                )
            }
            if left
            else {}
        ),
        **(
            {
                "NamespaceFinalizersRemaining": (
                    "True",
                    "SomeFinalizersRemain",
                    f"Some content in the namespace has finalizers remaining: {finalizers}",
                )
            }
            if waiting
            else {}
        ),
    }
    return tuple(_renew(present.get(type_), type_, *row, now) for type_, row in rows.items())


# Condition type -> status, reason and message while all is well.
_ALL_WELL: Mapping[str, tuple[str, str, str]] = {
    "NamespaceDeletionDiscoveryFailure": (
        "False",
        "ResourcesDiscovered",
        "All resources successfully discovered",
    ),
    "NamespaceDeletionGroupVersionParsingFailure": (
        "False",
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    "NamespaceDeletionContentFailure": (
        "False",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    "NamespaceContentRemaining": ("False", "ContentRemoved", "All content successfully removed"),
    "NamespaceFinalizersRemaining": (
        "False",
        "ContentHasNoFinalizers",
        "All content-preserving finalizers finished",
    ),
}


def _failed(failures: Sequence[str]) -> tuple[str, str, str]:
    said = ", ".join(sorted(failures))
    return (
        "True",
        "ContentDeletionFailed",
        f"Failed to delete all resource types, {len(failures)} remaining: {said}",
    )


def _with_dot(group_resource: str) -> str:
    """Return a kind as these messages spell it: the core group's end in a dot."""
    return group_resource if "." in group_resource else f"{group_resource}."


def _renew(
    before: NamespaceCondition | None, type_: str, status: str, reason: str, message: str, now: float
) -> NamespaceCondition:
    if before is not None and before.status == status:
        return msgspec.structs.replace(before, reason=reason, message=message)
    return NamespaceCondition(
        type=type_, status=status, reason=reason, message=message, last_transition_time=render_time(now)
    )
