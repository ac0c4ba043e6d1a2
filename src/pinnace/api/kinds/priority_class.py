"""The PriorityClass's row: a name for a number, which never changes. Pure.

Source: Kubernetes v1.36, pkg/apis/scheduling/validation and v1/defaults.go.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from pinnace.api.admission.priority import GLOBAL_DEFAULT, SYSTEM_CLASSES
from pinnace.api.strategy import Strategy
from pinnace.api.validation.problems import Problems
from pinnace.kube.kinds import PRIORITY_CLASS
from pinnace.kube.objects.scheduling_v1 import PriorityClass

HIGHEST_FOR_USERS = 1_000_000_000  # Source: pkg/apis/scheduling/types.go, HighestUserDefinablePriority
POLICIES = ("Never", "PreemptLowerPriority")


def _default(obj: PriorityClass) -> PriorityClass:
    # The API's schema has no default for `value`; Go's zero is what an absent one means.
    return replace(
        obj,
        value=obj.value or 0,
        preemption_policy=obj.preemption_policy or "PreemptLowerPriority",
        global_default=obj.global_default or None,
    )


def _validate(obj: PriorityClass, problems: Problems) -> None:
    name, value = obj.metadata.name, obj.value or 0
    if name.startswith("system-"):
        if SYSTEM_CLASSES.get(name) != value or obj.global_default:
            problems.forbidden(
                "metadata.name",
                "priority class names with 'system-' prefix are reserved for system use only. error: "
                + _differs(obj),
            )
    elif value > HIGHEST_FOR_USERS:
        problems.forbidden(
            "value", f"maximum allowed value of a user defined priority is {HIGHEST_FOR_USERS}"
        )
    problems.one_of("preemptionPolicy", obj.preemption_policy, POLICIES)


def _differs(obj: PriorityClass) -> str:
    """Say how a class with a reserved name is not the system's own. Source: IsKnownSystemPriorityClass."""
    name = obj.metadata.name
    if name not in SYSTEM_CLASSES:
        return f"{name} is not a known system priority class"
    if SYSTEM_CLASSES[name] != (obj.value or 0):
        return f"value of {name} PriorityClass must be {SYSTEM_CLASSES[name]}"
    return f"globalDefault of {name} PriorityClass must be false"


def _validate_update(new: PriorityClass, old: PriorityClass, problems: Problems) -> None:
    if new.value != old.value:
        problems.forbidden("value", "may not be changed in an update.")
    if new.preemption_policy != old.preemption_policy:
        problems.immutable("preemptionPolicy", new.preemption_policy)


def _index(obj: PriorityClass) -> Mapping[str, str]:
    return {GLOBAL_DEFAULT: "true" if obj.global_default else "false"}


STRATEGY = Strategy(
    kind=PRIORITY_CLASS,
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    index=_index,
    generation=True,
)
