"""Decides which pods of a set go first when it shrinks.

Pure. Called by `decide.py`. The order is Kubernetes': what serves least, or costs least to lose, goes first.
Source: Kubernetes v1.36, pkg/controller/controller_utils.go, ActivePodsWithRanks (with LogarithmicScaleDown and
PodDeletionCost, both on).
Invariant: the order is total, so the same pods and time give the same choice.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cmp_to_key

from pinnace.base.times import parse_time
from pinnace.controllers.pods import find_condition, is_active, is_ready
from pinnace.kube.objects.core_v1 import Pod

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def choose_victims(pods: Sequence[Pod], related: Iterable[Pod], count: int, now: float) -> tuple[Pod, ...]:
    """Return the `count` pods to delete. `related`: the pods of all sets with the same owner, to spread what stays.

    Example: of one unscheduled, one pending and one ready pod, the unscheduled one goes first.
    """
    if count >= len(pods):
        return tuple(pods)
    neighbours = Counter(pod.spec.node_name for pod in related if is_active(pod))

    def compare(a: Pod, b: Pod) -> int:
        return _compare(a, b, neighbours, now)

    return tuple(sorted(pods, key=cmp_to_key(compare))[:count])


def _compare(a: Pod, b: Pod, neighbours: Counter[str], now: float) -> int:
    """Return a negative number when `a` goes first. The rows are tried in order, the first that tells decides."""
    for row in (
        _prefer_lower(_is_scheduled(a), _is_scheduled(b)),
        _prefer_lower(PHASES.get(a.status.phase, 0), PHASES.get(b.status.phase, 0)),
        _prefer_lower(is_ready(a), is_ready(b)),
        _prefer_lower(_deletion_cost(a), _deletion_cost(b)),
        _prefer_lower(neighbours[b.spec.node_name], neighbours[a.spec.node_name]),
        _prefer_younger(_ready_since(a), _ready_since(b), a, b, now) if is_ready(a) and is_ready(b) else 0,
        _prefer_lower(_restarts(b), _restarts(a)),
        _prefer_younger(a.metadata.creation_timestamp, b.metadata.creation_timestamp, a, b, now),
    ):
        if row:
            return row
    return _prefer_lower(a.metadata.name, b.metadata.name)


def _prefer_lower(a: int | str, b: int | str) -> int:
    return (a > b) - (a < b)  # type: ignore[operator]


def _prefer_younger(a_since: str, b_since: str, a: Pod, b: Pod, now: float) -> int:
    """Compare ages by powers of two; within one power chance decides (the uid), so that not all of a rollout's first go."""
    if a_since == b_since:
        return 0
    if not a_since or not b_since:
        return -1 if not a_since else 1
    difference = _age_class(a_since, now) - _age_class(b_since, now)
    return difference or _prefer_lower(a.metadata.uid, b.metadata.uid)


def _age_class(since: str, now: float) -> int:
    age_ns = (now - parse_time(since)) * 1e9
    return -1 if age_ns <= 0 else int(math.log2(age_ns))


def _is_scheduled(pod: Pod) -> bool:
    return pod.spec.node_name != ""


def _deletion_cost(pod: Pod) -> int:
    try:
        return int(pod.metadata.annotations.get(DELETION_COST, "0"))
    except ValueError:
        return 0


def _ready_since(pod: Pod) -> str:
    condition = find_condition(pod, "Ready")
    return "" if condition is None or condition.status != "True" else condition.last_transition_time


def _restarts(pod: Pod) -> int:
    return max((status.restart_count or 0 for status in pod.status.container_statuses), default=0)
