"""Computes what a pod asks of a node. Pure; called once for each version of a pod.

Invariant: the result holds whole numbers only: thousandths of a core for cpu, bytes or pieces for all else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from pinnace.kube.objects.core_v1 import Container, Pod, PodSpec
from pinnace.kube.quantity import QuantityLike, cpu_milli, to_bytes

Amounts = dict[str, int]

# What a container that asks for nothing counts for in scores, so that such pods don't all land on one node.
# Source: Kubernetes v1.36, pkg/scheduler/util/pod_resources.go, DefaultMilliCPURequest and DefaultMemoryRequest
DEFAULT_CPU_MILLI = 100
DEFAULT_MEMORY_BYTES = 200 * 1024 * 1024

# Source: Kubernetes v1.36, component-helpers/resource, SupportedPodLevelResources (and hugepages-*)
POD_LEVEL = ("cpu", "memory")
_RESIZES = ("PodResizePending", "PodResizeInProgress")


def parse_amounts(quantities: Mapping[str, QuantityLike]) -> Amounts:
    """Return quantities as whole numbers. Example: {"cpu": "100m", "nvidia.com/gpu": 1} → {"cpu": 100, "nvidia.com/gpu": 1}."""
    return {name: cpu_milli(q) if name == "cpu" else to_bytes(q) for name, q in quantities.items()}


def compute_requests(spec: PodSpec) -> Amounts:
    """Return what the pod asks for at its most demanding moment; resources it asks nothing of are left out.

    Init containers run one after another, each beside the sidecars started before it; then all containers run beside
    all sidecars. Overhead comes on top.
    Source: Kubernetes v1.36, component-helpers/resource/helpers.go, PodRequests
    Example: containers 2 and 1 cpu, init containers 2 and 4 → max(2 + 1, 2, 4) = 4.
    """
    amounts = _most_demanding(spec, {})
    if spec.resources is not None:
        for name, amount in parse_amounts(spec.resources.requests).items():
            if name in POD_LEVEL or name.startswith("hugepages-"):
                amounts[name] = amount
    _add(amounts, parse_amounts(spec.overhead))
    return {name: amount for name, amount in amounts.items() if amount and name != "pods"}


def counted_spec(pod: Pod) -> PodSpec:
    """Return the spec as it counts on a node: while containers are to get other resources than they have, the larger of both.

    What the node can never give does not count. Source: Kubernetes v1.36, component-helpers/resource/helpers.go,
    determineContainerReqs.
    """
    pending = next((c for c in pod.status.conditions if c.type in _RESIZES), None)
    if pending is None:
        return pod.spec
    given = {s.name: s.allocated_resources for s in pod.status.container_statuses if s.allocated_resources}
    infeasible = pending.reason == "Infeasible"

    def count(container: Container) -> Container:
        has = given.get(container.name)
        if has is None:
            return container
        asks = container.resources.requests
        larger = asks if not infeasible else has
        if not infeasible:
            its = parse_amounts(asks)
            larger = {**asks, **{n: q for n, q in has.items() if parse_amounts({n: q})[n] > its.get(n, 0)}}
        return replace(container, resources=replace(container.resources, requests=larger))

    return replace(pod.spec, containers=tuple(map(count, pod.spec.containers)))


def compute_scoring_requests(spec: PodSpec) -> tuple[int, int]:
    """Return (cpu_milli, memory_bytes) as scores count them: a container that names none counts for a little.

    Source: Kubernetes v1.36, pkg/scheduler/framework/types.go, PodInfo.CalculateResource
    """
    amounts = _most_demanding(spec, {"cpu": DEFAULT_CPU_MILLI, "memory": DEFAULT_MEMORY_BYTES})
    if spec.resources is not None:
        amounts |= {
            name: n for name, n in parse_amounts(spec.resources.requests).items() if name in POD_LEVEL
        }
    _add(amounts, parse_amounts(spec.overhead))
    return amounts.get("cpu", 0), amounts.get("memory", 0)


def _most_demanding(spec: PodSpec, defaults: Amounts) -> Amounts:
    running: Amounts = {}
    for amounts in _each(spec.containers, defaults):
        _add(running, amounts)
    sidecars: Amounts = {}
    starting: Amounts = {}
    for container, amounts in zip(spec.init_containers, _each(spec.init_containers, defaults), strict=True):
        if container.restart_policy == "Always":
            _add(running, amounts)
            _add(sidecars, amounts)
            _raise_to(starting, sidecars)
        else:
            together = dict(sidecars)
            _add(together, amounts)
            _raise_to(starting, together)
    _raise_to(running, starting)
    return running


def _each(containers: Iterable[Container], defaults: Amounts) -> Iterable[Amounts]:
    return (defaults | parse_amounts(container.resources.requests) for container in containers)


def _add(to: Amounts, amounts: Amounts) -> None:
    for name, amount in amounts.items():
        to[name] = to.get(name, 0) + amount


def _raise_to(to: Amounts, amounts: Amounts) -> None:
    for name, amount in amounts.items():
        if amount > to.get(name, 0):
            to[name] = amount
