"""Computes how many replicas one metric calls for, from the pods and what they used.

Pure: numbers in, a proposal out; called by `metrics.py`.
Invariant: assumptions about pods that were not measured can weaken a proposal, never turn its direction.
Source: Kubernetes v1.36, pkg/controller/podautoscaler/replica_calculator.go, and the page "Horizontal Pod Autoscaling",
section "Algorithm details".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pinnace.base.times import parse_time
from pinnace.controllers.pods import find_condition, is_terminating
from pinnace.kube.objects.core_v1 import Pod

CPU_INITIALIZATION_S = (
    300.0  # Source: kube-controller-manager --horizontal-pod-autoscaler-cpu-initialization-period
)
INITIAL_READINESS_S = 30.0  # Source: --horizontal-pod-autoscaler-initial-readiness-delay
TOLERANCE = 0.1  # Source: --horizontal-pod-autoscaler-tolerance


@dataclass(frozen=True, slots=True)
class Sample:
    """What one pod (or one container of it) used. Units: thousandths of a core, or of a byte; unix seconds; seconds."""

    milli: int
    at: float
    window_s: float


@dataclass(frozen=True, slots=True)
class Tolerances:
    """How far the ratio of used to wanted may be from 1 before anything happens."""

    down: float = TOLERANCE
    up: float = TOLERANCE

    def hold(self, ratio: float) -> bool:
        """Say whether the ratio is near enough to 1."""
        return 1.0 - self.down <= ratio <= 1.0 + self.up


@dataclass(frozen=True, slots=True)
class Proposal:
    """How many replicas a metric calls for. `percent`: of the requests, None for a plain value; `average_milli` per pod."""

    replicas: int
    percent: int | None
    average_milli: int


@dataclass(frozen=True, slots=True)
class NoProposal:
    """Why a metric calls for nothing."""

    why: str


@dataclass(frozen=True, slots=True)
class PodGroups:
    """Pods by how their samples count. `ignored` ones don't exist for the calculation."""

    ready_count: int
    unready: frozenset[str]
    missing: frozenset[str]
    ignored: frozenset[str]


def group_pods(pods: Sequence[Pod], samples: Mapping[str, Sample], resource: str, now: float) -> PodGroups:
    """Sort pods into ready, unready, missing (a sample) and ignored (going or failed).

    Example: a cpu sample taken 10 s after its pod became ready, averaged over 15 s, counts its start-up: unready.
    """
    ready_count = 0
    unready, missing, ignored = set(), set(), set()
    for pod in pods:
        name = pod.metadata.name
        if is_terminating(pod) or pod.status.phase == "Failed":
            ignored.add(name)
        elif pod.status.phase == "Pending":
            unready.add(name)
        elif name not in samples:
            missing.add(name)
        elif resource == "cpu" and _is_starting(pod, samples[name], now):
            unready.add(name)
        else:
            ready_count += 1
    return PodGroups(ready_count, frozenset(unready), frozenset(missing), frozenset(ignored))


def _is_starting(pod: Pod, sample: Sample, now: float) -> bool:
    condition = find_condition(pod, "Ready")
    if condition is None or not pod.status.start_time:
        return True
    started = parse_time(pod.status.start_time)
    changed = parse_time(condition.last_transition_time) if condition.last_transition_time else started
    if started + CPU_INITIALIZATION_S > now:
        return condition.status == "False" or sample.at < changed + sample.window_s
    return condition.status == "False" and started + INITIAL_READINESS_S > changed


@dataclass(frozen=True, slots=True)
class Target:
    """What is aimed at: `percent` of the requests, or `average_milli` per pod (exactly one is set)."""

    percent: int | None = None
    average_milli: int | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """All that the calculation needs for one metric.

    `requests`: milli units by pod, needed for a target in percent; a NoProposal where some container requests nothing.
    """

    current_replicas: int
    pods: tuple[Pod, ...]
    samples: Mapping[str, Sample]
    requests: "Mapping[str, int] | NoProposal"
    resource: str
    tolerances: Tolerances = Tolerances()


def compute_replicas(measured: Measured, target: Target, now: float) -> Proposal | NoProposal:
    """Return how many replicas would bring usage to the target.

    Example: 3 pods requesting 1000m each that use 300m, 500m, 700m are at 50 %; a target of 30 % calls for
    ceil(3 * 50 / 30) = 5.
    """
    if not measured.pods:
        return NoProposal("no pods returned by selector while calculating replica count")
    groups = group_pods(measured.pods, measured.samples, measured.resource, now)
    left_out = groups.ignored | groups.unready
    used = {name: sample.milli for name, sample in measured.samples.items() if name not in left_out}
    if not used:
        return NoProposal("did not receive metrics for targeted pods (pods might be unready)")
    if target.percent is not None and isinstance(measured.requests, NoProposal):
        return measured.requests
    requests = {} if isinstance(measured.requests, NoProposal) else measured.requests
    first = _compare(used, requests, target)
    if isinstance(first, NoProposal):
        return first
    ratio = first.ratio
    counts_unready = bool(groups.unready) and ratio > 1.0
    if not counts_unready and not groups.missing:
        stays = measured.tolerances.hold(ratio)
        return first.propose(measured.current_replicas if stays else math.ceil(ratio * groups.ready_count))
    used |= _assume_missing(groups.missing, requests, target, ratio)
    if counts_unready:
        used |= dict.fromkeys(groups.unready, 0)
    second = _compare(used, requests, target)
    if isinstance(second, NoProposal):
        return second
    return first.propose(_settle(measured, ratio, second.ratio, len(used)))


@dataclass(frozen=True, slots=True)
class _Comparison:
    ratio: float
    percent: int | None
    average_milli: int

    def propose(self, replicas: int) -> Proposal:
        return Proposal(replicas, self.percent, self.average_milli)


def _compare(
    used: Mapping[str, int], requests: Mapping[str, int], target: Target
) -> _Comparison | NoProposal:
    """Compare usage with the target. Whole numbers are cut where Kubernetes cuts them."""
    if target.percent is None:
        average = sum(used.values()) // len(used)
        return _Comparison(average / (target.average_milli or 1), None, average)
    known = [name for name in used if name in requests]
    total = sum(used[name] for name in known)
    requested = sum(requests[name] for name in known)
    if requested == 0:
        return NoProposal("no metrics returned matched known pods")
    percent = total * 100 // requested
    return _Comparison(percent / target.percent, percent, total // len(known))


def _assume_missing(
    missing: frozenset[str], requests: Mapping[str, int], target: Target, ratio: float
) -> dict[str, int]:
    """Return what pods without a sample are taken to use: nothing when growing, all that is allowed when shrinking."""
    if ratio >= 1.0:
        if target.percent is not None and ratio == 1.0:
            return {}
        return dict.fromkeys(missing, 0)
    if target.percent is None:
        return dict.fromkeys(missing, target.average_milli or 0)
    full = max(100, target.percent)
    return {name: requests.get(name, 0) * full // 100 for name in missing}


def _settle(measured: Measured, before: float, after: float, counted: int) -> int:
    current = measured.current_replicas
    turned = (before < 1.0 < after) or (after < 1.0 < before)
    if turned or measured.tolerances.hold(after):
        return current
    replicas = math.ceil(after * counted)
    if (after < 1.0 and replicas > current) or (after > 1.0 and replicas < current):
        return current
    return replicas
