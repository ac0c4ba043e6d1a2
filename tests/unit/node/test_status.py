"""The status that a pod's facts mean. Words and phases are Kubernetes' own."""

from dataclasses import replace as replace_facts

from msgspec.structs import replace

from pinnace.kube.objects.core_v1 import PodCondition, PodReadinessGate, PodStatus
from pinnace.node.facts import Ending, Problem
from pinnace.node.status import compute_phase, compute_status
from tests.unit.node.builders import absent, container, ended, facts, pod, running


def status_of(spec, known, now: float = 0.0) -> PodStatus:  # type: ignore[no-untyped-def]
    return compute_status(spec, known, host_ip="192.0.2.1", now=now)


def condition(status: PodStatus, kind: str) -> PodCondition:
    return next(c for c in status.conditions if c.type == kind)


def test_a_pod_is_pending_until_a_container_has_started_and_running_then() -> None:
    assert status_of(pod(), facts()).phase == "Pending"
    assert status_of(pod(), facts()).container_statuses[0].state.waiting.reason == "ContainerCreating"  # type: ignore[union-attr]
    shown = status_of(pod(), facts(running()))
    assert (shown.phase, shown.pod_ip, condition(shown, "Ready").status) == ("Running", "10.0.0.2", "True")


def test_unready_containers_are_named_in_the_condition() -> None:
    shown = status_of(pod(container("a"), container("b")), facts(running("a"), running("b", ready=False)))
    ready = condition(shown, "Ready")
    assert (ready.status, ready.reason, ready.message) == (
        "False",
        "ContainersNotReady",
        "containers with unready status: [b]",
    )


def test_a_crash_loop_shows_the_back_off_and_how_the_last_run_ended() -> None:
    known = ended(code=1, at=50, attempt=1, restarts=1, crashes=1)
    shown = status_of(pod(), facts(known)).container_statuses[0]
    assert shown.state.waiting.reason == "CrashLoopBackOff"  # type: ignore[union-attr]
    assert shown.state.waiting.message == "back-off 10s restarting failed container=app pod=web_default(u-1)"  # type: ignore[union-attr]
    assert shown.restart_count == 1
    assert shown.last_state.terminated.exit_code == 1  # type: ignore[union-attr]


def test_the_last_state_is_the_latest_end_as_soon_as_the_container_waits() -> None:
    before = Ending("app-id-0", 3, 0, 1)
    waits = ended(code=5, at=50, attempt=1, crashes=1, last=before)
    lacks = replace_facts(ended(code=5, at=50, last=before), problem=Problem("ErrImagePull", "", 60))
    for known in (waits, lacks):
        shown = status_of(pod(), facts(known)).container_statuses[0]
        assert shown.last_state.terminated.exit_code == 5  # type: ignore[union-attr]
    runs = status_of(pod(), facts(running(attempt=1, last=before))).container_statuses[0]
    assert runs.last_state.terminated.exit_code == 3  # type: ignore[union-attr]


def test_a_container_whose_post_start_hook_runs_is_not_running_yet() -> None:
    # Source: Kubernetes, "Container Lifecycle Hooks": the status is not Running until the hook has completed.
    shown = status_of(pod(), facts(running(starting=True, started=False, ready=False)))
    assert shown.phase == "Pending"
    assert shown.container_statuses[0].state.waiting.reason == "ContainerCreating"  # type: ignore[union-attr]


def test_a_pod_that_begins_anew_after_its_sandbox_was_lost_is_pending_until_it_is_initialized() -> None:
    last = Ending("app-id-0", 137, 0, 1)
    again = facts(running("setup"), replace_facts(absent(), last=last))
    assert compute_phase(pod(init=(container("setup"),)), again) == "Pending"
    assert compute_phase(pod(), facts(replace_facts(absent(), last=last))) == "Running"


def test_a_readiness_gate_says_why_it_is_closed() -> None:
    gated = pod(readiness_gates=(PodReadinessGate(condition_type="lb/ready"),))
    shown = condition(status_of(gated, facts(running())), "Ready")
    assert (shown.reason, shown.message) == (
        "ReadinessGatesNotReady",
        'corresponding condition of pod readiness gate "lb/ready" does not exist.',
    )
    closed = replace(gated, status=PodStatus(conditions=(PodCondition(type="lb/ready", status="False"),)))
    assert condition(status_of(closed, facts(running())), "Ready").message == (
        'the status of pod readiness gate "lb/ready" is not "True", but False'
    )


def test_an_out_of_memory_kill_is_named() -> None:
    shown = status_of(pod(restart_policy="Never"), facts(ended(code=137, oom=True)))
    state = shown.container_statuses[0].state.terminated  # type: ignore[union-attr]
    assert (state.exit_code, state.reason, shown.phase) == (137, "OOMKilled", "Failed")  # type: ignore[union-attr]


def test_all_containers_done_well_is_succeeded_and_one_bad_is_failed() -> None:
    spec = pod(container("a"), container("b"), restart_policy="Never")
    assert compute_phase(spec, facts(ended("a"), ended("b"))) == "Succeeded"
    assert compute_phase(spec, facts(ended("a"), ended("b", 2))) == "Failed"
    assert compute_phase(spec, facts(ended("a"), running("b"))) == "Running"


def test_a_condition_keeps_its_time_until_it_changes() -> None:
    first = status_of(pod(), facts(running(ready=False)), now=10)
    spec = replace(pod(), status=first)
    same = status_of(spec, facts(running(ready=False)), now=20)
    assert condition(same, "Ready").last_transition_time == "1970-01-01T00:00:10Z"
    other = status_of(spec, facts(running()), now=30)
    assert condition(other, "Ready").last_transition_time == "1970-01-01T00:00:30Z"
