"""Decides what a terminating namespace still needs: what to delete, what its conditions say, whether it may go.

Pure. Called by `controller.py`. Invariant: the finalizer "kubernetes" goes only when nothing is left in the namespace.
Source: Kubernetes v1.36, pkg/controller/namespace/deletion (namespaced_resources_deleter.go, status_condition_utils.go).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from pinnace.base.times import render_time
from pinnace.kube.objects.core_v1 import Namespace, NamespaceCondition

FINALIZER = "kubernetes"
LOOK_AGAIN_S = 1.0  # changes of the contents enqueue the namespace too; this is for what is not watched


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of one kind. `finalizers` says how many of the objects wait for each finalizer."""

    count: int
    finalizers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class NamespacePlan:
    """`delete`: kinds (by group resource) whose objects are to be deleted. `finalize`: the namespace may go."""

    delete: tuple[str, ...] = ()
    conditions: tuple[NamespaceCondition, ...] = ()
    finalize: bool = False
    requeue_after_s: float | None = None


def reconcile_namespace(namespace: Namespace, contents: Mapping[str, Left], now: float) -> NamespacePlan:
    """Return what to do. `contents`: by group resource ("deployments.apps"), kinds with objects only."""
    if not namespace.metadata.deletion_timestamp or FINALIZER not in namespace.spec.finalizers:
        return NamespacePlan()
    if not contents:
        return NamespacePlan(finalize=True)
    return NamespacePlan(
        delete=tuple(contents),
        conditions=_judge(namespace.status.conditions, contents, now),
        requeue_after_s=LOOK_AGAIN_S,
    )


def _judge(
    before: tuple[NamespaceCondition, ...], contents: Mapping[str, Left], now: float
) -> tuple[NamespaceCondition, ...]:
    waiting: dict[str, int] = {}
    for left in contents.values():
        for finalizer, count in left.finalizers.items():
            waiting[finalizer] = waiting.get(finalizer, 0) + count
    remaining = ", ".join(
        f"{resource} has {left.count} resource instances" for resource, left in sorted(contents.items())
    )
    finalizers = ", ".join(f"{name} in {count} resource instances" for name, count in sorted(waiting.items()))
    rows = (
        (
            "NamespaceDeletionDiscoveryFailure",
            "False",
            "ResourcesDiscovered",
            "All resources successfully discovered",
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            "False",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        (
            "NamespaceDeletionContentFailure",
            "False",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        (
            "NamespaceContentRemaining",
            "True",
            "SomeResourcesRemain",
            f"Some resources are remaining: {remaining}",
        ),
        (
            "NamespaceFinalizersRemaining",
            "True",
            "SomeFinalizersRemain",
            f"Some content in the namespace has finalizers remaining: {finalizers}",
        )
        if waiting
        else (
            "NamespaceFinalizersRemaining",
            "False",
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished",
        ),
    )
    present = {condition.type: condition for condition in before}
    return tuple(_renew(present.get(row[0]), *row, now) for row in rows)


def _renew(
    before: NamespaceCondition | None, type_: str, status: str, reason: str, message: str, now: float
) -> NamespaceCondition:
    if before is not None and before.status == status:
        return msgspec.structs.replace(before, reason=reason, message=message)
    return NamespaceCondition(
        type=type_, status=status, reason=reason, message=message, last_transition_time=render_time(now)
    )
