"""The Node's row. Pure. Source: Kubernetes v1.36, pkg/apis/core/validation, ValidateNode; pkg/registry/core/node."""

from ipaddress import ip_network

from msgspec.structs import replace

from pinnace.api.defaults.quantities import canonical_quantities
from pinnace.api.strategy import Strategy, keep_status
from pinnace.api.validation.addresses import validate_range
from pinnace.api.validation.names import check_label_value, check_qualified_name
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.quotas import validate_amount
from pinnace.kube.kinds import NODE
from pinnace.kube.objects.core_v1 import Node, Taint

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def _default(node: Node) -> Node:
    status, spec = node.status, node.spec
    capacity = canonical_quantities(status.capacity)
    allocatable = canonical_quantities(status.allocatable) or capacity
    if spec.pod_cidr and not spec.pod_cidrs:
        spec = replace(spec, pod_cidrs=(spec.pod_cidr,))
    elif spec.pod_cidrs and not spec.pod_cidr:
        spec = replace(spec, pod_cidr=spec.pod_cidrs[0])
    if capacity is status.capacity and allocatable is status.allocatable and spec is node.spec:
        return node
    return replace(node, spec=spec, status=replace(status, capacity=capacity, allocatable=allocatable))


def _prepare_status(new: Node, old: Node) -> Node:
    return replace(old, status=_default(new).status)


def _validate(node: Node, problems: Problems) -> None:
    _validate_taints(node.spec.taints, "metadata.taints", problems)
    _validate_amounts(node, problems)
    _validate_ranges(node.spec.pod_cidrs, "spec.podCIDRs", problems)


def _validate_taints(taints: tuple[Taint, ...], path: str, problems: Problems) -> None:
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(taints):
        where = f"{path}[{index}]"
        problems.each(f"{where}.key", taint.key, check_qualified_name(taint.key))
        wrong = check_label_value(taint.value)
        if wrong:
            problems.invalid(f"{where}.value", taint.value, ";".join(wrong))
        problems.one_of(f"{where}.effect", taint.effect, _EFFECTS, required=True)
        if (taint.key, taint.effect) in seen:
            problems.duplicate(where, taint, "taints must be unique by key and effect pair")
        seen.add((taint.key, taint.effect))


def _validate_amounts(node: Node, problems: Problems) -> None:
    for name, amounts in (("capacity", node.status.capacity), ("allocatable", node.status.allocatable)):
        for key, text in amounts.items():
            validate_amount(key, text, f"status.{name}.{key}", problems)


def _validate_ranges(ranges: tuple[str, ...], path: str, problems: Problems) -> None:
    right = [validate_range(text, f"{path}[{index}]", problems) for index, text in enumerate(ranges)]
    if len(ranges) < 2 or not all(right):
        return
    families = {ip_network(text, strict=False).version for text in ranges}
    if len(families) < 2 or len(ranges) > 2:
        problems.invalid(path, ranges, "may specify no more than one CIDR for each IP family")
    for index, text in enumerate(ranges):
        if text in ranges[:index]:
            problems.duplicate(f"{path}[{index}]", text)


def _validate_update(new: Node, old: Node, problems: Problems) -> None:
    if old.spec.pod_cidrs and new.spec.pod_cidrs != old.spec.pod_cidrs:
        problems.forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid')
    if old.spec.provider_id and new.spec.provider_id != old.spec.provider_id:
        problems.forbidden(
            "spec.providerID", 'node updates may not change providerID except from "" to valid'
        )
    if new.spec.external_id != old.spec.external_id:
        problems.forbidden("spec.externalID", "may not be updated")


def _validate_status(new: Node, old: Node, problems: Problems) -> None:
    _validate_amounts(new, problems)
    addresses = new.status.addresses
    for index, address in enumerate(addresses):
        if address in addresses[:index]:
            problems.duplicate(f"status.addresses[{index}]", address)


STRATEGY = Strategy(
    kind=NODE,
    default=_default,
    prepare_update=keep_status,
    prepare_status=_prepare_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=_validate_status,
)
