"""Checks requests and limits. Pure. Source: Kubernetes v1.36, pkg/apis/core/validation, ValidateResourceRequirements."""

from collections.abc import Collection, Iterable, Mapping

from pinnace.api.validation.names import check_qualified_name
from pinnace.api.validation.problems import Problems
from pinnace.kube.objects.core_v1 import Container, PodSpec, ResourceClaim, ResourceRequirements
from pinnace.kube.quantity import NANO, QuantityError, QuantityLike, canonical, parse_quantity

HUGE_PAGES = "hugepages-"
_STANDARD = frozenset({"cpu", "memory", "ephemeral-storage"})
_WHOLE = frozenset({"pods"})
_NATIVE = "kubernetes.io"
_NOT_NEGATIVE = "must be greater than or equal to 0"
# Names that are fine in a quota or for a claim, but not for a container.
# Source: Kubernetes v1.36, pkg/apis/core/helper/helpers.go, standardResources.
_STANDARD_ELSEWHERE = frozenset(
    {
        "storage",
        "requests.storage",
        "requests.cpu",
        "requests.memory",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    }
)


def is_standard_resource(name: str) -> bool:
    """Say whether a container may ask for this name without a domain."""
    return name in _STANDARD or name.startswith(HUGE_PAGES)


def is_extended_resource(name: str) -> bool:
    """Say whether this is a resource with a domain of its own, like nvidia.com/gpu: whole, and never overcommitted."""
    return "/" in name and not name.split("/", 1)[0].endswith(_NATIVE)


def is_negative(text: QuantityLike) -> bool:
    """Say whether an amount is less than nothing; False for what is no amount."""
    try:
        return parse_quantity(text).nano < 0
    except QuantityError:
        return False


def validate_resources(
    resources: ResourceRequirements, path: str, problems: Problems, *, claims: Collection[str] = ()
) -> None:
    """Check both maps, that requests stay within limits, and that claims are among the pod's."""
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
    names = {*resources.limits, *resources.requests}
    if any(name.startswith(HUGE_PAGES) for name in names) and not names & {"cpu", "memory"}:
        problems.forbidden(path, "HugePages require cpu or memory")
    _validate_claims(resources.claims, claims, f"{path}.claims", problems)


def _validate_claims(
    claims: Iterable[ResourceClaim], known: Collection[str], path: str, problems: Problems
) -> None:
    names: set[str] = set()
    for index, claim in enumerate(claims):
        where = f"{path}[{index}]"
        if not claim.name:
            problems.required(where)
            continue
        if claim.name in names:
            problems.duplicate(where, claim.name)
        names.add(claim.name)
        if claim.name not in known:
            which = f": {', '.join(sorted(known))}" if known else " which is empty"
            words = f"must be one of the names in pod.spec.resourceClaims{which}"
            problems.not_found(where, claim.name, words)


def _overcommits(name: str) -> bool:
    return name in _STANDARD or ("/" in name and not is_extended_resource(name))


def _validate_map(quantities: Mapping[str, QuantityLike], path: str, problems: Problems) -> dict[str, int]:
    """Return the amounts in billionths."""
    parsed: dict[str, int] = {}
    for name, text in quantities.items():
        where = f"{path}[{name}]"
        validate_resource_name(name, where, problems)
        value = _parse(text)
        if value is None:
            problems.invalid(where, text, _NOT_A_QUANTITY)
            continue
        parsed[name] = value
        if value < 0:
            problems.invalid(where, canonical(text), _NOT_NEGATIVE)
        if (is_extended_resource(name) or name in _WHOLE) and value % NANO:
            problems.invalid(where, text, "must be an integer")
        if name.startswith(HUGE_PAGES) and not _is_whole_pages(name, value):
            words = f"{canonical(text)} is not positive integer multiple of {name}"
            problems.invalid(where, canonical(text), words)
    return parsed


