"""What a node knows after the daemon, or the whole machine, was started anew."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from pinnace.container.exits import ExitFact
from pinnace.kube.objects.core_v1 import (
    ContainerState,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    Pod,
    PodStatus,
    Probe,
)
from pinnace.node import facts as node_facts
from pinnace.node.adoption import LOST_MESSAGE, read_facts
from pinnace.sandbox.spec import ContainerHandle, ContainerSpec, Sandbox, SandboxSpec
from tests.unit.node.builders import container, pod

SANDBOX = Sandbox(spec=SandboxSpec(id="pod-u-1"), created_at=1.0, ready=True)


def handle(attempt: int = 0, state: Any = "running", **more: Any) -> ContainerHandle:
    labels = {"io.kubernetes.container.attempt": str(attempt)}
    spec = ContainerSpec(id=f"c-{attempt}", name="app", image="sha256:1", labels=labels)
    return ContainerHandle(
        spec=spec, sandbox_id="pod-u-1", state=state, log_path="", folder="", started_at=10.0, **more
    )


def ended(attempt: int, code: int, **more: Any) -> ContainerHandle:
    fact = ExitFact(container_id=f"c-{attempt}", exit_code=code, finished_at=20.0, **more)
    return handle(attempt, "exited", exit=fact)


def with_status(one: Pod, **status: Any) -> Pod:
    return replace(one, status=PodStatus(container_statuses=(ContainerStatus(name="app", **status),)))


def test_a_running_container_keeps_what_its_probes_had_said() -> None:
    probed = pod(container(readiness_probe=Probe(), startup_probe=Probe()))
    known = read_facts(with_status(probed, ready=True, started=True), SANDBOX, [handle()], 30.0)
    assert (known.container("app").started, known.container("app").ready) == (True, True)
    known = read_facts(with_status(probed), SANDBOX, [handle()], 30.0)
    assert (known.container("app").started, known.container("app").ready) == (False, False)


def test_the_end_of_the_attempt_before_is_the_last_state_though_no_status_was_written_of_it() -> None:
    known = read_facts(pod(), SANDBOX, [handle(1), ended(0, 3)], 30.0).container("app")
    assert (known.state, known.attempt, known.restarts) == (node_facts.ContainerState.RUNNING, 1, 1)
    assert known.last is not None
    assert (known.last.container_id, known.last.exit_code) == ("c-0", 3)


def test_an_end_that_nobody_saw_is_told_with_its_termination_message() -> None:
    known = read_facts(pod(), SANDBOX, [ended(0, 3)], 30.0, {"c-0": "no space left"}).container("app")
    assert known.ending is not None
    assert (known.ending.exit_code, known.ending.message, known.ending.finished_at) == (
        3,
        "no space left",
        20,
    )
    lost = read_facts(pod(), SANDBOX, [ended(0, 137, known=False)], 30.0, {"c-0": ""}).container("app")
    assert lost.ending is not None
    assert lost.ending.message == LOST_MESSAGE


def test_a_container_that_waited_for_its_restart_and_is_lost_ended_as_its_last_state_says() -> None:
    waited = with_status(
        pod(),
        container_id="pinnace://c-2",
        restart_count=2,
        state=ContainerState(waiting=ContainerStateWaiting(reason="CrashLoopBackOff")),
        last_state=ContainerState(
            terminated=ContainerStateTerminated(exit_code=5, container_id="pinnace://c-2")
        ),
    )
    known = read_facts(waited, None, (), 30.0).container("app")
    assert known.ending is not None
    assert (known.ending.container_id, known.ending.exit_code, known.restarts) == ("c-2", 5, 2)


def test_a_sandbox_that_is_gone_leaves_its_containers_ends_and_no_address() -> None:
    known = read_facts(pod(), replace(SANDBOX, gone=True), [ended(0, 137, known=False)], 30.0)
    assert (known.sandbox_id, known.ip) == ("", "")
    assert known.container("app").state is node_facts.ContainerState.EXITED
