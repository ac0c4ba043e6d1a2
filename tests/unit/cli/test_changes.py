"""`delete`, `scale`, `top` and `events` against a scripted daemon. Expected texts: what kubectl 1.37 prints."""

from collections.abc import Callable
from typing import Any

from pinnace.cli.verbs.delete import delete_command
from pinnace.cli.verbs.events import events_command
from pinnace.cli.verbs.scale import scale_command
from pinnace.cli.verbs.top import top_command
from tests.unit.cli.conftest import FakeDaemon, Ran

Run = Callable[..., Ran]
PODS = "/api/v1/namespaces/default/pods"
METRICS = "/apis/metrics.k8s.io/v1beta1"
SCALE = "/apis/apps/v1/namespaces/default/deployments/web/scale"


def pod(uid: str = "u1", revision: str = "3") -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {"name": "a", "namespace": "default", "uid": uid, "resourceVersion": revision},
    }


def test_delete_waits_until_the_pod_is_gone(daemon: FakeDaemon, run: Run) -> None:
    daemon.answer(f"DELETE {PODS}/a", pod())
    daemon.answer(f"GET {PODS}/a", pod())
    daemon.stream(f"GET {PODS}", {"type": "MODIFIED", "object": pod()}, {"type": "DELETED", "object": pod()})
    assert run(delete_command, "pod/a") == Ran(0, 'pod "a" deleted from default namespace\n', "")
    assert daemon.asked[0].json == {"propagationPolicy": "Background"}
    assert daemon.asked[-1].query == {
        "watch": "true",
        "fieldSelector": "metadata.name=a",
        "resourceVersion": "3",
    }


def test_a_new_object_of_the_same_name_is_another_one(daemon: FakeDaemon, run: Run) -> None:
    daemon.answer(f"DELETE {PODS}/a", pod("old"))
    daemon.answer(f"GET {PODS}/a", pod("new"))
    assert run(delete_command, "pod", "a").code == 0


def test_a_deletion_that_takes_too_long_is_an_error(daemon: FakeDaemon, run: Run) -> None:
    daemon.answer(f"DELETE {PODS}/a", pod())
    daemon.answer(f"GET {PODS}/a", pod())
    daemon.stream(f"GET {PODS}")
    ran = run(delete_command, "pod", "a", "--timeout", "20ms")
    assert (ran.code, ran.err) == (1, "error: timed out waiting for the condition on pods/a\n")


def test_force_gives_no_grace_and_does_not_wait(daemon: FakeDaemon, run: Run) -> None:
    daemon.answer(f"DELETE {PODS}/a", pod())
    ran = run(delete_command, "pod", "a", "--force")
    assert ran.out == 'pod "a" force deleted from default namespace\n'
    assert ran.err.startswith("Warning: Immediate deletion does not wait for confirmation")
    assert [asked.method for asked in daemon.asked] == ["DELETE"]
    assert daemon.asked[0].json["gracePeriodSeconds"] == 0


def test_delete_by_labels_deletes_what_it_finds(daemon: FakeDaemon, run: Run) -> None:
    daemon.answer(f"GET {PODS}", {"items": [pod()]})
    daemon.answer(f"DELETE {PODS}/a", {"kind": "Status", "status": "Success"})
    assert run(delete_command, "pods", "-l", "app=web").out == 'pod "a" deleted from default namespace\n'
    assert daemon.asked[0].query == {"labelSelector": "app=web"}


def test_delete_of_what_has_no_namespace_names_none(daemon: FakeDaemon, run: Run) -> None:
    daemon.answer("DELETE /api/v1/namespaces/x", {"kind": "Status", "status": "Success"})
    assert run(delete_command, "ns", "x").out == 'namespace "x" deleted\n'


def test_delete_without_a_name_deletes_nothing(daemon: FakeDaemon, run: Run) -> None:
    ran = run(delete_command, "pods")
    assert (ran.code, daemon.asked) == (1, [])
    assert ran.err.startswith("error: resource(s) were provided, but no name was specified\n")


def test_a_missing_object_is_kubectls_error_but_not_when_that_is_fine(daemon: FakeDaemon, run: Run) -> None:
    daemon.refuse(f"DELETE {PODS}/a", 404, "NotFound", 'pods "a" not found')
    assert run(delete_command, "pod", "a") == Ran(1, "", 'Error from server (NotFound): pods "a" not found\n')
    assert run(delete_command, "pod", "a", "--ignore-not-found") == Ran(0, "", "")