def validate_resource_name(name: str, path: str, problems: Problems) -> None:
    """Check the name of something that a container may ask for."""
    wrong = check_qualified_name(name)
    problems.each(path, name, wrong)
    if "/" not in name:
        if not wrong and not is_standard_resource(name) and name not in _STANDARD_ELSEWHERE:
            problems.invalid(path, name, "must be a standard resource type or fully qualified")
        if not is_standard_resource(name):
            problems.invalid(path, name, "must be a standard resource for containers")
    elif is_extended_resource(name) and (
        name.startswith("requests.") or check_qualified_name(f"requests.{name}")
    ):
        problems.invalid(path, name, "doesn't follow extended resource name standard")


def _is_whole_pages(name: str, nano: int) -> bool:
    size = _parse(name.removeprefix(HUGE_PAGES))
    return bool(size) and nano >= 0 and nano % (size or 1) == 0


# Source: Kubernetes v1.36, apimachinery/pkg/api/resource, ErrFormatWrong.
_NOT_A_QUANTITY = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)


def _parse(text: QuantityLike) -> int | None:
    try:
        return parse_quantity(text).nano
    except ValueError:
        return None


def validate_quantity(
    text: QuantityLike | None, path: str, problems: Problems, *, positive: bool = False
) -> None:
    """Check one quantity; None is fine."""
    if text is None or text == "":
        return
    value = _parse(text)
    if value is None:
        problems.invalid(path, text, _NOT_A_QUANTITY)
    elif value < 0 and not positive:
        problems.invalid(path, canonical(text), _NOT_NEGATIVE)
    elif positive and value <= 0:
        problems.invalid(path, canonical(text), "must be positive")


# ---------------------------------------------------------------------------------------------------- the whole pod


def validate_overhead(overhead: Mapping[str, QuantityLike], path: str, problems: Problems) -> None:
    """Check what a pod costs beside its containers."""
    validate_resources(ResourceRequirements(limits=dict(overhead)), path, problems)


def validate_pod_resources(spec: PodSpec, path: str, problems: Problems) -> None:
    """Check what a pod asks for as a whole: at least what its containers ask for together.

    Source: Kubernetes v1.36, pkg/apis/core/validation, validatePodResources.
    """
    resources, where = spec.resources, f"{path}.resources"
    if resources is None:
        return
    if resources.claims:
        problems.forbidden(f"{where}.claims", "claims may not be set for Resources at pod-level")
    for name, quantities in (("limits", resources.limits), ("requests", resources.requests)):
        for key in quantities:
            if key not in ("cpu", "memory") and not key.startswith(HUGE_PAGES):
                problems.not_supported(f"{where}.{name}[{key}]", key, ("cpu", HUGE_PAGES, "memory"))
    validate_resources(
        ResourceRequirements(limits=resources.limits, requests=resources.requests), where, problems
    )
    for key, text in resources.requests.items():
        total = sum(_amount(container.resources.requests.get(key)) for container in _running(spec))
        if (_parse(text) or 0) < total:
            words = f"must be greater than or equal to aggregate container requests of {_show(total)}"
            problems.invalid(f"{where}.requests[{key}]", canonical(text), words)
    for key, text in resources.limits.items():
        most = max((_amount(container.resources.limits.get(key)) for container in _running(spec)), default=0)
        if (_parse(text) or 0) < most:
            words = f"must be greater than or equal to container limits of {_show(most)}"
            problems.invalid(f"{where}.limits[{key}]", canonical(text), words)


def _running(spec: PodSpec) -> Iterable[Container]:
    """Return the containers that run side by side."""
    return (*spec.containers, *(c for c in spec.init_containers if c.restart_policy == "Always"))


def _amount(text: QuantityLike | None) -> int:
    return 0 if text is None else _parse(text) or 0


def _show(nano: int) -> str:
    return canonical(nano // NANO) if nano % NANO == 0 else canonical(f"{nano}n")
