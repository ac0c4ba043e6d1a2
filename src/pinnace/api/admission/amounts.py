"""Adds up what a pod asks for and may use, exactly and in the notation that it was written in.

Used by limits and quotas, which show these amounts to people. Pure.
Source: Kubernetes v1.36, component-helpers/resource/helpers.go, PodRequests and PodLimits.
"""

from collections.abc import Iterable, Mapping

from pinnace.kube.objects.core_v1 import Container, PodSpec
from pinnace.kube.quantity import Quantity, QuantityError, QuantityLike, parse_quantity

Amounts = dict[str, Quantity]

_POD_LEVEL = ("cpu", "memory")


def parse_amounts(quantities: Mapping[str, QuantityLike]) -> Amounts:
    """Return the amounts; one that is no quantity is left out, for validation to name."""
    found: Amounts = {}
    for name, text in quantities.items():
        try:
            found[name] = parse_quantity(text)
        except QuantityError:
            continue
    return found


def add_to(total: Amounts, more: Mapping[str, Quantity]) -> None:
    """Add each amount to its total."""
    for name, amount in more.items():
        held = total.get(name)
        total[name] = amount if held is None else held + amount


def compute_pod_requests(spec: PodSpec) -> Amounts:
    """Return what the pod asks for at its most demanding moment.

    Example: containers 2 and 1 cpu, init containers 2 and 4: max(2 + 1, 2, 4) = 4.
    """
    asked = _most_demanding(
        ((each, parse_amounts(each.resources.requests)) for each in spec.containers),
        ((each, parse_amounts(each.resources.requests)) for each in spec.init_containers),
    )
    if spec.resources is not None:
        asked |= _pod_level(spec.resources.requests)
    add_to(asked, parse_amounts(spec.overhead))
    return asked


def compute_pod_limits(spec: PodSpec) -> Amounts:
    """Return what the pod may use at most; overhead counts only where there is a limit."""
    allowed = _most_demanding(
        ((each, parse_amounts(each.resources.limits)) for each in spec.containers),
        ((each, parse_amounts(each.resources.limits)) for each in spec.init_containers),
    )
    if spec.resources is not None:
        allowed |= _pod_level(spec.resources.limits)
    overhead = parse_amounts(spec.overhead)
    add_to(allowed, {name: amount for name, amount in overhead.items() if allowed.get(name)})
    return allowed


def _pod_level(quantities: Mapping[str, QuantityLike]) -> Amounts:
    return {
        name: amount
        for name, amount in parse_amounts(quantities).items()
        if name in _POD_LEVEL or name.startswith("hugepages-")
    }


def _most_demanding(
    containers: Iterable[tuple[Container, Amounts]], first: Iterable[tuple[Container, Amounts]]
) -> Amounts:
    running: Amounts = {}
    for _, amounts in containers:
        add_to(running, amounts)
    sidecars: Amounts = {}
    starting: Amounts = {}
    for container, amounts in first:
        together = dict(sidecars)
        add_to(together, amounts)
        if container.restart_policy == "Always":
            add_to(running, amounts)
            sidecars = together
        _raise_to(starting, together)
    _raise_to(running, starting)
    return running


def _raise_to(total: Amounts, least: Mapping[str, Quantity]) -> None:
    for name, amount in least.items():
        if name not in total or total[name] < amount:
            total[name] = amount
