"""Decides what a CustomResourceDefinition's status says: which of its names are its own, and whether it is in force.

Pure: a definition, those of its group and `now` in, the next status out. Called by `definitions.py`.
Invariant: two established definitions of one group share no name.
Source: Kubernetes v1.37, apiextensions-apiserver/pkg/controller/status/naming_controller.go and
pkg/controller/establish/establishing_controller.go.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from pinnace.base.times import render_time
from pinnace.kube.objects.apiextensions_v1 import (
    CustomResourceDefinition,
    CustomResourceDefinitionCondition,
    CustomResourceDefinitionNames,
    CustomResourceDefinitionStatus,
)

NAMES_ACCEPTED = "NamesAccepted"
ESTABLISHED = "Established"
TERMINATING = "Terminating"
CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


def find_condition(crd: CustomResourceDefinition, type_: str) -> CustomResourceDefinitionCondition | None:
    """Return a condition, or None."""
    return next((condition for condition in crd.status.conditions if condition.type == type_), None)


def is_established(crd: CustomResourceDefinition) -> bool:
    """Say whether the definition's kind is served."""
    found = find_condition(crd, ESTABLISHED)
    return found is not None and found.status == "True"


def with_condition(
    status: CustomResourceDefinitionStatus, type_: str, value: str, reason: str, message: str, now: float
) -> CustomResourceDefinitionStatus:
    """Return the status with a condition set; its time of transition stays while its value does."""
    before = next((one for one in status.conditions if one.type == type_), None)
    moved = before is None or before.status != value
    time = render_time(now) if moved or before is None else before.last_transition_time
    after = CustomResourceDefinitionCondition(
        type=type_, status=value, reason=reason, message=message, last_transition_time=time
    )
    if before is None:
        return replace(status, conditions=(*status.conditions, after))
    conditions = tuple(after if one.type == type_ else one for one in status.conditions)
    return replace(status, conditions=conditions)


def decide_status(
    crd: CustomResourceDefinition, others: Iterable[CustomResourceDefinition], now: float
) -> CustomResourceDefinitionStatus:
    """Return the status that the definition should have, given the other definitions of its group."""
    asked = crd.spec.names
    if crd.status.accepted_names == asked and is_established(crd):
        return crd.status
    names, problem = _accept_names(crd, others)
    status = replace(crd.status, accepted_names=names)
    if problem is not None:
        status = with_condition(status, NAMES_ACCEPTED, "False", *problem, now)
        if not is_established(crd):
            why = "not all names are accepted"
            status = with_condition(status, ESTABLISHED, "False", "NotAccepted", why, now)
        return status
    status = with_condition(status, NAMES_ACCEPTED, "True", "NoConflicts", "no conflicts found", now)
    if is_established(crd):
        return status
    why = "the initial names have been accepted"
    return with_condition(status, ESTABLISHED, "True", "InitialNamesAccepted", why, now)


def _accept_names(
    crd: CustomResourceDefinition, others: Iterable[CustomResourceDefinition]
) -> tuple[CustomResourceDefinitionNames, tuple[str, str] | None]:
    """Return the names that the definition holds from now on, and the last conflict with its reason."""
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        held = other.status.accepted_names
        if held is not None and other.spec.group == crd.spec.group:
            resources.update((held.plural, held.singular, *held.short_names))
            kinds.update((held.kind, held.list_kind))
    asked = crd.spec.names
    before = crd.status.accepted_names or CustomResourceDefinitionNames()
    accepted: dict[str, object] = {"categories": asked.categories}
    problem = None
    for attribute, reason, used in (
        ("plural", "PluralConflict", resources),
        ("singular", "SingularConflict", resources),
        ("short_names", "ShortNamesConflict", resources),
        ("kind", "KindConflict", kinds),
        ("list_kind", "ListKindConflict", kinds),
    ):
        wanted, held_before = getattr(asked, attribute), getattr(before, attribute)
        taken = _taken(wanted, held_before, used)
        if taken:
            message = ", ".join(f'"{name}" is already in use' for name in taken)
            problem = (reason, f"[{message}]" if len(taken) > 1 else message)
        else:
            accepted[attribute] = wanted
    return replace(before, **accepted), problem


def _taken(wanted: str | tuple[str, ...], before: str | tuple[str, ...], used: set[str]) -> list[str]:
    if isinstance(wanted, str):
        return [wanted] if wanted != before and wanted in used else []
    return [name for name in wanted if name not in before and name in used]
