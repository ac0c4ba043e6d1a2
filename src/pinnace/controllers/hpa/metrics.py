"""Computes what each metric of an autoscaler calls for, and which of them decides.

Pure: facts in, a result in Kubernetes' words out; called by `decide.py`.
Invariant: a metric that can't be read never makes the target smaller.
Source: Kubernetes v1.36, pkg/controller/podautoscaler/horizontal.go, computeReplicasForMetrics.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pinnace.api.world import ContainerUsage
from pinnace.controllers.hpa.calculator import (
    TOLERANCE,
    Measured,
    NoProposal,
    Proposal,
    Sample,
    Target,
    Tolerances,
    compute_replicas,
)
from pinnace.kube.objects.autoscaling_v2 import (
    ContainerResourceMetricStatus,
    HorizontalPodAutoscaler,
    MetricSpec,
    MetricStatus,
    MetricTarget,
    MetricValueStatus,
    ResourceMetricStatus,
)
from pinnace.kube.objects.core_v1 import Container, Pod
from pinnace.kube.quantity import Quantity, parse_quantity, render_quantity

PodUsage = Mapping[str, Mapping[str, ContainerUsage]]  # pod name -> container name -> usage

# Metrics of these types come from adapters that a cluster may have; here there are none. Kind: (reason, words).
ELSEWHERE = {
    "Pods": ("FailedGetPodsMetric", "failed to get pods metric value", "custom metrics API"),
    "Object": ("FailedGetObjectMetric", "failed to get object metric value", "custom metrics API"),
    "External": ("FailedGetExternalMetric", "failed to get external metric value", "external metrics API"),
}


@dataclass(frozen=True, slots=True)
class Found:
    """A metric that was read: what it calls for, its name in messages, its line of the status."""

    replicas: int
    name: str
    status: MetricStatus


@dataclass(frozen=True, slots=True)
class Failed:
    """A metric that was not. `why` is for the event and condition, `told_as` for the sum of all metrics."""

    reason: str
    why: str
    told_as: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What all metrics together call for: `replicas` by the metric `name`, or None where nothing may be concluded.

    `failures` holds those that could not be read, in the order of the spec; `error` sums them up.
    """

    replicas: int | None
    name: str
    statuses: tuple[MetricStatus, ...]
    failures: tuple[Failed, ...]
    error: str


def compute_for_metrics(
    hpa: HorizontalPodAutoscaler, current: int, pods: Sequence[Pod], usage: PodUsage, now: float
) -> Outcome:
    """Return the greatest proposal of all metrics.

    Example: cpu calls for 5, memory for 2: 5. Cpu can't be read and memory calls for less than there are: nothing.
    """
    results = [compute_for_metric(hpa, spec, current, pods, usage, now) for spec in hpa.spec.metrics]
    found = [result for result in results if isinstance(result, Found)]
    failures = tuple(result for result in results if isinstance(result, Failed))
    greatest = max(found, key=lambda one: one.replicas, default=None)
    error = ""
    if failures:
        error = f"invalid metrics ({len(failures)} invalid out of {len(results)}), first error is: {failures[0].told_as}"
    statuses = tuple(one.status for one in found)
    if greatest is None or (failures and greatest.replicas < current):
        return Outcome(None, "", statuses, failures, error)
    return Outcome(greatest.replicas, greatest.name, statuses, failures, error)


def compute_for_metric(
    hpa: HorizontalPodAutoscaler,
    spec: MetricSpec,
    current: int,
    pods: Sequence[Pod],
    usage: PodUsage,
    now: float,
) -> Found | Failed:
    """Return what one metric calls for."""
    if spec.type == "Resource" and spec.resource is not None:
        return _for_resource(hpa, spec.resource.name, "", spec.resource.target, current, pods, usage, now)
    if spec.type == "ContainerResource" and spec.container_resource is not None:
        one = spec.container_resource
        return _for_resource(hpa, one.name, one.container, one.target, current, pods, usage, now)
    reason, words, api = ELSEWHERE.get(
        spec.type,
        ("InvalidMetricSourceType", "unknown metric source type", f'metric source type "{spec.type}"'),
    )
    why = f"unable to get metric: unable to fetch metrics from {api}: no such API is registered"
    return Failed(reason, why, f"{words}: {why}")


