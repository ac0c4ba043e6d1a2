"""The tables of the cluster's kinds, cell by cell. Source: Kubernetes v1.36, pkg/printers/internalversion/printers_test.go."""

from typing import Any

import pytest

from pinnace.kube import codec, kinds
from pinnace.kube.kinds import Kind
from pinnace.kubeapi.tables import table_of

CREATED = "2026-01-01T00:00:00Z"
NOW = 1_767_225_600.0 + 3600
META = {"name": "x", "namespace": "default", "creationTimestamp": CREATED}
HOUR = "60m"

CASES: list[tuple[Kind[Any], dict[str, Any], tuple[Any, ...]]] = [
    (
        kinds.POD_DISRUPTION_BUDGET,
        {"spec": {"maxUnavailable": "25%"}, "status": {"disruptionsAllowed": 2}},
        ("x", "N/A", "25%", 2, HOUR),
    ),
    (
        kinds.PRIORITY_CLASS,
        {"value": 7, "globalDefault": True, "preemptionPolicy": "Never"},
        ("x", 7, True, HOUR, "Never"),
    ),
    (kinds.RUNTIME_CLASS, {"handler": "runsc"}, ("x", "runsc", HOUR)),
    (
        kinds.PERSISTENT_VOLUME,
        {
            "spec": {
                "capacity": {"storage": "10Gi"},
                "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "gold",
                "claimRef": {"namespace": "default", "name": "data"},
                "volumeMode": "Filesystem",
            },
            "status": {"phase": "Bound", "reason": "why"},
        },
        (
            "x",
            "10Gi",
            "RWO,RWX",
            "Retain",
            "Bound",
            "default/data",
            "gold",
            "<unset>",
            "why",
            HOUR,
            "Filesystem",
        ),
    ),
    (
        kinds.PERSISTENT_VOLUME_CLAIM,
        {
            "spec": {"volumeName": "disk", "storageClassName": "gold", "accessModes": ["ReadWriteOnce"]},
            "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOncePod"]},
        },
        ("x", "Bound", "disk", "1Gi", "RWOP", "gold", "<unset>", HOUR, "<unset>"),
    ),
    (
        kinds.PERSISTENT_VOLUME_CLAIM,
        {
            "metadata": {**META, "deletionTimestamp": CREATED},
            "spec": {"accessModes": ["ReadWriteOnce"]},
            "status": {"phase": "Pending"},
        },
        ("x", "Terminating", "", "", "", "", "<unset>", HOUR, "<unset>"),
    ),
    (
        kinds.STORAGE_CLASS,
        {
            "metadata": {**META, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": "a.io/b",
            "allowVolumeExpansion": True,
        },
        ("x (default)", "a.io/b", "Delete", "Immediate", True, HOUR),
    ),
    (
        kinds.INGRESS,
        {
            "spec": {
                "ingressClassName": "nginx",
                "rules": [{"host": name} for name in ("a", "b", "c", "d")],
                "tls": [{"hosts": ["a"]}],
            },
            "status": {"loadBalancer": {"ingress": [{"ip": "192.168.100.200"}, {"hostname": "lb.example"}]}},
        },
        ("x", "nginx", "a,b,c + 1 more...", "192.168.100.2...", "80, 443", HOUR),
    ),
    (kinds.INGRESS, {"spec": {}}, ("x", "<none>", "*", "", "80", HOUR)),
    (
        kinds.INGRESS_CLASS,
        {
            "spec": {
                "controller": "a.io/b",
                "parameters": {"apiGroup": "k8s.example.com", "kind": "Params", "name": "p"},
            }
        },
        ("x", "a.io/b", "Params.k8s.example.com/p", HOUR),
    ),
    (
        kinds.NETWORK_POLICY,
        {"spec": {"podSelector": {"matchLabels": {"a": "b"}}}},
        ("x", "a=b", HOUR),
    ),
    (kinds.NETWORK_POLICY, {"spec": {"podSelector": {}}}, ("x", "<none>", HOUR)),
    (
        kinds.RESOURCE_QUOTA,
        {
            "status": {
                "hard": {"pods": "3", "limits.cpu": "2", "cpu": "1"},
                "used": {"pods": "1", "limits.cpu": "500m"},
            }
        },
        ("x", "cpu: 0/1, pods: 1/3", "limits.cpu: 500m/2", HOUR),
    ),
    (kinds.LIMIT_RANGE, {"spec": {"limits": []}}, ("x", CREATED)),
]


@pytest.mark.parametrize(("kind", "document", "cells"), CASES)
def test_a_row_reads_as_on_a_cluster(
    kind: Kind[Any], document: dict[str, Any], cells: tuple[Any, ...]
) -> None:
    table = table_of(kind)
    obj = codec.from_json(kind, {"metadata": META, **document})
    assert table.cells(obj, NOW) == cells
    assert len(table.columns) == len(cells)
