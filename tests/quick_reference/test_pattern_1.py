"""Pattern 1 of the quick reference, applied exactly as it is printed: every line of it is a fact afterwards.

The image is a tiny stand-in for a model that serves on port 8000; the node poses as one of 16 CPUs and 64 GiB.
"""

from __future__ import annotations

import http.client
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.product.instance import Object, Product, container_state, pod_ready

MANIFEST = Path(__file__).with_name("pattern_1.yaml").read_text()
NS = "pattern-1"
GIB = 1 << 30


@pytest.fixture(scope="module")
def applied(product: Product) -> Iterator[Product]:
    """The instance with the pattern applied and its three pods ready."""
    product.kubectl("create", "namespace", NS)
    said = product.apply(MANIFEST, namespace=NS)
    assert said.splitlines() == [
        "deployment.apps/ml-inference created",
        "service/ml-inference-service created",
        "horizontalpodautoscaler.autoscaling/ml-inference-hpa created",
    ]
    product.until_all("pods", lambda found: sum(map(pod_ready, found)) == 3, namespace=NS)
    yield product
    product.kubectl("delete", "namespace", NS)


def test_three_replicas_of_the_image_are_ready(applied: Product) -> None:
    found = applied.list("pods", NS, labels="app=ml-inference")
    assert [container_state(one)["image"] for one in found] == ["my-model:v1"] * 3
    assert len({container_state(one)["imageID"] for one in found}) == 1
    applied.until(
        "deployments", "ml-inference", lambda d: d["status"].get("readyReplicas") == 3, namespace=NS
    )
    assert all(
        one["spec"]["containers"][0]["ports"] == [{"containerPort": 8000, "protocol": "TCP"}] for one in found
    )


def test_requests_and_limits_are_the_pods_and_the_kernels(applied: Product) -> None:
    pods = applied.list("pods", NS)
    for one in pods:
        assert one["spec"]["containers"][0]["resources"] == {
            "requests": {"cpu": "1", "memory": "2Gi"},
            "limits": {"cpu": "2", "memory": "4Gi"},
        }
        assert one["status"]["qosClass"] == "Burstable"
    name = pods[0]["metadata"]["name"]
    assert applied.read_limits(name, NS) == (2.0, 4 * GIB)
    allocated = applied.kubectl("describe", "node")
    assert "16" in allocated and "memory:             64Gi" in allocated


def test_the_service_is_reachable_on_the_machine_and_spreads_requests(applied: Product) -> None:
    service = applied.get("services", "ml-inference-service", NS)
    assert service["spec"]["type"] == "LoadBalancer"
    (port,) = service["spec"]["ports"]
    assert (port["protocol"], port["port"], port["targetPort"]) == ("TCP", 80, 8000)
    pods = {one["metadata"]["name"] for one in applied.list("pods", NS)}
    cluster_ip = service["spec"]["clusterIP"]
    assert set(ask_often(applied, cluster_ip)) == pods
    holder = port_80_holder(applied)
    if holder:
        pytest.skip(holder)
    applied.until("services", "ml-inference-service", external_address, namespace=NS)
    for address in (
        "127.0.0.1",
        "localhost",
        external_address(applied.get("services", "ml-inference-service", NS)),
    ):
        counts = ask_often(applied, address)
        assert set(counts) == pods
        assert min(counts.values()) >= 5, f"60 requests were spread {counts}"


def test_the_event_names_who_has_port_80_or_that_the_balancer_stands(applied: Product) -> None:
    holder = port_80_holder(applied)
    if holder:
        assert "pending until it is free" in holder and "is held by" in holder
        assert not external_address(applied.get("services", "ml-inference-service", NS))
    else:
        applied.until_event("ml-inference-service", "EnsuredLoadBalancer", namespace=NS)


def test_the_autoscaler_reads_usage_and_keeps_its_bounds(applied: Product) -> None:
    def measured(hpa: Object) -> bool:
        metrics = hpa.get("status", {}).get("currentMetrics") or []
        return (
            bool(metrics)
            and metrics[0].get("resource", {}).get("current", {}).get("averageUtilization") is not None
        )

    hpa = applied.until("horizontalpodautoscalers", "ml-inference-hpa", measured, namespace=NS, timeout_s=60)
    assert (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]) == (2, 10)
    row = applied.kubectl("get", "hpa", "-n", NS, "--no-headers").split()
    assert row[:2] == ["ml-inference-hpa", "Deployment/ml-inference"]
    assert row[2] == "cpu:" and row[3].endswith("%/70%")
    assert row[4:7] == ["2", "10", "3"]


def test_pods_find_the_service_by_its_name(applied: Product) -> None:
    name = applied.list("pods", NS)[0]["metadata"]["name"]
    for host in ("ml-inference-service", f"ml-inference-service.{NS}.svc.cluster.local"):
        answer = applied.kubectl("exec", name, "-n", NS, "--", "wget", "-qO-", f"http://{host}/")
        assert answer == "ok\n"


def test_a_second_apply_changes_nothing(applied: Product) -> None:
    assert applied.apply(MANIFEST, namespace=NS).splitlines() == [
        "deployment.apps/ml-inference unchanged",
        "service/ml-inference-service unchanged",
        "horizontalpodautoscaler.autoscaling/ml-inference-hpa unchanged",
    ]


def external_address(service: Object) -> str:
    """Return the address that the load balancer has, "" while it has none."""
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress") or [{}]
    return str(ingress[0].get("ip", ""))


def port_80_holder(product: Product) -> str:
    """Return the words about whoever else has port 80 of this machine, "" when we have it."""

    def decided(events: list[Object]) -> list[Object]:
        return [e for e in events if e.get("reason") in ("SyncLoadBalancerFailed", "EnsuredLoadBalancer")]

    last = decided(product.until_all("events", decided, namespace=NS))[-1]
    return str(last["message"]) if last["reason"] == "SyncLoadBalancerFailed" else ""


def ask_often(product: Product, host: str, times: int = 60) -> Counter[str]:
    """Return which pods answered, and how often; the first answer is waited for, as no probe tells that they listen."""
    product.poll(lambda: ask(host))
    answers = Counter(ask(host) for _ in range(times))
    assert "" not in answers, answers
    return answers


def ask(host: str) -> str:
    """Return the name of the pod that answers, "" when none does."""
    connection = http.client.HTTPConnection(host, 80, timeout=10)
    try:
        connection.request("GET", "/cgi-bin/who")
        return connection.getresponse().read().decode().strip()
    except OSError:
        return ""
    finally:
        connection.close()