def _for_resource(
    hpa: HorizontalPodAutoscaler,
    resource: str,
    container: str,
    target: MetricTarget,
    current: int,
    pods: Sequence[Pod],
    usage: PodUsage,
    now: float,
) -> Found | Failed:
    samples = _read_samples(usage, resource, container)
    aim = _aim_of(target)
    reason = "FailedGetContainerResourceMetric" if container else "FailedGetResourceMetric"
    if aim is None:
        result: Proposal | NoProposal = NoProposal("")
        why = "invalid resource metric source: neither an average utilization target nor an average value (usage) target was set"
    elif not samples:
        result = NoProposal("")
        why = f"failed to get {resource} {_word(aim)}: unable to get metrics for resource {resource}: no metrics returned from resource metrics API"
    else:
        requests = sum_requests(pods, resource, container) if aim.percent is not None else {}
        measured = Measured(current, tuple(pods), samples, requests, resource, tolerances_of(hpa))
        result = compute_replicas(measured, aim, now)
        why = f"failed to get {resource} {_word(aim)}: {result.why}" if isinstance(result, NoProposal) else ""
    if isinstance(result, NoProposal):
        of = f"{resource} container" if container else f"{resource} resource"
        return Failed(reason, why, f"failed to get {of} metric value: {why}")
    return Found(result.replicas, _name_of(resource, container, result), _render(resource, container, result))


def _aim_of(target: MetricTarget) -> Target | None:
    if target.average_value is not None:
        return Target(average_milli=parse_quantity(target.average_value).milli())
    return None if target.average_utilization is None else Target(percent=target.average_utilization)


def _word(aim: Target) -> str:
    return "utilization" if aim.percent is not None else "usage"


def _name_of(resource: str, container: str, proposal: Proposal) -> str:
    if proposal.percent is None:
        return f"{resource} resource"
    return f"{resource}{' container' if container else ''} resource utilization (percentage of request)"


def _render(resource: str, container: str, proposal: Proposal) -> MetricStatus:
    average = render_quantity(Quantity(proposal.average_milli * 1_000_000))
    current = MetricValueStatus(average_utilization=proposal.percent, average_value=average)
    if container:
        status = ContainerResourceMetricStatus(name=resource, container=container, current=current)
        return MetricStatus(type="ContainerResource", container_resource=status)
    return MetricStatus(type="Resource", resource=ResourceMetricStatus(name=resource, current=current))


def _read_samples(usage: PodUsage, resource: str, container: str) -> dict[str, Sample]:
    """Return one sample per pod: the sum of its containers, or the one container; other resources have none."""
    samples: dict[str, Sample] = {}
    for pod, by_container in usage.items():
        chosen = [used for name, used in by_container.items() if not container or name == container]
        if not chosen or resource not in ("cpu", "memory"):
            continue
        milli = sum(used.cpu_milli if resource == "cpu" else used.memory_bytes * 1000 for used in chosen)
        samples[pod] = Sample(milli, min(used.at for used in chosen), max(used.window_s for used in chosen))
    return samples


def sum_requests(pods: Sequence[Pod], resource: str, container: str) -> Mapping[str, int] | NoProposal:
    """Return the requests of each pod in milli units; sidecars count, other init containers don't."""
    sums: dict[str, int] = {}
    for pod in pods:
        total = 0
        for one in _running_containers(pod):
            if container and one.name != container:
                continue
            if resource not in one.resources.requests:
                return NoProposal(
                    f"missing request for {resource} in container {one.name} of Pod {pod.metadata.name}"
                )
            total += parse_quantity(one.resources.requests[resource]).milli()
        sums[pod.metadata.name] = total
    return sums


def _running_containers(pod: Pod) -> tuple[Container, ...]:
    return (
        *pod.spec.containers,
        *(one for one in pod.spec.init_containers if one.restart_policy == "Always"),
    )


def tolerances_of(hpa: HorizontalPodAutoscaler) -> Tolerances:
    """Return the tolerances that `behavior` sets, 0.1 where it sets none."""
    behavior = hpa.spec.behavior
    down = None if behavior is None or behavior.scale_down is None else behavior.scale_down.tolerance
    up = None if behavior is None or behavior.scale_up is None else behavior.scale_up.tolerance
    return Tolerances(*(TOLERANCE if one is None else parse_quantity(one).nano / 1e9 for one in (down, up)))
