"""The Node's row. Pure. Source: Kubernetes v1.36, pkg/apis/core/validation, ValidateNode; pkg/registry/core/node."""

from msgspec.structs import replace

from pinnace.api.defaults.quantities import canonical_quantities
from pinnace.api.strategy import Strategy
from pinnace.api.validation.names import check_label_value, check_qualified_name
from pinnace.api.validation.problems import Problems
from pinnace.kube.kinds import NODE
from pinnace.kube.objects.core_v1 import Node, Taint

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def _default(node: Node) -> Node:
    status = node.status
    capacity = canonical_quantities(status.capacity)
    allocatable = canonical_quantities(status.allocatable) or capacity
    if capacity is status.capacity and allocatable is status.allocatable:
        return node
    return replace(node, status=replace(status, capacity=capacity, allocatable=allocatable))


def _prepare_update(new: Node, old: Node) -> Node:
    return replace(new, status=old.status)


def _prepare_status(new: Node, old: Node) -> Node:
    return replace(old, status=_default(new).status)


def _validate(node: Node, problems: Problems) -> None:
    _validate_taints(node.spec.taints, "spec.taints", problems)


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
            problems.duplicate(where, taint)
        seen.add((taint.key, taint.effect))


def _validate_update(new: Node, old: Node, problems: Problems) -> None:
    if old.spec.pod_cidr and new.spec.pod_cidr != old.spec.pod_cidr:
        problems.forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid')
    if old.spec.provider_id and new.spec.provider_id != old.spec.provider_id:
        problems.forbidden(
            "spec.providerID", 'node updates may not change providerID except from "" to valid'
        )


STRATEGY = Strategy(
    kind=NODE,
    default=_default,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    validate=_validate,
    validate_update=_validate_update,
)
