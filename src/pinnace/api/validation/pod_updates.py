"""Checks what may change in a pod that exists. Pure.

Source: Kubernetes v1.36, pkg/apis/core/validation, ValidatePodUpdate.
"""

from typing import Any

from msgspec.structs import replace

from pinnace.api.defaults.qos import compute_qos_class
from pinnace.api.validation.problems import Problems
from pinnace.kube.objects.core_v1 import (
    Affinity,
    Container,
    NodeAffinity,
    NodeSelectorTerm,
    Pod,
    PodSchedulingGate,
    PodSpec,
    Toleration,
)

_INT32_MAX = 2**31 - 1
_FIXED = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def validate_pod_update(new: Pod, old: Pod, problems: Problems) -> None:
    """Check that only images, deadline, tolerations (more of them) and what a gate allows changed in the spec."""
    now, before = new.spec, old.spec
    if now == before:
        return
    for name, containers, had in (
        ("containers", now.containers, before.containers),
        ("initContainers", now.init_containers, before.init_containers),
    ):
        if len(containers) != len(had):
            problems.forbidden(f"spec.{name}", "pod updates may not add or remove containers")
            return
    if not _validate_deadline(now.active_deadline_seconds, before.active_deadline_seconds, problems):
        return
    _validate_tolerations(now.tolerations, before.tolerations, problems)
    _validate_gates(now.scheduling_gates, before.scheduling_gates, problems)
    if old.status.qos_class and compute_qos_class(now) != old.status.qos_class:
        problems.invalid("metadata", new.status.qos_class, "Pod QoS is immutable")
    munged = replace_allowed(now, before)
    if before.scheduling_gates:
        munged = _replace_gated(munged, before, problems)
    if munged != before:
        problems.forbidden("spec", _FIXED)


def replace_allowed(new: PodSpec, old: PodSpec) -> PodSpec:
    """Return the new spec with every field that may change set back to what it was."""
    grace = new.termination_grace_period_seconds
    if grace == 1 and (old.termination_grace_period_seconds or 0) < 0:
        grace = old.termination_grace_period_seconds
    return replace(
        new,
        containers=_with_old_images(new.containers, old.containers),
        init_containers=_with_old_images(new.init_containers, old.init_containers),
        active_deadline_seconds=old.active_deadline_seconds,
        tolerations=old.tolerations,
        termination_grace_period_seconds=grace,
        scheduling_gates=old.scheduling_gates,
    )


def _with_old_images(new: tuple[Container, ...], old: tuple[Container, ...]) -> tuple[Container, ...]:
    return tuple(replace(now, image=before.image) for now, before in zip(new, old, strict=True))


def _validate_deadline(new: int | None, old: int | None, problems: Problems) -> bool:
    """Check that a deadline only comes nearer; return whether it is worth looking further."""
    path = "spec.activeDeadlineSeconds"
    if new is None:
        if old is not None:
            problems.invalid(path, None, "must not update from a positive integer to nil value")
        return True
    if not 0 <= new <= _INT32_MAX:
        problems.within(path, new, 0, _INT32_MAX)
        return False
    if old is not None and new > old:
        problems.invalid(path, new, "must be less than or equal to previous value")
        return False
    return True


def _validate_tolerations(
    new: tuple[Toleration, ...], old: tuple[Toleration, ...], problems: Problems
) -> None:
    def strip(tolerations: tuple[Toleration, ...]) -> list[Toleration]:
        return [replace(toleration, toleration_seconds=None) for toleration in tolerations]

    kept = strip(new)
    if any(toleration not in kept for toleration in strip(old)):
        problems.forbidden(
            "spec.tolerations", "existing toleration can not be modified except its tolerationSeconds"
        )


def _validate_gates(
    new: tuple[PodSchedulingGate, ...], old: tuple[PodSchedulingGate, ...], problems: Problems
) -> None:
    held = {gate.name for gate in old}
    for index, gate in enumerate(new):
        if gate.name not in held:
            words = f"only deletion is allowed, but found new scheduling gate '{gate.name}'"
            problems.forbidden(f"spec.schedulingGates[{index}].name", words)


def _replace_gated(new: PodSpec, old: PodSpec, problems: Problems) -> PodSpec:
    """Set back what may change while a gate keeps the pod from being placed: it may only get narrower."""
    changes: dict[str, Any] = {}
    if new.node_selector != old.node_selector:
        if not new.node_selector.items() >= old.node_selector.items():
            words = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
            problems.invalid("spec.nodeSelector", new.node_selector, words)
        changes["node_selector"] = old.node_selector
    had = None if old.affinity is None else old.affinity.node_affinity
    has = None if new.affinity is None else new.affinity.node_affinity
    if had != has:
        _validate_narrower(has, had, problems)
        affinity = replace(new.affinity or Affinity(), node_affinity=had)
        changes["affinity"] = None if old.affinity is None and affinity == Affinity() else affinity
    return replace(new, **changes)


def _validate_narrower(new: NodeAffinity | None, old: NodeAffinity | None, problems: Problems) -> None:
    """Check that a required node affinity only got more conditions. Source: validateNodeAffinityMutation."""
    path = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
    before = None if old is None else old.required_during_scheduling_ignored_during_execution
    if before is None:
        return
    now = None if new is None else new.required_during_scheduling_ignored_during_execution
    had, has = before.node_selector_terms, () if now is None else now.node_selector_terms
    where = f"{path}.nodeSelectorTerms"
    if had and len(had) != len(has):
        words = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        problems.invalid(where, has, words)
        return
    for index, (term, held) in enumerate(zip(has, had, strict=False)):
        if not _adds_only(term, held):
            words = "only additions are allowed (no mutations or deletions)"
            problems.invalid(f"{where}[{index}]", term, words)


def _adds_only(new: NodeSelectorTerm, old: NodeSelectorTerm) -> bool:
    if not old.match_expressions and not old.match_fields:
        return not new.match_expressions and not new.match_fields
    return (
        new.match_expressions[: len(old.match_expressions)] == old.match_expressions
        and new.match_fields[: len(old.match_fields)] == old.match_fields
    )
