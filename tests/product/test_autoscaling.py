"""The autoscaler on real pods: CPU load adds pods, its end takes them away."""

from __future__ import annotations

from tests.product.instance import Object, Product
from tests.product.manifests import deployment, server, service
from tests.product.requests import Stream, ask, is_refused

HPA: Object = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "web"},
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 1,
        "maxReplicas": 4,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
            }
        ],
        "behavior": {
            "scaleDown": {
                "stabilizationWindowSeconds": 0,
                "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
            }
        },
    },
}


def test_load_adds_pods_and_its_end_takes_them_away(product: Product, ns: str) -> None:
    body = server(resources={"requests": {"cpu": "50m"}, "limits": {"cpu": "300m"}})
    product.apply(deployment("web", body), service("web", "web"), HPA, namespace=ns)
    product.until("deployments", "web", lambda d: d["status"].get("readyReplicas") == 1, namespace=ns)
    address = product.get("services", "web", ns)["spec"]["clusterIP"]
    product.poll(lambda: not is_refused(address, 80))
    with Stream(lambda: ask(address, path="/cgi-bin/burn", timeout_s=60), threads=3):
        grown = product.until(
            "deployments",
            "web",
            lambda d: d["status"].get("readyReplicas", 0) >= 3,
            namespace=ns,
            timeout_s=100,
        )
    assert grown["spec"]["replicas"] in (3, 4)
    event = product.until_event("web", "SuccessfulRescale", namespace=ns)
    assert "reason: cpu resource utilization (percentage of request) above target" in event["message"]
    product.until(
        "deployments", "web", lambda d: d["status"].get("replicas") == 1, namespace=ns, timeout_s=100
    )
    product.until_event("web", "SuccessfulRescale", namespace=ns, has="All metrics below target")
