"""What holds for every kind: what was stored can be sent back without changing anything, and every row has a sample."""

from typing import Any

import pytest

from pinnace.api.kinds import ROWS
from pinnace.kube import codec, kinds
from pinnace.kube.kinds import Kind
from tests.unit.api.builders import decode, deployment_document, document, make_api

META = {"name": "sample", "namespace": "default"}
ENDPOINT = {"addresses": ["10.244.0.5"], "conditions": {"ready": True}}

JOB_SPEC = {
    "template": {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "app:v1"}]},
    }
}

SAMPLES: list[tuple[Kind[Any], dict[str, Any]]] = [
    (kinds.CONTROLLER_REVISION, {"metadata": META, "data": {"spec": {"a": 1}}, "revision": 3}),
    (
        kinds.CRON_JOB,
        {
            "metadata": META,
            "spec": {
                "schedule": "*/5 * * * mon-fri",
                "timeZone": "Etc/UTC",
                "jobTemplate": {"spec": JOB_SPEC},
            },
        },
    ),
    (kinds.DAEMON_SET, deployment_document("sample")),
    (kinds.JOB, {"metadata": META, "spec": {**JOB_SPEC, "completionMode": "Indexed", "completions": 3}}),
    (kinds.POD_TEMPLATE, {"metadata": META, "template": JOB_SPEC["template"]}),
    (
        kinds.REPLICATION_CONTROLLER,
        {"metadata": META, "spec": {"template": deployment_document("sample")["spec"]["template"]}},
    ),
    (
        kinds.STATEFUL_SET,
        deployment_document(
            "sample",
            serviceName="web",
            volumeClaimTemplates=[
                {
                    "metadata": {"name": "data"},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": "1024Mi"}},
                    },
                }
            ],
        ),
    ),
    (
        kinds.CLUSTER_ROLE,
        {"metadata": {"name": "sample"}, "rules": [{"nonResourceURLs": ["/a/*"], "verbs": ["get"]}]},
    ),
    (
        kinds.CLUSTER_ROLE_BINDING,
        {
            "metadata": {"name": "sample"},
            "roleRef": {"kind": "ClusterRole", "name": "view"},
            "subjects": [
                {"kind": "Group", "name": "g"},
                {"kind": "ServiceAccount", "name": "a", "namespace": "b"},
            ],
        },
    ),
    (
        kinds.ROLE,
        {"metadata": META, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
    ),
    (
        kinds.ROLE_BINDING,
        {
            "metadata": META,
            "roleRef": {"kind": "Role", "name": "sample"},
            "subjects": [{"kind": "User", "name": "a"}],
        },
    ),
    (kinds.CONFIG_MAP, {"metadata": META, "data": {"a": "1"}, "binaryData": {"b": "eA=="}}),
    (kinds.DEPLOYMENT, deployment_document("sample")),
    (
        kinds.ENDPOINT_SLICE,
        {"metadata": META, "addressType": "IPv4", "endpoints": [ENDPOINT], "ports": [{"port": 80}]},
    ),
    (
        kinds.ENDPOINTS,
        {"metadata": META, "subsets": [{"addresses": [{"ip": "10.244.0.5"}], "ports": [{"port": 80}]}]},
    ),
    (
        kinds.EVENT,
        {
            "metadata": META,
            "involvedObject": {"kind": "Pod", "name": "x", "namespace": "default"},
            "reason": "Y",
        },
    ),
    (
        kinds.HORIZONTAL_POD_AUTOSCALER,
        {
            "metadata": META,
            "spec": {
                "scaleTargetRef": {"kind": "Deployment", "name": "x"},
                "maxReplicas": 3,
                "behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]}},
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {
                            "name": "memory",
                            "target": {"type": "AverageValue", "averageValue": "1000Mi"},
                        },
                    }
                ],
            },
        },
    ),
    (kinds.LEASE, {"metadata": META, "spec": {"holderIdentity": "me", "leaseDurationSeconds": 15}}),
    (kinds.NAMESPACE, {"metadata": {"name": "sample"}}),
    (
        kinds.NODE,
        {
            "metadata": {"name": "sample"},
            "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]},
            "status": {"capacity": {"cpu": "2000m", "memory": "8192Mi"}},
        },
    ),
    (
        kinds.POD,
        {
            "metadata": META,
            "spec": {
                "containers": [
                    {
                        "name": "main",
                        "image": "app",
                        "resources": {"limits": {"cpu": "0.5", "nvidia.com/gpu": 1}},
                        "lifecycle": {"preStop": {"httpGet": {"port": 80}}},
                        "startupProbe": {"exec": {"command": ["true"]}},
                    }
                ],
                "initContainers": [{"name": "first", "image": "app:v1", "restartPolicy": "Always"}],
                "volumes": [
                    {
                        "name": "d",
                        "downwardAPI": {
                            "items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]
                        },
                    }
                ],
                "topologySpreadConstraints": [
                    {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
                ],
            },
        },
    ),
    (
        kinds.INGRESS,
        {
            "metadata": META,
            "spec": {
                "ingressClassName": "nginx",
                "rules": [
                    {
                        "host": "*.example.com",
                        "http": {
                            "paths": [
                                {
                                    "path": "/",
                                    "pathType": "Prefix",
                                    "backend": {"service": {"name": "web", "port": {"number": 80}}},
                                }
                            ]
                        },
                    }
                ],
            },
        },
    ),
    (
        kinds.INGRESS_CLASS,
        {
            "metadata": {"name": "sample"},
            "spec": {"controller": "k8s.io/nginx", "parameters": {"kind": "A", "name": "b"}},
        },
    ),
    (
        kinds.LIMIT_RANGE,
        {
            "metadata": META,
            "spec": {"limits": [{"type": "Container", "max": {"cpu": "2000m"}, "min": {"cpu": "0.1"}}]},
        },
    ),
    (
        kinds.NETWORK_POLICY,
        {
            "metadata": META,
            "spec": {
                "podSelector": {},
                "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 80}]}],
                "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]}],
            },
        },
    ),
    (
        kinds.PERSISTENT_VOLUME,
        {
            "metadata": {"name": "sample"},
            "spec": {
                "capacity": {"storage": "1024Mi"},
                "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": "/data"},
            },
        },
    ),
    (
        kinds.PERSISTENT_VOLUME_CLAIM,
        {
            "metadata": META,
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1024Mi"}},
            },
        },
    ),
    (
        kinds.POD_DISRUPTION_BUDGET,
        {"metadata": META, "spec": {"minAvailable": "50%", "selector": {"matchLabels": {"app": "web"}}}},
    ),
    (
        kinds.CUSTOM_RESOURCE_DEFINITION,
        {
            "metadata": {"name": "samples.example.com"},
            "spec": {
                "group": "example.com",
                "scope": "Namespaced",
                "names": {"plural": "samples", "kind": "Sample"},
                "versions": [
                    {
                        "name": "v1",
                        "served": True,
                        "storage": True,
                        "schema": {"openAPIV3Schema": {"type": "object"}},
                    }
                ],
            },
        },
    ),
    (
        kinds.VALIDATING_ADMISSION_POLICY,
        {
            "metadata": {"name": "sample"},
            "spec": {
                "matchConstraints": {
                    "resourceRules": [
                        {
                            "apiGroups": [""],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE"],
                            "resources": ["pods"],
                        }
                    ]
                },
                "validations": [{"expression": "has(object.metadata.labels)"}],
            },
        },
    ),
    (
        kinds.VALIDATING_ADMISSION_POLICY_BINDING,
        {"metadata": {"name": "sample"}, "spec": {"policyName": "other", "validationActions": ["Deny"]}},
    ),
    (kinds.PRIORITY_CLASS, {"metadata": {"name": "sample"}, "value": 10, "globalDefault": True}),
    (kinds.REPLICA_SET, deployment_document("sample")),
    (
        kinds.RESOURCE_QUOTA,
        {
            "metadata": META,
            "spec": {"hard": {"pods": 3, "requests.cpu": "2000m", "count/configmaps": "5"}},
        },
    ),
    (
        kinds.RUNTIME_CLASS,
        {
            "metadata": {"name": "sample"},
            "handler": "runc",
            "overhead": {"podFixed": {"cpu": "0.1"}},
            "scheduling": {"nodeSelector": {"a": "b"}},
        },
    ),
    (kinds.SECRET, {"metadata": META, "stringData": {"a": "b"}}),
    (
        kinds.SERVICE,
        {
            "metadata": META,
            "spec": {
                "type": "LoadBalancer",
                "externalTrafficPolicy": "Local",
                "sessionAffinity": "ClientIP",
                "ports": [{"port": 80, "targetPort": "http"}],
            },
        },
    ),
    (kinds.SERVICE_ACCOUNT, {"metadata": META}),
    (kinds.STORAGE_CLASS, {"metadata": {"name": "sample"}, "provisioner": "example.com/disk"}),
]