def test_scale_changes_the_scale_only(daemon: FakeDaemon, run: Run) -> None:
    daemon.answer(f"PATCH {SCALE}", {})
    assert run(scale_command, "deploy/web", "--replicas=3") == Ran(0, "deployment.apps/web scaled\n", "")
    assert daemon.asked[0].json == {"spec": {"replicas": 3}}


def test_scale_is_refused_when_the_present_number_is_another(daemon: FakeDaemon, run: Run) -> None:
    daemon.answer(f"GET {SCALE}", {"metadata": {"resourceVersion": "9"}, "spec": {"replicas": 2}})
    ran = run(scale_command, "deploy", "web", "--replicas=3", "--current-replicas=7")
    assert ran == Ran(1, "", "error: Expected replicas to be 7, was 2\n")


def test_top_adds_up_a_pods_containers(daemon: FakeDaemon, run: Run) -> None:
    containers = [
        {"name": "x", "usage": {"cpu": "250m", "memory": "10240Ki"}},
        {"name": "y", "usage": {"cpu": "2", "memory": "2Mi"}},
    ]
    item = {"metadata": {"name": "a", "namespace": "default"}, "containers": containers}
    daemon.answer(f"GET {METRICS}/namespaces/default/pods", {"items": [item]})
    assert run(top_command, "pods").out == "NAME   CPU(cores)   MEMORY(bytes)\na      2250m        12Mi\n"
    assert run(top_command, "pods", "--containers", "--sort-by", "cpu").out == (
        "POD   NAME   CPU(cores)   MEMORY(bytes)\na     y      2000m        2Mi\na     x      250m         10Mi\n"
    )


def test_top_nodes_is_of_what_pods_may_have(daemon: FakeDaemon, run: Run) -> None:
    daemon.answer(
        f"GET {METRICS}/nodes",
        {"items": [{"metadata": {"name": "n"}, "usage": {"cpu": "500m", "memory": "1Gi"}}]},
    )
    daemon.answer("GET /api/v1/nodes/n", {"status": {"allocatable": {"cpu": "2", "memory": "4Gi"}}})
    assert run(top_command, "node").out == (
        "NAME   CPU(cores)   CPU(%)   MEMORY(bytes)   MEMORY(%)\nn      500m         25%      1024Mi          25%\n"
    )


def test_top_says_whether_there_is_nothing_or_nothing_was_measured(daemon: FakeDaemon, run: Run) -> None:
    daemon.answer(f"GET {METRICS}/namespaces/default/pods", {"items": []})
    daemon.answer(f"GET {PODS}", {"items": []})
    daemon.answer(f"GET {PODS}", {"items": [pod()]})
    assert run(top_command, "pods") == Ran(0, "", "No resources found in default namespace.\n")
    ran = run(top_command, "pods")
    assert (ran.code, ran.err.splitlines()[0]) == (1, "error: metrics not available yet")


def test_events_come_in_the_order_in_which_they_happened(daemon: FakeDaemon, run: Run) -> None:
    def row(reason: str, **event: Any) -> dict[str, Any]:
        return {"cells": [reason], "object": {"metadata": {}, "type": "Normal", **event}}

    table = {
        "metadata": {"resourceVersion": "1"},
        "columnDefinitions": [{"name": "Reason", "priority": 0}],
        "rows": [
            row(
                "third",
                series={"lastObservedTime": "2026-01-01T00:00:09Z"},
                lastTimestamp="2026-01-01T00:00:01Z",
            ),
            row("first", lastTimestamp="2026-01-01T00:00:02Z"),
            row("second", type="Warning", eventTime="2026-01-01T00:00:05.000000Z"),
        ],
    }
    daemon.answer("GET /api/v1/namespaces/default/events", table)
    assert run(events_command, "--for", "deploy/web").out == "REASON\nfirst\nsecond\nthird\n"
    assert daemon.asked[0].query == {
        "fieldSelector": "involvedObject.kind=Deployment,involvedObject.name=web",
        "includeObject": "Object",
    }
    assert run(events_command, "--types", "warning", "--no-headers").out == "second\n"
