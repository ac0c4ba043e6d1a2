"""How many replicas a metric calls for, against the cases that Kubernetes publishes.

Source: Kubernetes, pkg/controller/podautoscaler/replica_calculator_test.go; the numbers are the published ones, with the
start-up period of 5 minutes that a real cluster has.
"""

from dataclasses import dataclass, field

import pytest

from pinnace.controllers.hpa.calculator import (
    Measured,
    NoProposal,
    Proposal,
    Sample,
    Target,
    Tolerances,
    compute_replicas,
    group_pods,
)
from pinnace.kube.objects.core_v1 import Pod
from tests.unit.controllers.builders import at, pod

NOW_S = 3600.0


def ready(name: str) -> Pod:
    """A pod that has been up and ready for a long time."""
    return pod(name, ready=True, started_s=0, ready_s=0)


def unready(name: str) -> Pod:
    """A pod that started a minute ago and has not been ready."""
    return pod(name, ready=False, started_s=NOW_S - 60, ready_s=NOW_S - 60)


def hot(name: str) -> Pod:
    """A pod that is ready, but since only 10 s: its sample covers its start."""
    return pod(name, ready=True, started_s=NOW_S - 20, ready_s=NOW_S - 10)


def pending(name: str) -> Pod:
    return pod(name, phase="Pending", ready=False)


def failed(name: str) -> Pod:
    return pod(name, phase="Failed", ready=False)


def deleted(name: str) -> Pod:
    return pod(name, ready=False, deleting=True)


@dataclass(frozen=True)
class Case:
    name: str
    current: int
    levels: list[int]
    target: int  # percent, or the average in milli with `plain`
    expected: Proposal
    states: list[object] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    plain: bool = False
    resource: str = "cpu"


def case(
    name: str,
    current: int,
    replicas: int,
    levels: list[int],
    target: int,
    percent: int | None,
    average: int,
    states: list[object] | None = None,
    requests: list[int] | None = None,
    pods: int | None = None,
) -> Case:
    return Case(
        name,
        current,
        levels,
        target,
        Proposal(replicas, percent, average),
        states or [ready] * (pods or len(levels)),
        requests or [],
        plain=percent is None,
        resource="cpu" if percent is not None else "qps",
    )


R, U, H, P, F, D = ready, unready, hot, pending, failed, deleted
CASES = [
    case("scale up", 3, 5, [300, 500, 700], 30, 50, 500),
    case("scale up, unready less", 3, 4, [300, 500, 700], 30, 60, 600, [U, R, R]),
    case("scale up, hot cpu less", 3, 4, [300, 500, 700], 30, 60, 600, [H, R, R]),
    case("scale up, unready none", 3, 3, [400, 500, 700], 30, 40, 400, [R, U, U]),
    case("scale up, hot cpu none", 3, 3, [400, 500, 700], 30, 40, 400, [R, H, H]),
    case("scale up ignores failed", 2, 4, [500, 700], 30, 60, 600, [R, R, F, F]),
    case("scale up ignores deleted", 2, 4, [500, 700], 30, 60, 600, [R, R, D, D]),
    case("scale up, plain", 3, 4, [20000, 10000, 30000], 15000, None, 20000),
    case("scale up, plain, unready count", 3, 6, [50000, 10000, 30000], 15000, None, 30000, [R, R, U]),
    case("scale up, plain, most unready", 3, 7, [50000, 15000, 30000], 15000, None, 31666, [U, R, U]),
    case("scale down", 5, 3, [100, 300, 500, 250, 250], 50, 28, 280),
    case("scale down, plain", 5, 3, [12000] * 5, 20000, None, 12000),
    case("scale down, unready left out", 5, 2, [100, 300, 500, 250, 250], 50, 30, 300, [R, R, R, U, U]),
    case("scale down, unscheduled left out", 5, 1, [100], 50, 10, 100, [R, P, P, P, P]),
    case("scale down, hot cpu left out", 5, 2, [100, 300, 500, 250, 250], 50, 30, 300, [R, R, R, H, H]),
    case("scale down ignores failed", 5, 3, [100, 300, 500, 250, 250], 50, 28, 280, [R] * 5 + [F] * 2),
    case("scale down ignores deleted", 5, 3, [100, 300, 500, 250, 250], 50, 28, 280, [R] * 5 + [D] * 2),
    case("tolerance", 3, 3, [1010, 1030, 1020], 100, 102, 1020, requests=[900, 1000, 1100]),
    case("tolerance, plain", 3, 3, [20000, 21000, 21000], 20000, None, 20666),
    case("superfluous metrics", 4, 24, [4000, 9500, 3000, 7000, 3200, 2000], 100, 587, 5875, pods=4),
    case("missing metrics", 4, 3, [400, 95], 100, 24, 247, pods=4),
    case("missing, no change at target", 2, 2, [1000], 100, 100, 1000, pods=2),
    case("missing, no change above", 2, 2, [1900], 100, 190, 1900, pods=2),
    case("missing, no change below", 2, 2, [600], 100, 60, 600, pods=2),
    case("missing and unready, no change", 3, 3, [100, 450], 50, 45, 450, [U, R, R]),
    case("missing and hot cpu, no change", 3, 3, [100, 450], 50, 45, 450, [H, R, R]),
    case("missing and unready, up", 3, 4, [100, 2000], 50, 200, 2000, [U, R, R]),
    case("missing and hot cpu, up", 3, 4, [100, 2000], 50, 200, 2000, [H, R, R]),
    case("missing and unready, down", 4, 3, [100, 100, 100], 50, 10, 100, [U, R, R, R]),
    case("rolling update with surge", 2, 2, [100, 100], 50, 10, 100, pods=3),
]


