"""Says which quotas mind an object: by what they limit, and by their scopes.

Pure. Source: Kubernetes v1.36, pkg/quota/v1/evaluator/core/pods.go, podMatchesScopeFunc, and generic.Matches.
"""

from collections.abc import Iterator
from typing import Any

from pinnace.api.admission.quota.measures import CLAIMS, PODS
from pinnace.api.defaults.qos import compute_qos_class
from pinnace.api.validation import quotas
from pinnace.kube.objects.core_v1 import (
    PersistentVolumeClaim,
    Pod,
    PodAffinityTerm,
    ResourceQuotaSpec,
    ScopedResourceSelectorRequirement,
)


def terms_of(spec: ResourceQuotaSpec) -> tuple[ScopedResourceSelectorRequirement, ...]:
    """Return all conditions of a quota: its plain scopes, then those of its selector."""
    plain = tuple(
        ScopedResourceSelectorRequirement(scope_name=scope, operator="Exists") for scope in spec.scopes
    )
    return plain + (spec.scope_selector.match_expressions if spec.scope_selector is not None else ())


def matches_scopes(terms: tuple[ScopedResourceSelectorRequirement, ...], resource: str, obj: Any) -> bool:
    """Say whether an object is within all scopes; with none, every object is."""
    if resource == PODS:
        return all(_matches_pod(term, obj) for term in terms)
    if resource == CLAIMS:
        return all(_matches_claim(term, obj) for term in terms)
    return not terms


def _matches_pod(term: ScopedResourceSelectorRequirement, pod: Pod) -> bool:
    match term.scope_name:
        case quotas.TERMINATING:
            return _is_terminating(pod)
        case quotas.NOT_TERMINATING:
            return not _is_terminating(pod)
        case quotas.BEST_EFFORT:
            return compute_qos_class(pod.spec) == "BestEffort"
        case quotas.NOT_BEST_EFFORT:
            return compute_qos_class(pod.spec) != "BestEffort"
        case quotas.PRIORITY_CLASS:
            return _matches_value(term, pod.spec.priority_class_name)
        case quotas.CROSS_NAMESPACE:
            return any(
                term.namespaces or term.namespace_selector is not None for term in _affinity_terms(pod)
            )
        case _:
            return False


def _matches_claim(term: ScopedResourceSelectorRequirement, claim: PersistentVolumeClaim) -> bool:
    if term.scope_name != quotas.VOLUME_ATTRIBUTES:
        return False
    names = {
        claim.spec.volume_attributes_class_name or "",
        claim.status.current_volume_attributes_class_name,
    }
    return any(_matches_value(term, name) for name in names)


def _matches_value(term: ScopedResourceSelectorRequirement, value: str) -> bool:
    match term.operator:
        case "Exists":
            return bool(value)
        case "DoesNotExist":
            return not value
        case "In":
            return bool(value) and value in term.values
        case _:
            return not value or value not in term.values


def _is_terminating(pod: Pod) -> bool:
    deadline = pod.spec.active_deadline_seconds
    return deadline is not None and deadline >= 0


def _affinity_terms(pod: Pod) -> Iterator[PodAffinityTerm]:
    affinity = pod.spec.affinity
    if affinity is None:
        return
    for side in (affinity.pod_affinity, affinity.pod_anti_affinity):
        if side is None:
            continue
        yield from side.required_during_scheduling_ignored_during_execution
        for weighted in side.preferred_during_scheduling_ignored_during_execution:
            if weighted.pod_affinity_term is not None:
                yield weighted.pod_affinity_term
