from typing import Any

import pytest

from pinnace.base.times import render_time
from pinnace.kube import kinds
from pinnace.kube.codec import from_json
from pinnace.kube.objects.core_v1 import Pod
from pinnace.kubeapi.tables import table_of

NOW = 1_000_000.0

RUNNING: dict[str, Any] = {"running": {"startedAt": render_time(NOW - 50)}}
DONE: dict[str, Any] = {"terminated": {"exitCode": 0, "reason": "Completed"}}


def waiting(reason: str) -> dict[str, Any]:
    return {"waiting": {"reason": reason}}


def ended(code: int, reason: str = "", signal: int = 0) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "signal": signal}}


def status(name: str, state: dict[str, Any], *, ready: bool = False, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "state": state,
        "ready": ready,
        "image": "i",
        "imageID": "",
        "restartCount": 0,
        **more,
    }


def pod(
    containers: int = 1, statuses: list[dict[str, Any]] | None = None, *, phase: str = "Running", **more: Any
) -> Pod:
    document = {
        "metadata": {"name": "web", "creationTimestamp": render_time(NOW - 300), **more.pop("metadata", {})},
        "spec": {"containers": [{"name": f"c{n}"} for n in range(containers)], **more.pop("spec", {})},
        "status": {"phase": phase, "containerStatuses": statuses or [], **more},
    }
    return from_json(kinds.POD, document)


def cells(value: Pod) -> tuple[Any, ...]:
    return table_of(kinds.POD).cells(value, NOW)


def words(value: Pod) -> tuple[Any, ...]:
    """READY, STATUS, RESTARTS."""
    return cells(value)[1:4]


def test_a_running_pod_fills_every_column() -> None:
    value = pod(
        2,
        [status("c0", RUNNING, ready=True), status("c1", RUNNING, ready=True)],
        spec={"nodeName": "here"},
        podIPs=[{"ip": "10.244.0.7"}],
    )
    assert cells(value) == ("web", "2/2", "Running", "0", "5m", "10.244.0.7", "here", "<none>", "<none>")
    assert [column.name for column in table_of(kinds.POD).columns] == [
        "Name", "Ready", "Status", "Restarts", "Age", "IP", "Node", "Nominated Node", "Readiness Gates",
    ]  # fmt: skip


# Expected words: what kubectl prints for these statuses on a cluster.
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (pod(1, phase="Pending"), ("0/1", "Pending", "0")),
        (pod(1, [status("c0", waiting("ContainerCreating"))], phase="Pending"), ("0/1", "ContainerCreating", "0")),
        (pod(1, [status("c0", waiting("ImagePullBackOff"))], phase="Pending"), ("0/1", "ImagePullBackOff", "0")),
        (pod(1, [status("c0", DONE)], phase="Succeeded"), ("0/1", "Completed", "0")),
        (pod(1, [status("c0", ended(1, "Error"))], phase="Failed"), ("0/1", "Error", "0")),
        (pod(1, [status("c0", ended(137, "OOMKilled"))], phase="Failed"), ("0/1", "OOMKilled", "0")),
        (pod(1, [status("c0", ended(3))]), ("0/1", "ExitCode:3", "0")),
        (pod(1, [status("c0", ended(137, signal=9))]), ("0/1", "Signal:9", "0")),
        (pod(1, phase="Failed", reason="Evicted"), ("0/1", "Evicted", "0")),
        (pod(2, [status("c0", RUNNING, ready=True), status("c1", waiting("CrashLoopBackOff"))]),
         ("1/2", "CrashLoopBackOff", "0")),
        # The first container has the last word, and "Completed" beside a running one is no end.
        (pod(2, [status("c0", DONE), status("c1", RUNNING, ready=True)]), ("1/2", "NotReady", "0")),
        (pod(2, [status("c0", DONE), status("c1", RUNNING, ready=True)],
             conditions=[{"type": "Ready", "status": "True"}]), ("1/2", "Running", "0")),
        (pod(1, phase="Pending", conditions=[
            {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]),
         ("0/1", "SchedulingGated", "0")),
    ],
)  # fmt: skip
def test_status_is_the_word_that_kubectl_prints(value: Pod, expected: tuple[str, str, str]) -> None:
    assert words(value) == expected


def with_init(*init: dict[str, Any], restart_policies: tuple[str, ...] = ("", "")) -> Pod:
    listed = [{"name": f"i{n}", "restartPolicy": policy} for n, policy in enumerate(restart_policies)]
    return pod(
        1,
        [status("c0", waiting("PodInitializing"))],
        phase="Pending",
        spec={"initContainers": listed},
        initContainerStatuses=list(init),
    )


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (with_init(status("i0", RUNNING), status("i1", waiting("PodInitializing"))), "Init:0/2"),
        (with_init(status("i0", DONE), status("i1", RUNNING)), "Init:1/2"),
        (with_init(status("i0", ended(1, "Error")), status("i1", waiting("PodInitializing"))), "Init:Error"),
        (with_init(status("i0", ended(2)), status("i1", waiting("PodInitializing"))), "Init:ExitCode:2"),
        (
            with_init(status("i0", waiting("CrashLoopBackOff")), status("i1", RUNNING)),
            "Init:CrashLoopBackOff",
        ),
        (with_init(status("i0", DONE), status("i1", DONE)), "PodInitializing"),
    ],
)
def test_status_counts_init_containers(value: Pod, word: str) -> None:
    assert words(value)[1] == word


def test_a_started_sidecar_counts_as_a_container() -> None:
    value = with_init(
        status("i0", RUNNING, ready=True, started=True), status("i1", DONE), restart_policies=("Always", "")
    )
    assert words(value) == ("1/2", "PodInitializing", "0")


def test_restarts_say_when_the_last_one_was() -> None:
    last = {"terminated": {"exitCode": 1, "finishedAt": render_time(NOW - 5)}}
    value = pod(1, [status("c0", RUNNING, ready=True, restartCount=2, lastState=last)])
    assert words(value) == ("1/1", "Running", "2 (5s ago)")


@pytest.mark.parametrize(
    ("phase", "word"), [("Running", "Terminating"), ("Succeeded", "Completed"), ("Failed", "Error")]
)
def test_deletion_shows_unless_the_pod_has_ended(phase: str, word: str) -> None:
    state = {"Running": RUNNING, "Succeeded": DONE, "Failed": ended(1, "Error")}[phase]
    value = pod(1, [status("c0", state)], phase=phase, metadata={"deletionTimestamp": render_time(NOW)})
    assert words(value)[1] == word


def test_readiness_gates_are_counted() -> None:
    value = pod(
        1,
        spec={"readinessGates": [{"conditionType": "a"}, {"conditionType": "b"}]},
        conditions=[{"type": "a", "status": "True"}, {"type": "b", "status": "False"}],
    )
    assert cells(value)[-1] == "1/2"


def test_an_ended_pod_is_marked_so_that_it_can_be_hidden() -> None:
    conditions = table_of(kinds.POD).conditions
    assert conditions is not None
    assert [c["type"] for c in conditions(pod(phase="Succeeded"))] == ["Completed"]
    assert conditions(pod(phase="Running")) == []
