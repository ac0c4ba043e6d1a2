"""What a pod looks like once it is stored, beside what Kubernetes documents."""

import pytest
from msgspec.structs import replace

from pinnace.api.defaults.images import compute_pull_policy
from tests.unit.api.builders import document, make_api, pod


async def test_smallest_pod_is_filled_in_as_a_real_server_does() -> None:
    api, _ = await make_api()
    stored = document(await api.create(pod(spec={"automountServiceAccountToken": False})))
    uid = stored["metadata"].pop("uid")
    assert len(uid) == 36
    # By hand, from `kubectl get pod -o yaml` of a pod without a token volume.
    assert stored == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "web",
            "namespace": "default",
            "creationTimestamp": "2026-01-02T00:00:00Z",
            "generation": 1,
            "resourceVersion": "2",
        },
        "spec": {
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": "main",
                    "image": "app:v1",
                    "imagePullPolicy": "IfNotPresent",
                    "resources": {},
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File",
                }
            ],
            "dnsPolicy": "ClusterFirst",
            "enableServiceLinks": True,
            "preemptionPolicy": "PreemptLowerPriority",
            "priority": 0,
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "securityContext": {},
            "serviceAccount": "default",
            "serviceAccountName": "default",
            "terminationGracePeriodSeconds": 30,
            "tolerations": [
                {
                    "key": "node.kubernetes.io/not-ready",
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": 300,
                },
                {
                    "key": "node.kubernetes.io/unreachable",
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": 300,
                },
            ],
        },
        "status": {"phase": "Pending", "qosClass": "BestEffort"},
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.27", "IfNotPresent"),
        ("registry:5000/team/nginx", "Always"),
        ("registry:5000/team/nginx:v2", "IfNotPresent"),
        ("nginx@sha256:" + "a" * 64, "IfNotPresent"),
        ("nginx:latest@sha256:" + "a" * 64, "Always"),
    ],
)
def test_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    assert compute_pull_policy(image) == policy


async def test_a_gpu_limit_is_its_request_and_quantities_are_canonical() -> None:
    api, _ = await make_api()
    limits = {"cpu": "4000m", "memory": "16384Mi", "nvidia.com/gpu": 1}
    stored = await api.create(pod(resources={"limits": limits, "requests": {"cpu": 0.5}}))
    resources = document(stored)["spec"]["containers"][0]["resources"]
    assert resources == {
        "limits": {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"},
        "requests": {"cpu": "500m", "memory": "16Gi", "nvidia.com/gpu": "1"},
    }


async def test_a_probe_gets_its_periods_thresholds_path_and_scheme() -> None:
    api, _ = await make_api()
    stored = await api.create(pod(readinessProbe={"httpGet": {"port": 8000}}))
    assert document(stored)["spec"]["containers"][0]["readinessProbe"] == {
        "httpGet": {"path": "/", "port": 8000, "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }


async def test_ports_volumes_and_field_references_are_filled_in() -> None:
    api, _ = await make_api()
    stored = document(
        await api.create(
            pod(
                ports=[{"containerPort": 80}],
                env=[{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                spec={
                    "volumes": [
                        {"name": "plain"},
                        {"name": "c", "configMap": {"name": "c"}},
                        {"name": "s", "secret": {"secretName": "s"}},
                        {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
                    ]
                },
            )
        )
    )
    container = stored["spec"]["containers"][0]
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert container["env"][0]["valueFrom"]["fieldRef"] == {"apiVersion": "v1", "fieldPath": "metadata.name"}
    assert stored["spec"]["volumes"][:-1] == [  # the last one is the token's
        {"name": "plain", "emptyDir": {}},
        {"name": "c", "configMap": {"name": "c", "defaultMode": 420}},
        {"name": "s", "secret": {"secretName": "s", "defaultMode": 420}},
        {
            "name": "p",
            "projected": {
                "defaultMode": 420,
                "sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}],
            },
        },
    ]


async def test_host_network_takes_the_containers_ports_as_the_hosts() -> None:
    api, _ = await make_api()
    stored = await api.create(pod(ports=[{"containerPort": 80}], spec={"hostNetwork": True}))
    assert document(stored)["spec"]["containers"][0]["ports"] == [
        {"containerPort": 80, "hostPort": 80, "protocol": "TCP"}
    ]


async def test_own_tolerations_replace_the_default_ones() -> None:
    api, _ = await make_api()
    own = [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}]
    stored = await api.create(pod(spec={"tolerations": own}))
    assert [(t.key, t.toleration_seconds) for t in stored.spec.tolerations] == [
        ("node.kubernetes.io/not-ready", None),
        ("node.kubernetes.io/unreachable", 300),
    ]


@pytest.mark.parametrize(
    ("resources", "qos"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
        (
            {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}},
            "Guaranteed",
        ),
        ({"limits": {"nvidia.com/gpu": 1}}, "BestEffort"),
    ],
)
async def test_quality_of_service_class(resources: dict[str, dict[str, str]], qos: str) -> None:
    api, _ = await make_api()
    assert (await api.create(pod(resources=resources))).status.qos_class == qos


async def test_a_status_that_the_creator_sends_is_dropped() -> None:
    api, _ = await make_api()
    given = pod()
    stored = await api.create(
        replace(given, status=replace(given.status, phase="Running", pod_ip="10.0.0.9"))
    )
    assert (stored.status.phase, stored.status.pod_ip) == ("Pending", "")
