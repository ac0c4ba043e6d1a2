"""Checks requests and limits. Pure. Source: Kubernetes v1.36, pkg/apis/core/validation, ValidateResourceRequirements."""

from collections.abc import Mapping

from pinnace.api.validation.names import check_qualified_name
from pinnace.api.validation.problems import Problems
from pinnace.kube.objects.core_v1 import ResourceRequirements
from pinnace.kube.quantity import NANO, canonical, parse_quantity

_STANDARD = frozenset({"cpu", "memory", "ephemeral-storage"})


def is_standard_resource(name: str) -> bool:
    """Say whether a container may ask for this name without a domain."""
    return name in _STANDARD or name.startswith("hugepages-")


def is_extended_resource(name: str) -> bool:
    """Say whether this is a resource with a domain of its own, like nvidia.com/gpu: whole, and never overcommitted."""
    return "/" in name and not name.split("/", 1)[0].endswith("kubernetes.io")


def validate_resources(resources: ResourceRequirements, path: str, problems: Problems) -> None:
    """Check both maps, and that requests stay within limits."""
    if not (resources.limits or resources.requests or resources.claims):
        return
    limits = _validate_map(resources.limits, f"{path}.limits", problems)
    requests = _validate_map(resources.requests, f"{path}.requests", problems)
    for name, request in requests.items():
        limit = limits.get(name)
        shown = canonical(resources.requests[name])
        if limit is not None:
            bound = canonical(resources.limits[name])
            if request != limit and not _overcommits(name):
                problems.invalid(f"{path}.requests", shown, f"must be equal to {name} limit of {bound}")
            elif request > limit:
                problems.invalid(
                    f"{path}.requests", shown, f"must be less than or equal to {name} limit of {bound}"
                )
        elif not _overcommits(name) and name not in resources.limits:
            problems.required(f"{path}.limits", "Limit must be set for non overcommitable resources")


def _overcommits(name: str) -> bool:
    return name in _STANDARD or ("/" in name and not is_extended_resource(name))


def _validate_map(
    quantities: Mapping[str, str | int | float], path: str, problems: Problems
) -> dict[str, int]:
    """Return the amounts in billionths."""
    parsed: dict[str, int] = {}
    for name, text in quantities.items():
        where = f"{path}[{name}]"
        wrong = check_qualified_name(name)
        problems.each(path, name, wrong)
        if not wrong and "/" not in name and not is_standard_resource(name):
            problems.invalid(path, name, "must be a standard resource type or fully qualified")
            problems.invalid(path, name, "must be a standard resource for containers")
        value = _parse(text)
        if value is None:
            problems.invalid(where, text, _NOT_A_QUANTITY)
            continue
        parsed[name] = value
        if value < 0:
            problems.invalid(where, canonical(text), "must be greater than or equal to 0")
        elif is_extended_resource(name) and value % NANO:
            problems.invalid(where, text, "must be an integer")
    return parsed


# Source: Kubernetes v1.36, apimachinery/pkg/api/resource, ErrFormatWrong.
_NOT_A_QUANTITY = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)


def _parse(text: str | int | float) -> int | None:
    try:
        return parse_quantity(text).nano
    except ValueError:
        return None


def validate_quantity(
    text: str | int | float | None, path: str, problems: Problems, *, positive: bool = False
) -> None:
    """Check one quantity; None is fine."""
    if text is None or text == "":
        return
    value = _parse(text)
    if value is None:
        problems.invalid(path, text, _NOT_A_QUANTITY)
    elif value < 0:
        problems.invalid(path, canonical(text), "must be greater than or equal to 0")
    elif positive and value <= 0:
        problems.invalid(path, canonical(text), "must be positive")
