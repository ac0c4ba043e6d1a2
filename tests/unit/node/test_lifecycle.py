"""The pod life cycle: what is done next in each state."""

import pytest

from pinnace.node.lifecycle import (
    Drain,
    KillContainer,
    MakeSandbox,
    Plan,
    PodState,
    PrepareVolumes,
    ReleaseSandbox,
    RemovePod,
    StartContainer,
    StopContainer,
    compute_backoff_s,
    plan_pod,
)
from tests.unit.node.builders import container, ended, facts, pod, running

DELETED_AT_30 = "1970-01-01T00:00:30Z"  # deleted at 0 with a grace of 30 s


def test_a_pod_without_a_sandbox_gets_one_first() -> None:
    assert plan_pod(pod(), facts(sandbox="", volumes_ready=False), 0) == Plan(PodState.NEW, (MakeSandbox(),))


def test_volumes_come_before_containers_and_containers_start_together() -> None:
    plan = plan_pod(pod(container("a"), container("b")), facts(volumes_ready=False), 0)
    assert plan.steps == (PrepareVolumes(), StartContainer("a", 0), StartContainer("b", 0))


def test_init_containers_run_one_after_another_before_the_others() -> None:
    spec = pod(init=(container("one"), container("two")))
    assert plan_pod(spec, facts(), 0).steps == (StartContainer("one", 0),)
    assert plan_pod(spec, facts(running("one")), 0).steps == ()
    assert plan_pod(spec, facts(ended("one")), 0).steps == (StartContainer("two", 0),)
    assert plan_pod(spec, facts(ended("one"), ended("two")), 0).steps == (StartContainer("app", 0),)


def test_a_sidecar_goes_on_once_it_has_started_and_keeps_running() -> None:
    spec = pod(init=(container("proxy", restart_policy="Always"), container("setup")))
    assert plan_pod(spec, facts(running("proxy", started=False)), 0).steps == ()
    assert plan_pod(spec, facts(running("proxy")), 0).steps == (StartContainer("setup", 0),)
    assert plan_pod(spec, facts(running("proxy"), ended("setup")), 0).steps == (StartContainer("app", 0),)
    dead = facts(ended("proxy", 1), ended("setup"), running("app"))
    assert plan_pod(spec, dead, 0).steps == (StartContainer("proxy", 1),)


@pytest.mark.parametrize(
    ("policy", "code", "restarts"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 1, False),
    ],
)
def test_the_restart_policy_decides_whether_an_ended_container_starts_again(
    policy: str, code: int, restarts: bool
) -> None:
    plan = plan_pod(pod(restart_policy=policy), facts(ended(code=code)), 0)
    expected = (StartContainer("app", 1),) if restarts else (ReleaseSandbox(),)
    assert plan.steps == expected


def test_the_back_off_is_ten_seconds_doubling_to_five_minutes_after_a_first_restart_at_once() -> None:
    # Source: Kubernetes, "Pod Lifecycle", container restarts: 10s, 20s, 40s, … capped at 300 s.
    assert [compute_backoff_s(n) for n in range(8)] == [0, 10, 20, 40, 80, 160, 300, 300]


def test_a_crashing_container_waits_for_its_back_off_from_its_end() -> None:
    crashed = facts(ended(code=1, at=100, attempt=2, crashes=2))
    assert plan_pod(pod(), crashed, 105) == Plan(PodState.RUNNING, (), 15)  # 20 s from 100
    assert plan_pod(pod(), crashed, 120).steps == (StartContainer("app", 3),)


def test_an_unhealthy_container_is_stopped_and_killed_after_its_grace() -> None:
    sick = running(unhealthy="liveness probe")
    assert plan_pod(pod(), facts(sick), 5).steps == (StopContainer("app", "liveness probe", 30.0),)
    asked = running(unhealthy="liveness probe", stop_asked_at=5.0)
    assert plan_pod(pod(), facts(asked), 10) == Plan(PodState.RUNNING, (), 25)
    assert plan_pod(pod(), facts(asked), 35).steps == (KillContainer("app"),)


def test_a_deleted_pod_is_drained_before_anything_is_stopped() -> None:
    deleted = pod(deleted=DELETED_AT_30, grace=30)
    assert plan_pod(deleted, facts(running()), 1) == Plan(PodState.DRAINING, (Drain(16.0),))
    drained = facts(running(), drained=True)
    assert plan_pod(deleted, drained, 2).steps == (StopContainer("app", "PodDeleted", 28.0),)


def test_sidecars_end_after_the_others() -> None:
    deleted = pod(init=(container("proxy", restart_policy="Always"),), deleted=DELETED_AT_30, grace=30)
    both = facts(running("proxy"), running("app"), drained=True)
    assert [s.name for s in plan_pod(deleted, both, 0).steps if isinstance(s, StopContainer)] == ["app"]
    left = facts(running("proxy"), ended("app"), drained=True)
    assert [s.name for s in plan_pod(deleted, left, 0).steps if isinstance(s, StopContainer)] == ["proxy"]


def test_a_pod_whose_object_is_gone_is_killed_at_once() -> None:
    gone = facts(running(), object_gone=True)
    assert plan_pod(pod(), gone, 0).steps == (StopContainer("app", "PodDeleted", 0.0),)


def test_a_deleted_pod_with_nothing_running_is_removed() -> None:
    deleted = pod(deleted=DELETED_AT_30, grace=30)
    for known in (facts(ended()), facts(sandbox="")):
        assert plan_pod(deleted, known, 1) == Plan(PodState.REMOVING, (RemovePod(),))


def test_what_has_finished_is_not_started_again_though_nothing_is_known_of_it() -> None:
    from msgspec.structs import replace

    finished = pod(restart_policy="Never")
    finished = replace(finished, status=replace(finished.status, phase="Succeeded"))
    assert plan_pod(finished, facts(sandbox=""), 0) == Plan(PodState.FINISHED)


def test_a_failed_init_container_ends_a_pod_that_never_restarts() -> None:
    spec = pod(init=(container("setup"),), restart_policy="Never")
    assert plan_pod(spec, facts(ended("setup", 1)), 0).state is PodState.FINISHED