@pytest.mark.parametrize("case", CASES, ids=[one.name for one in CASES])
def test_published_case(case: Case) -> None:
    names = [f"p{number}" for number in range(max(len(case.states), len(case.levels)))]
    pods = tuple(state(name) for state, name in zip(case.states, names, strict=False))  # type: ignore[operator]
    samples = {name: Sample(level, at(NOW_S), 15) for name, level in zip(names, case.levels, strict=False)}
    requests = dict(zip(names, case.requests or [1000] * len(pods), strict=False))
    measured = Measured(case.current, pods, samples, requests, case.resource)
    target = Target(average_milli=case.target) if case.plain else Target(percent=case.target)
    assert compute_replicas(measured, target, at(NOW_S)) == case.expected


def measured(pods: list[Pod], levels: dict[str, int], **more: object) -> Measured:
    samples = {name: Sample(level, at(NOW_S), 15) for name, level in levels.items()}
    fields: dict[str, object] = {
        "requests": {one.metadata.name: 1000 for one in pods},
        "resource": "cpu",
        **more,
    }
    return Measured(len(pods), tuple(pods), samples, **fields)  # type: ignore[arg-type]


def test_no_pods_and_no_usable_sample_and_no_request_are_told_apart() -> None:
    at_50 = Target(percent=50)
    assert compute_replicas(measured([], {"a": 1}), at_50, at(NOW_S)) == NoProposal(
        "no pods returned by selector while calculating replica count"
    )
    assert compute_replicas(measured([unready("a")], {"a": 1}), at_50, at(NOW_S)) == NoProposal(
        "did not receive metrics for targeted pods (pods might be unready)"
    )
    missing = NoProposal("missing request for cpu in container c of Pod a")
    assert compute_replicas(measured([ready("a")], {"a": 1}, requests=missing), at_50, at(NOW_S)) == missing
    assert compute_replicas(measured([ready("a")], {"z": 1}), at_50, at(NOW_S)) == NoProposal(
        "no metrics returned matched known pods"
    )


def test_missing_pods_count_more_than_their_request_when_the_target_is_above_it() -> None:
    # By hand: 2 pods at 100 % of 150 %; the third is taken for 150 %: 350 / 300 = 116 % -> ceil(116/150 * 3) = 3.
    pods = [ready("a"), ready("b"), ready("c")]
    found = compute_replicas(measured(pods, {"a": 1000, "b": 1000}), Target(percent=150), at(NOW_S))
    assert found == Proposal(3, 100, 1000)


def test_tolerance_of_the_behavior_replaces_the_default() -> None:
    pods = [ready("a"), ready("b")]
    levels = {"a": 550, "b": 550}  # 55 % of 50 %: exactly 1.1
    assert compute_replicas(measured(pods, levels), Target(percent=50), at(NOW_S)) == Proposal(2, 55, 550)
    strict = measured(pods, levels, tolerances=Tolerances(up=0.05))
    assert compute_replicas(strict, Target(percent=50), at(NOW_S)) == Proposal(3, 55, 550)  # ceil(2.2)


@pytest.mark.parametrize(
    ("one", "group"),
    [
        (
            pod("a", started_s=NOW_S - 100, ready_s=NOW_S - 15),
            "ready",
        ),  # the window began when it became ready
        (pod("a", started_s=NOW_S - 100, ready_s=NOW_S - 14), "unready"),
        (pod("a", started_s=NOW_S - 400, ready_s=NOW_S - 14), "ready"),  # the first 5 minutes are over
        (pod("a", ready=False, started_s=NOW_S - 400, ready_s=NOW_S - 390), "unready"),  # never was ready
        (pod("a", ready=False, started_s=NOW_S - 400, ready_s=NOW_S - 360), "ready"),  # was ready before
        (pod("a", started_s=None), "unready"),
    ],
)
def test_start_up_of_a_pod_does_not_count(one: Pod, group: str) -> None:
    groups = group_pods([one], {"a": Sample(1, at(NOW_S), 15)}, "cpu", at(NOW_S))
    assert (groups.ready_count, sorted(groups.unready)) == ((1, []) if group == "ready" else (0, ["a"]))


def test_memory_of_an_unready_pod_counts() -> None:
    groups = group_pods([unready("a")], {"a": Sample(1, at(NOW_S), 15)}, "memory", at(NOW_S))
    assert groups.ready_count == 1
