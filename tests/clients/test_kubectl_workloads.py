"""The real kubectl runs, exposes, scales and changes workloads, and shows what they say and use."""

from __future__ import annotations

import json
import re

import pytest

from tests.clients.inside import Inside
from tests.product.instance import Object, Product
from tests.product.manifests import container, deployment, pod


@pytest.fixture
def k(product: Product, ns: str) -> Inside:
    return Inside(product, ns)


@pytest.fixture
def web(k: Inside) -> Inside:
    """kubectl in a namespace with a Deployment without pods."""
    k.product.apply(deployment("web", replicas=0), namespace=k.ns)
    return k


def template(k: Inside) -> Object:
    spec: Object = k.read("deployment", "web")["spec"]["template"]["spec"]
    return spec


def settle(k: Inside) -> None:
    """Wait until the present state of the Deployment `web` has a revision."""
    k.product.until(
        "deployments",
        "web",
        lambda one: one["status"].get("observedGeneration") == one["metadata"]["generation"],
        namespace=k.ns,
    )


# --- run -------------------------------------------------------------------------------------------------------------


def test_run_makes_a_pod_from_its_flags(k: Inside) -> None:
    words = ("run", "p", "--image=tiny:v1", "--restart=Never", "--labels=a=b,c=d", "--env=X=1", "--port=80")
    made = json.loads(k(*words, "--annotations=n=1", "--dry-run=server", "-o", "json", "--", "sleep", "9"))
    main = made["spec"]["containers"][0]
    assert (made["metadata"]["labels"], made["metadata"]["annotations"]["n"]) == ({"a": "b", "c": "d"}, "1")
    assert (main["name"], main["args"], main["env"]) == ("p", ["sleep", "9"], [{"name": "X", "value": "1"}])
    assert main["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert made["spec"]["restartPolicy"] == "Never"
    assert k(*words, "--dry-run=client") == "pod/p created (dry run)\n"
    over = '{"spec":{"hostname":"h"}}'
    made = json.loads(
        k("run", "o", "--image=tiny:v1", f"--overrides={over}", "--dry-run=server", "-o", "json")
    )
    assert made["spec"]["hostname"] == "h"
    k("run", "e", "--image=tiny:v1", "--port=80", "--expose", "--", "sleep", "9")
    assert k.read("service", "e")["spec"]["selector"] == {"run": "e"}
    k("delete", "pod", "e", "--force")
    assert 'The Pod "Bad_Name" is invalid:' in k.fails("run", "Bad_Name", "--image=tiny:v1")


def test_run_in_the_foreground_has_input_output_and_exit_code(k: Inside) -> None:
    done = k.run(
        "run",
        "cat",
        "-i",
        "--rm",
        "--quiet",
        "--image=tiny:v1",
        "--restart=Never",
        "--",
        "cat",
        stdin="hello\n",
    )
    assert (done.returncode, done.stdout.splitlines()[:1]) == (0, ["hello"])
    late = "sleep 0.5; echo late; exit 7"  # late enough for kubectl to be attached
    done = k.run("run", "bad", "-i", "--rm", "--image=tiny:v1", "--restart=Never", "--", "sh", "-c", late)
    assert done.returncode == 7 and f"pod {k.ns}/bad terminated (Error)" in done.stderr
    assert done.stdout.splitlines()[0] == "late" and "warning" not in done.stderr
    assert done.stdout.count("late") == 1
    assert k("get", "pods", "-o", "name") == ""


# --- expose, scale, autoscale, set -----------------------------------------------------------------------------------


def test_expose_makes_services(web: Inside) -> None:
    words = ("--name=s", "--port=80", "--target-port=8000", "--type=NodePort", "--labels=a=b")
    made = json.loads(web("expose", "deployment", "web", *words, "--session-affinity=ClientIP", "-o", "json"))
    spec = made["spec"]
    assert (spec["type"], spec["selector"], spec["sessionAffinity"]) == (
        "NodePort",
        {"app": "web"},
        "ClientIP",
    )
    assert spec["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}
    assert made["metadata"]["labels"] == {"a": "b"}
    assert web("expose", "service", "s", "--name=again", "--port=81") == "service/again exposed\n"
    assert 'pods "nobody" not found' in web.fails("expose", "pod", "nobody", "--port=1")


def test_scale_only_if_what_was_expected_is_there(web: Inside) -> None:
    assert web("scale", "deployment", "web", "--replicas=1", "--current-replicas=0") == (
        "deployment.apps/web scaled\n"
    )
    assert "Expected replicas to be 0, was 1" in web.fails(
        "scale", "deployment", "web", "--replicas=2", "--current-replicas=0"
    )
    version = web.read("deployment", "web")["metadata"]["resourceVersion"]
    assert "Expected resource version to be 1" in web.fails(
        "scale", "deployment", "web", "--replicas=2", "--resource-version=1"
    )
    assert version.isdigit()
    assert web("scale", "deployment", "--all", "--replicas=0") == "deployment.apps/web scaled\n"
    assert "the server could not find the requested resource" in web.fails(
        "scale", "configmap", "kube-root-ca.crt", "--replicas=1"
    )


def test_autoscale_by_cpu_and_memory(web: Inside) -> None:
    web("autoscale", "deployment", "web", "--min=2", "--max=5", "--cpu=50%", "--memory=100Mi")
    spec = web.read("hpa", "web")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 5)
    assert {one["resource"]["name"]: one["resource"]["target"] for one in spec["metrics"]} == {
        "cpu": {"type": "Utilization", "averageUtilization": 50},
        "memory": {"type": "AverageValue", "averageValue": "100Mi"},
    }
    assert web.rows("get", "hpa", "web")[1][:2] == ["web", "Deployment/web"]


def test_set_changes_one_thing_of_a_template(web: Inside) -> None:
    web("create", "configmap", "settings", "--from-literal=level=1")
    web("create", "secret", "generic", "login", "--from-literal=pw=x")
    assert (
        web("set", "image", "deployment/web", "server=my-model:v2") == "deployment.apps/web image updated\n"
    )
    assert 'unable to find container named "no"' in web.fails("set", "image", "deployment/web", "no=x")
    web("set", "env", "deployment/web", "A=1", "B=2")
    web("set", "env", "deployment/web", "B-")
    web("set", "env", "deployment/web", "--from=configmap/settings", "--prefix=C_")
    web("set", "env", "deployment/web", "--from=secret/login", "--keys=pw")
    assert web("set", "env", "deployment/web", "--list", "--resolve") == (
        "# Deployment web, container server\nA=1\nC_LEVEL=1\nPW=x\n"
    )
    web("set", "resources", "deployment/web", "--limits=cpu=200m,memory=64Mi", "--requests=cpu=10m")
    web("set", "serviceaccount", "deployment", "web", "default")
    spec = template(web)
    (main,) = spec["containers"]
    assert main["image"] == "my-model:v2"
    assert main["resources"] == {"limits": {"cpu": "200m", "memory": "64Mi"}, "requests": {"cpu": "10m"}}
    assert spec["serviceAccountName"] == "default"
    web("create", "service", "clusterip", "s", "--tcp=80")
    assert web("set", "selector", "service", "s", "app=web") == "service/s selector updated\n"
    assert web.read("service", "s")["spec"]["selector"] == {"app": "web"}
    web("create", "rolebinding", "b", "--clusterrole=view", "--user=jo")
    assert web("set", "subject", "rolebinding", "b", "--group=g") == (
        "rolebinding.rbac.authorization.k8s.io/b subjects updated\n"
    )
    assert [one["name"] for one in web.read("rolebinding", "b")["subjects"]] == ["jo", "g"]


# --- rollout ---------------------------------------------------------------------------------------------------------


def test_revisions_are_listed_shown_and_gone_back_to(web: Inside) -> None:
    settle(web)
    web("set", "image", "deployment/web", "server=my-model:v2")
    settle(web)
    web("annotate", "deployment", "web", "kubernetes.io/change-cause=two")
    rows = web.rows("rollout", "history", "deployment/web")
    assert rows[1:] in (
        [["REVISION", "CHANGE-CAUSE"], ["1", "<none>"], ["2", "<none>"]],
        [["REVISION", "CHANGE-CAUSE"], ["1", "<none>"], ["2", "two"]],
    )
    assert re.search(r"Image:\s+my-model:v1", web("rollout", "history", "deployment/web", "--revision=1"))
    assert "unable to find the specified revision" in web.fails(
        "rollout", "history", "deployment/web", "--revision=9"
    )
    assert "unable to find specified revision 9" in web.fails(
        "rollout", "undo", "deployment/web", "--to-revision=9"
    )
    assert web("rollout", "undo", "deployment/web", "--to-revision=1", "--dry-run=server") == (
        "deployment.apps/web rolled back (server dry run)\n"
    )
    assert web("rollout", "undo", "deployment/web", "--to-revision=1") == "deployment.apps/web rolled back\n"
    assert template(web)["containers"][0]["image"] == "my-model:v1"


def test_a_paused_rollout_takes_no_orders_but_resume(web: Inside) -> None:
    settle(web)
    web("set", "image", "deployment/web", "server=my-model:v2")
    settle(web)
    assert web("rollout", "pause", "deployment/web") == "deployment.apps/web paused\n"
    assert "is already paused" in web.fails("rollout", "pause", "deployment/web")
    assert "cannot rollback a paused deployment" in web.fails("rollout", "undo", "deployment/web")
    assert "can't restart paused deployment" in web.fails("rollout", "restart", "deployment/web")
    assert web("rollout", "resume", "deployment/web") == "deployment.apps/web resumed\n"
    assert "is not paused" in web.fails("rollout", "resume", "deployment/web")
    assert web("rollout", "restart", "deployment/web") == "deployment.apps/web restarted\n"
    annotations = web.read("deployment", "web")["spec"]["template"]["metadata"]["annotations"]
    assert list(annotations) == ["kubectl.kubernetes.io/restartedAt"]
    assert 'deployment "web" successfully rolled out' in web(
        "rollout", "status", "deployment/web", "--timeout=30s"
    )
    assert 'deployments.apps "no" not found' in web.fails("rollout", "status", "deployment/no")


# --- logs, top, events -----------------------------------------------------------------------------------------------


def test_logs_of_several_pods_and_parts_of_them(k: Inside) -> None:
    one = pod("one", container("main", "echo a; echo b; exec sleep 100"), labels={"set": "x"})
    two = pod(
        "two",
        container("main", "echo c; exec sleep 100"),
        container("side", "echo d; exec sleep 100"),
        labels={"set": "x"},
    )
    k.product.apply(one, two, namespace=k.ns)
    k("wait", "pods", "--all", "--for=condition=Ready", "--timeout=40s")
    k.product.poll(lambda: k("logs", "two", "--all-containers").count("\n") == 2)
    assert sorted(k("logs", "-l", "set=x", "--all-containers", "--prefix").splitlines()) == [
        "[pod/one/main] a",
        "[pod/one/main] b",
        "[pod/two/main] c",
        "[pod/two/side] d",
    ]
    assert k("logs", "one", "--tail=1") == "b\n"
    assert k("logs", "one", "--since=1h") == k("logs", "pod/one", "-c", "main") == "a\nb\n"
    assert k("logs", "one", "--since-time=2099-01-01T00:00:00Z") == ""
    assert k("logs", "one", "--limit-bytes=2") == "a\n"
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z a\n", k("logs", "one", "--timestamps", "--tail=-1"))
    assert 'previous terminated container "main" in pod "one" not found' in k.fails(
        "logs", "one", "--previous"
    )
    assert "maximum allowed concurrency is 1" in k.fails("logs", "-f", "-l", "set=x", "--max-log-requests=1")
    with k.product.kubectl_running("logs", "-n", k.ns, "-f", "-l", "set=x", "--tail=1") as follow:
        assert follow.stdout is not None
        assert {follow.stdout.readline() for _ in range(2)} == {"b\n", "c\n"}
    k("delete", "pods", "--all", "--force")


def test_events_of_one_object_and_of_one_type(k: Inside) -> None:
    k.product.apply(pod("no", container(image="none:v1"), labels={"a": "b"}), namespace=k.ns)
    k.product.until_event("no", "Failed", namespace=k.ns)
    rows = k.rows("events", "--for", "pod/no", "--types=Warning")
    assert rows[0] == ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert {row[1] for row in rows[1:]} == {"Warning"} and {row[3] for row in rows[1:]} == {"Pod/no"}
    found = json.loads(k("events", "--for", "pod/no", "-o", "json"))["items"]
    assert "Scheduled" in {one["reason"] for one in found}
    newer = k.rows("get", "events.events.k8s.io", "--field-selector", "reason=Scheduled")
    assert newer[1][1:4] == ["Normal", "Scheduled", "pod/no"]
    assert "Scheduled" in k("get", "events", "--field-selector", "involvedObject.name=no,type=Normal")
    with k.product.kubectl_running("events", "-n", k.ns, "--watch", "--types=Normal") as watch:
        assert watch.stdout is not None
        assert "REASON" in watch.stdout.readline()
        assert "Normal" in watch.stdout.readline()
    k("delete", "pod", "no", "--force")


# --- nodes -----------------------------------------------------------------------------------------------------------


def test_nodes_are_closed_opened_tainted_and_drained(k: Inside) -> None:
    node = k.product.ask("/api/v1/nodes")["items"][0]["metadata"]["name"]
    k.product.apply(pod("bare", terminationGracePeriodSeconds=1), namespace=k.ns)
    k("wait", "pod/bare", "--for=condition=Ready", "--timeout=40s")
    try:
        assert k("cordon", node) == f"node/{node} cordoned\n"
        assert k("cordon", node) == f"node/{node} already cordoned\n"
        assert k.rows("get", "node", node)[1][1] == "Ready,SchedulingDisabled"
        taint = "node.kubernetes.io/unschedulable"
        k("wait", f"node/{node}", f"--for=jsonpath={{.spec.taints[0].key}}={taint}", "--timeout=20s")
        refused = k.fails("drain", node, "--pod-selector=app=bare")
        assert "cannot delete Pods that declare no controller (use --force to override)" in refused
        dry = k("drain", node, "--force", "--pod-selector=app=bare", "--dry-run=server")
        assert f"evicting pod {k.ns}/bare (server dry run)" in dry
        done = k("drain", node, "--force", "--pod-selector=app=bare", "--grace-period=1", "--timeout=40s")
        assert "pod/bare evicted" in done and f"node/{node} drained" in done
        assert k("get", "pods", "-o", "name") == ""
    finally:
        assert k("uncordon", node) == f"node/{node} uncordoned\n"
    assert "not found" in k.fails("cordon", "nowhere")
    assert k("taint", "node", node, "k7=v:PreferNoSchedule") == f"node/{node} tainted\n"
    try:
        assert "already has k7 taint(s) with same effect(s)" in k.fails(
            "taint", "node", node, "k7=w:PreferNoSchedule"
        )
        assert k("taint", "node", node, "k7=w:PreferNoSchedule", "--overwrite") == f"node/{node} modified\n"
        assert "k7=w:PreferNoSchedule" in k("describe", "node", node)
    finally:
        assert k("taint", "node", node, "k7-") == f"node/{node} untainted\n"
