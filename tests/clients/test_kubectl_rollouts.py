"""The real kubectl on Deployments: scale, rollouts, undo, pause, resume, restart, and what `top` and `get` print."""

from __future__ import annotations

import pytest

from tests.product.instance import Object, Product, pod_ready
from tests.product.manifests import deployment, service


@pytest.fixture
def web(product: Product, ns: str) -> str:
    """A Deployment `web` with two ready pods; returns its namespace."""
    product.apply(deployment("web", replicas=2), namespace=ns)
    assert "successfully rolled out" in product.kubectl(
        "rollout", "status", "deployment/web", "-n", ns, "--timeout=60s"
    )
    return ns


def images(product: Product, ns: str) -> set[str]:
    return {
        one["spec"]["containers"][0]["image"]
        for one in product.list("pods", ns)
        if "deletionTimestamp" not in one["metadata"]
    }


def test_get_prints_the_columns_of_each_kind(product: Product, web: str) -> None:
    product.apply(service("web", "web"), namespace=web)
    header, row = product.kubectl("get", "deployments", "-n", web).splitlines()
    assert header.split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert row.split()[:4] == ["web", "2/2", "2", "2"]
    header, row = product.kubectl("get", "replicasets", "-n", web).splitlines()
    assert header.split() == ["NAME", "DESIRED", "CURRENT", "READY", "AGE"]
    assert row.split()[1:4] == ["2", "2", "2"]
    header, row = product.kubectl("get", "services", "-n", web).splitlines()
    assert header.split() == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]
    assert row.split()[1] == "ClusterIP" and row.split()[3:5] == ["<none>", "80/TCP"]
    assert "web" in product.kubectl("get", "endpointslices", "-n", web)
    assert (
        product.kubectl("get", "all", "-n", web).count("/web") == 5
    )  # two pods, Service, Deployment, ReplicaSet


def test_scale_and_autoscale_change_the_number_of_pods(product: Product, web: str) -> None:
    product.kubectl("scale", "deployment/web", "-n", web, "--replicas=4")
    product.until_all("pods", lambda found: sum(map(pod_ready, found)) == 4, namespace=web)
    product.kubectl("scale", "deployment/web", "-n", web, "--replicas=1")
    product.until_all("pods", lambda found: len(found) == 1, namespace=web)
    done = product.try_kubectl("scale", "deployment/web", "-n", web, "--current-replicas=3", "--replicas=5")
    assert done.returncode == 1 and "Expected replicas to be 3, was 1" in done.stderr


def test_a_rollout_can_be_followed_looked_up_and_undone(product: Product, web: str) -> None:
    product.kubectl("set", "image", "deployment/web", "-n", web, "server=my-model:v2")
    product.kubectl("annotate", "deployment/web", "-n", web, "kubernetes.io/change-cause=second model")
    assert "successfully rolled out" in product.kubectl(
        "rollout", "status", "deployment/web", "-n", web, "--timeout=60s"
    )
    assert images(product, web) == {"my-model:v2"}
    history = product.kubectl("rollout", "history", "deployment/web", "-n", web)
    assert [line.split()[0] for line in history.splitlines() if line[:1].isdigit()] == ["1", "2"]
    assert "my-model:v1" in product.kubectl("rollout", "history", "deployment/web", "-n", web, "--revision=1")
    assert "rolled back" in product.kubectl("rollout", "undo", "deployment/web", "-n", web)
    product.kubectl("rollout", "status", "deployment/web", "-n", web, "--timeout=60s")
    assert images(product, web) == {"my-model:v1"}
    history = product.kubectl("rollout", "history", "deployment/web", "-n", web)
    assert [line.split()[0] for line in history.splitlines() if line[:1].isdigit()] == ["2", "3"]


