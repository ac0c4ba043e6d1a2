"""Gives a new pod the overhead, node labels and tolerations of its RuntimeClass.

A row of the chain. Pure. Source: Kubernetes v1.36, plugin/pkg/admission/runtimeclass/admission.go.
"""

from typing import Any

from msgspec.structs import replace

from pinnace.api.admission.attempt import Admission, Attempt, Operation
from pinnace.api.defaults.quantities import canonical_quantities
from pinnace.api.errors import forbidden
from pinnace.kube.kinds import POD, RUNTIME_CLASS
from pinnace.kube.objects.core_v1 import Pod
from pinnace.kube.objects.node_v1 import RuntimeClass, Scheduling


def admit_runtime(attempt: Attempt) -> Pod:
    """Return the pod as its class wants it. Raises: ApiError Forbidden when there is no such class, or the pod contradicts it."""
    pod: Pod = attempt.object
    found = _find_class(pod, attempt)
    changes: dict[str, Any] = {}
    if found is not None and found.overhead is not None:
        changes["overhead"] = _choose_overhead(pod, found, attempt.name)
    elif pod.spec.overhead:
        why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
        raise forbidden(POD, attempt.name, why)
    if found is None:
        return pod
    if found.scheduling is not None:
        changes |= _choose_nodes(pod, found.scheduling, attempt.name)
    return replace(pod, spec=replace(pod.spec, **changes)) if changes else pod


def _find_class(pod: Pod, attempt: Attempt) -> RuntimeClass | None:
    name = pod.spec.runtime_class_name
    found = attempt.facts.find(RUNTIME_CLASS, "", name) if name else None
    if name and found is None:
        why = f'pod rejected: RuntimeClass "{name}" not found'
        raise forbidden(POD, attempt.name, why)
    return found


def _choose_overhead(pod: Pod, found: RuntimeClass, name: str) -> dict[str, str | int | float]:
    fixed = canonical_quantities(found.overhead.pod_fixed if found.overhead is not None else {})
    if pod.spec.overhead and canonical_quantities(pod.spec.overhead) != fixed:
        why = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
        raise forbidden(POD, name, why)
    return fixed


def _choose_nodes(pod: Pod, scheduling: Scheduling, name: str) -> dict[str, Any]:
    held, wanted = pod.spec.node_selector, scheduling.node_selector
    for key, value in wanted.items():
        if held.get(key, value) != value:
            why = f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {held[key]}"
            raise forbidden(POD, name, why)
    added = tuple(each for each in scheduling.tolerations if each not in pod.spec.tolerations)
    return {"node_selector": {**held, **wanted}, "tolerations": (*pod.spec.tolerations, *added)}


ROW = Admission(
    name="RuntimeClass",
    mutate=admit_runtime,
    resources=frozenset({POD.resource}),
    operations=frozenset({Operation.CREATE}),
)
