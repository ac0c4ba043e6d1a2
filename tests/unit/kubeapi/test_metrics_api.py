from pinnace.api.world import ContainerUsage, NodeUsage
from tests.unit.kubeapi.conftest import PODS, Kube, pod

METRICS = "/apis/metrics.k8s.io/v1beta1"


async def test_pods_that_were_measured_are_listed(kube: Kube) -> None:
    for name, app in (("a", "x"), ("b", "x"), ("c", "y")):
        await kube.call("POST", PODS, pod(name, labels={"app": app}))
    kube.world.usage = {
        ("default", "a"): {"c0": ContainerUsage(cpu_milli=120, memory_bytes=64 << 20, at=9.0)},
        ("default", "c"): {"c0": ContainerUsage(cpu_milli=5, memory_bytes=1 << 20, at=9.0)},
    }
    document = await kube.get(f"{METRICS}/namespaces/default/pods?labelSelector=app%3Dx")
    assert (document["kind"], document["apiVersion"]) == ("PodMetricsList", "metrics.k8s.io/v1beta1")
    (item,) = document["items"]
    assert (item["metadata"]["name"], item["metadata"]["labels"]) == ("a", {"app": "x"})
    assert (item["timestamp"], item["window"]) == ("1970-01-01T00:00:09Z", "15s")
    assert item["containers"] == [{"name": "c0", "usage": {"cpu": "120m", "memory": "65536Ki"}}]


async def test_a_pod_that_was_not_measured_is_not_found(kube: Kube) -> None:
    await kube.call("POST", PODS, pod("a"))
    status, document = await kube.call("GET", f"{METRICS}/namespaces/default/pods/a")
    assert (status, document["message"]) == (404, 'podmetrics.metrics.k8s.io "default/a" not found')


async def test_a_pod_that_has_ended_has_no_metrics_whatever_was_measured(kube: Kube) -> None:
    for name in ("a", "b", "c"):  # b has no sample yet
        await kube.call("POST", PODS, pod(name))
    sample = {"c0": ContainerUsage(cpu_milli=1, memory_bytes=1 << 20, at=9.0)}
    kube.world.usage = {("default", "a"): sample, ("default", "c"): sample}
    status, document = await kube.call(
        "PATCH",
        f"{PODS}/c/status",
        {"status": {"phase": "Succeeded"}},
        content_type="application/merge-patch+json",
    )
    assert status == 200, document
    listed = await kube.get(f"{METRICS}/namespaces/default/pods")
    assert [item["metadata"]["name"] for item in listed["items"]] == ["a"]
    status, document = await kube.call("GET", f"{METRICS}/namespaces/default/pods/c")
    assert (status, document["message"]) == (404, 'podmetrics.metrics.k8s.io "default/c" not found')


async def test_nodes_are_measured(kube: Kube) -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "here"}}
    await kube.call("POST", "/api/v1/nodes", node)
    kube.world.nodes = {"here": NodeUsage(cpu_milli=500, memory_bytes=1 << 30, at=9.0)}
    document = await kube.get(f"{METRICS}/nodes/here")
    assert document["usage"] == {"cpu": "500m", "memory": "1048576Ki"}
    assert [item["metadata"]["name"] for item in (await kube.get(f"{METRICS}/nodes"))["items"]] == ["here"]