def test_a_paused_deployment_waits_until_it_is_resumed(product: Product, web: str) -> None:
    product.kubectl("rollout", "pause", "deployment/web", "-n", web)
    product.kubectl("set", "image", "deployment/web", "-n", web, "server=my-model:v2")
    product.until(
        "deployments",
        "web",
        lambda d: d["status"].get("observedGeneration") == d["metadata"]["generation"],
        namespace=web,
    )
    assert images(product, web) == {"my-model:v1"}
    product.kubectl("rollout", "resume", "deployment/web", "-n", web)
    product.kubectl("rollout", "status", "deployment/web", "-n", web, "--timeout=60s")
    assert images(product, web) == {"my-model:v2"}


def test_a_restart_replaces_every_pod(product: Product, web: str) -> None:
    before = {one["metadata"]["uid"] for one in product.list("pods", web)}
    product.kubectl("rollout", "restart", "deployment/web", "-n", web)
    product.kubectl("rollout", "status", "deployment/web", "-n", web, "--timeout=60s")
    product.until_all("pods", lambda found: len(found) == 2, namespace=web)
    assert not before & {one["metadata"]["uid"] for one in product.list("pods", web)}


def test_a_rollout_to_an_image_that_is_not_there_keeps_the_old_pods(product: Product, web: str) -> None:
    product.kubectl("patch", "deployment/web", "-n", web, "-p", '{"spec":{"progressDeadlineSeconds":2}}')
    product.kubectl("set", "image", "deployment/web", "-n", web, "server=my-model:v9")
    done = product.try_kubectl("rollout", "status", "deployment/web", "-n", web, "--timeout=60s")
    assert done.returncode == 1 and "exceeded its progress deadline" in done.stderr
    assert sum(map(pod_ready, product.list("pods", web))) == 2


def test_a_killed_pod_is_replaced(product: Product, web: str) -> None:
    victim = product.list("pods", web)[0]["metadata"]["name"]
    product.kubectl("delete", "pod", victim, "-n", web)

    def replaced(found: list[Object]) -> bool:
        return sum(map(pod_ready, found)) == 2 and victim not in {one["metadata"]["name"] for one in found}

    product.until_all("pods", replaced, namespace=web)


def test_deleting_a_deployment_ends_its_pods(product: Product, web: str) -> None:
    product.kubectl("delete", "deployment/web", "-n", web)
    product.until_all("pods", lambda found: not found, namespace=web)
    product.until_all("replicasets", lambda found: not found, namespace=web)


def test_diff_edit_and_server_side_apply_agree(product: Product, web: str) -> None:
    wanted = deployment("web", replicas=2)
    import yaml

    text = yaml.safe_dump(wanted)
    assert product.try_kubectl("diff", "-n", web, "-f", "-", stdin=text).returncode == 0
    wanted["spec"]["replicas"] = 3
    done = product.try_kubectl("diff", "-n", web, "-f", "-", stdin=yaml.safe_dump(wanted))
    assert done.returncode == 1 and "+  replicas: 3" in done.stdout


def test_top_shows_what_pods_and_nodes_use(product: Product, web: str) -> None:
    names = {one["metadata"]["name"] for one in product.list("pods", web)}
    path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{web}/pods"
    # The first numbers come with a container's second sample; there is no watch of metrics to wait on.
    product.poll(lambda: len(product.ask(path)["items"]) == 2)
    rows = [line.split() for line in product.kubectl("top", "pods", "-n", web, "--no-headers").splitlines()]
    assert {row[0] for row in rows} == names
    assert all(row[1].endswith("m") and row[2].endswith("Mi") for row in rows)
    rows = [
        line.split()
        for line in product.kubectl("top", "pods", "-n", web, "--containers", "--no-headers").splitlines()
    ]
    assert {row[1] for row in rows} == {"server"}
    summed = product.kubectl(
        "top", "pods", "-n", web, "-l", "app=web", "--sort-by=memory", "--sum"
    ).splitlines()
    assert len(summed) == 5 and summed[0].split() == ["NAME", "CPU(cores)", "MEMORY(bytes)"]
    assert "not found" in product.try_kubectl("top", "pod", "nobody", "-n", web).stderr
    (node,) = product.kubectl("top", "nodes", "--no-headers", "--sort-by=cpu").splitlines()
    assert node.split()[1].endswith("m") and node.split()[2].endswith("%")
