"""Decides how a CustomResourceDefinition ends: its objects first, then the finalizer that kept it.

Pure. Called by `controller.py`. Invariant: the finalizer goes only when no object of the kind is left.
Source: Kubernetes v1.37, apiextensions-apiserver/pkg/controller/finalizer/crd_finalizer.go.
"""

from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from pinnace.api.custom.conditions import CLEANUP_FINALIZER, TERMINATING, is_established, with_condition
from pinnace.kube.objects.apiextensions_v1 import CustomResourceDefinition

LOOK_AGAIN_S = 5.0  # objects that go enqueue their definition; this is for those that could not be deleted


@dataclass(frozen=True, slots=True)
class DefinitionPlan:
    """What to do: objects to delete, and the definition as it should be. Units: `requeue_after_s` seconds."""

    definition: CustomResourceDefinition
    delete: tuple[Any, ...] = ()
    requeue_after_s: float | None = None


def is_to_be_cleaned_up(crd: CustomResourceDefinition) -> bool:
    """Say whether the definition is on its way out and waits for its objects to go."""
    return bool(crd.metadata.deletion_timestamp) and CLEANUP_FINALIZER in crd.metadata.finalizers


def plan_end(
    crd: CustomResourceDefinition, objects: tuple[Any, ...], failures: tuple[str, ...], now: float
) -> DefinitionPlan:
    """Return what to do with a definition that is to be cleaned up; `failures` say what could not be deleted."""
    if objects:
        reason, message = "InstanceDeletionInProgress", "CustomResource deletion is in progress"
        if failures:
            reason, message = "InstanceDeletionFailed", f"could not issue all deletes: {', '.join(failures)}"
        status = with_condition(crd.status, TERMINATING, "True", reason, message, now)
        left = tuple(obj for obj in objects if not obj.metadata.deletion_timestamp)
        return DefinitionPlan(replace(crd, status=status), left, LOOK_AGAIN_S)
    reason, message = "InstanceDeletionCompleted", "removed all instances"
    if not is_established(crd):
        reason, message = "NeverEstablished", "resource was never established"
    status = with_condition(crd.status, TERMINATING, "False", reason, message, now)
    finalizers = tuple(name for name in crd.metadata.finalizers if name != CLEANUP_FINALIZER)
    return DefinitionPlan(replace(crd, status=status, metadata=replace(crd.metadata, finalizers=finalizers)))
