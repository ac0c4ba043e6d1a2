"""The pod life cycle: what is done next in each state."""

from dataclasses import replace

import pytest
from msgspec import structs

from pinnace.kube.objects.core_v1 import Lifecycle, LifecycleHandler, Probe
from pinnace.node.facts import ContainerFacts, Problem
from pinnace.node.lifecycle import (
    BackOffPull,
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
    compute_pull_wait_s,
    plan_pod,
)
from tests.unit.node.builders import container, ended, facts, pod, running

DELETED_AT_30 = "1970-01-01T00:00:30Z"  # deleted at 0 with a grace of 30 s


def test_a_pod_without_a_sandbox_gets_one_first() -> None:
    assert plan_pod(pod(), facts(sandbox="", volumes_ready=False), 0) == Plan(PodState.NEW, (MakeSandbox(),))


def test_volumes_come_before_containers_and_containers_start_together() -> None:
    two = pod(container("a"), container("b"))
    assert plan_pod(two, facts(volumes_ready=False), 0).steps == (PrepareVolumes(),)
    assert plan_pod(two, facts(), 0).steps == (StartContainer("a", 0), StartContainer("b", 0))


def test_volumes_that_cannot_be_made_hold_back_containers_and_are_tried_again_ever_later() -> None:
    broken = Problem("FailedMount", "no such secret", at=100, failures=3)  # waits 2, 4, then 8 s
    assert plan_pod(pod(), facts(volumes_ready=False, volumes_problem=broken), 103) == Plan(
        PodState.RUNNING, (), 5
    )
    assert plan_pod(pod(), facts(volumes_ready=False, volumes_problem=broken), 108).steps == (
        PrepareVolumes(),
    )


def test_volumes_that_were_made_once_hold_nobody_back_when_they_cannot_be_refreshed() -> None:
    stale = facts(
        ended(code=1, at=100),
        volumes_ready=False,
        volumes_made=True,
        volumes_problem=Problem("FailedMount", "no such secret", at=100),
    )
    assert plan_pod(pod(), stale, 101) == Plan(PodState.RUNNING, (StartContainer("app", 1),), 1)


def test_what_a_container_lacked_and_is_there_now_is_not_waited_for() -> None:
    lacking = ContainerFacts("app", problem=Problem("ErrImagePull", "", at=100, failures=7))
    assert plan_pod(pod(), facts(lacking), 101) == Plan(
        PodState.RUNNING, (), 2
    )  # then it is told as a back-off
    assert plan_pod(pod(), facts(lacking), 103) == Plan(PodState.RUNNING, (BackOffPull("app"),), 297)
    eased = ContainerFacts("app", problem=Problem("ErrImagePull", "", at=100, failures=7, eased=True))
    assert plan_pod(pod(), facts(eased), 101).steps == (StartContainer("app", 0),)


def test_a_container_whose_image_is_being_pulled_waits_for_it() -> None:
    assert plan_pod(pod(), facts(ContainerFacts("app", pulling=True)), 101) == Plan(PodState.RUNNING)


@pytest.mark.parametrize(("failures", "wait_s"), [(1, 10), (2, 20), (5, 160), (6, 300), (60, 300)])
def test_the_wait_for_a_pull_grows_as_the_kubelets(failures: int, wait_s: float) -> None:
    assert compute_pull_wait_s(failures) == wait_s


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


def test_a_probe_may_bring_a_grace_of_its_own() -> None:
    spec = pod(container(liveness_probe=Probe(termination_grace_period_seconds=3)))
    sick = running(unhealthy="liveness probe")
    assert plan_pod(spec, facts(sick), 5).steps == (StopContainer("app", "liveness probe", 3.0),)


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


def test_draining_leaves_half_of_the_grace_to_the_process_however_long_it_took() -> None:
    deleted = pod(deleted=DELETED_AT_30, grace=30)
    late = facts(running(), drained=True)
    assert plan_pod(deleted, late, 15).steps == (StopContainer("app", "PodDeleted", 15.0),)
    asked = facts(running(stop_asked_at=15.0), drained=True, stop_began_at=15.0)
    assert plan_pod(deleted, asked, 20) == Plan(PodState.STOPPING, (), 10)
    assert plan_pod(deleted, asked, 30).steps == (KillContainer("app"),)


def test_a_sidecar_gets_what_time_the_others_left_and_two_seconds_at_least() -> None:
    # Source: Kubernetes, pkg/kubelet/kuberuntime, killContainer (minimumGracePeriodInSeconds).
    deleted = pod(init=(container("proxy", restart_policy="Always"),), deleted=DELETED_AT_30, grace=30)
    left = facts(running("proxy"), ended("app"), drained=True, stop_began_at=2.0)
    assert plan_pod(deleted, left, 20).steps == (StopContainer("proxy", "PodDeleted", 10.0),)
    assert plan_pod(deleted, left, 30).steps == (StopContainer("proxy", "PodDeleted", 2.0),)


def test_a_pre_stop_hook_that_uses_all_of_the_grace_gets_two_seconds_more_once() -> None:
    # Source: Kubernetes, "Container Lifecycle Hooks", hook handler execution.
    hooked = container(lifecycle=Lifecycle(pre_stop=LifecycleHandler()))
    deleted = pod(hooked, deleted=DELETED_AT_30, grace=30)

    def at(now: float, signalled_at: float | None) -> tuple[object, ...]:
        known = running(stop_asked_at=0.0, signalled_at=signalled_at)
        return plan_pod(deleted, facts(known, drained=True, stop_began_at=0.0), now).steps

    assert at(31, None) == ()
    assert at(32, 30.0) == (KillContainer("app"),)
    assert at(30, 5.0) == (KillContainer("app"),)


def test_a_pod_whose_object_is_gone_is_killed_at_once() -> None:
    gone = facts(running(), object_gone=True)
    assert plan_pod(pod(), gone, 0).steps == (StopContainer("app", "PodDeleted", 0.0),)


def test_a_deleted_pod_with_nothing_running_is_removed() -> None:
    deleted = pod(deleted=DELETED_AT_30, grace=30)
    for known in (facts(ended()), facts(sandbox="")):
        assert plan_pod(deleted, known, 1) == Plan(PodState.REMOVING, (RemovePod(),))


def test_a_pod_that_finalizers_hold_is_removed_from_the_machine_once() -> None:
    deleted = pod(deleted=DELETED_AT_30, grace=30)
    held = facts(ended(), sandbox="", removed=True)
    assert plan_pod(deleted, held, 1) == Plan(PodState.REMOVING)
    assert plan_pod(deleted, replace(held, object_gone=True), 1).steps == (RemovePod(),)


def test_a_container_that_has_ended_for_good_does_not_speak_for_the_init_containers() -> None:
    spec = pod(container("done"), container("app"), init=(container("setup"),), restart_policy="OnFailure")
    assert plan_pod(spec, facts(ended("done")), 0).steps == (StartContainer("setup", 0),)
    assert plan_pod(spec, facts(ended("done"), running("app")), 0).steps == ()


def test_what_has_finished_is_not_started_again_though_nothing_is_known_of_it() -> None:
    finished = pod(restart_policy="Never")
    finished = structs.replace(finished, status=structs.replace(finished.status, phase="Succeeded"))
    assert plan_pod(finished, facts(sandbox=""), 0) == Plan(PodState.FINISHED)


def test_a_failed_init_container_ends_a_pod_that_never_restarts() -> None:
    spec = pod(init=(container("setup"),), restart_policy="Never")
    assert plan_pod(spec, facts(ended("setup", 1)), 0).state is PodState.FINISHED