def test_every_row_has_a_sample() -> None:
    assert {kind.resource for kind, _ in SAMPLES} == {row.kind.resource for row in ROWS}


@pytest.mark.parametrize(
    ("kind", "given"), SAMPLES, ids=lambda value: value.kind if isinstance(value, Kind) else ""
)
async def test_what_was_stored_can_be_sent_back(kind: Kind[Any], given: dict[str, Any]) -> None:
    api, _ = await make_api()
    stored = await api.create(decode(kind, given))
    before = api.store.revision
    sent = codec.decode(kind, codec.encode(stored))
    assert await api.update(sent) == stored
    assert api.store.revision == before


@pytest.mark.parametrize(
    ("kind", "given"), SAMPLES, ids=lambda value: value.kind if isinstance(value, Kind) else ""
)
async def test_the_same_manifest_again_changes_nothing(kind: Kind[Any], given: dict[str, Any]) -> None:
    api, _ = await make_api()
    stored = await api.create(decode(kind, given))
    # One needs a revision; the others have what admission has added: fields, finalizers.
    if kind in (
        kinds.CUSTOM_RESOURCE_DEFINITION,
        kinds.JOB,
        kinds.LEASE,
        kinds.POD,
        kinds.PERSISTENT_VOLUME,
        kinds.PERSISTENT_VOLUME_CLAIM,
    ):
        return
    assert await api.update(decode(kind, given)) == stored


@pytest.mark.parametrize(
    ("kind", "given"), SAMPLES, ids=lambda value: value.kind if isinstance(value, Kind) else ""
)
async def test_the_bytes_in_the_store_are_the_object(kind: Kind[Any], given: dict[str, Any]) -> None:
    api, _ = await make_api()
    stored = await api.create(decode(kind, given))
    record = api.get_raw(kind, stored.metadata.namespace, stored.metadata.name)
    assert codec.decode(kind, record.value) == stored
    assert document(stored)["metadata"]["resourceVersion"] == str(record.revision)
