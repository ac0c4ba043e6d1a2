from typing import Any

import pytest

from pinnace.base.times import render_time
from pinnace.kube import kinds
from pinnace.kube.codec import from_json
from pinnace.kube.kinds import Kind
from pinnace.kubeapi.tables import TABLES, table_of

NOW = 1_000_000.0
TEMPLATE = {"spec": {"containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y:2"}]}}
SELECTOR = {
    "matchLabels": {"app": "web"},
    "matchExpressions": [{"key": "tier", "operator": "In", "values": ["b", "a"]}],
}


def cells(kind: Kind[Any], **document: Any) -> tuple[Any, ...]:
    meta = {"name": "web", "creationTimestamp": render_time(NOW - 60), **document.pop("metadata", {})}
    return table_of(kind).cells(from_json(kind, {"metadata": meta, **document}), NOW)


def resource_metric(name: str, **target: Any) -> dict[str, Any]:
    return {"type": "Resource", "resource": {"name": name, "target": target}}


def resource_status(name: str, **current: Any) -> dict[str, Any]:
    return {"type": "Resource", "resource": {"name": name, "current": current}}


CPU_70 = resource_metric("cpu", type="Utilization", averageUtilization=70)


def job_status(**status: Any) -> dict[str, Any]:
    return {"spec": {"completions": 3, "selector": SELECTOR, "template": TEMPLATE}, "status": status}


def true(*types: str) -> list[dict[str, str]]:
    return [{"type": name, "status": "True"} for name in types]


STARTED = render_time(NOW - 50)


# Expected cells: what kubectl prints for the same objects on a cluster.
@pytest.mark.parametrize(
    ("kind", "document", "expected"),
    [
        (
            kinds.JOB,
            job_status(succeeded=1, startTime=STARTED),
            ("web", "Running", "1/3", "50s", "60s", "a,b", "x:1,y:2", "app=web,tier in (a,b)"),
        ),
        (
            kinds.JOB,
            job_status(succeeded=3, startTime=STARTED, completionTime=render_time(NOW - 20),
                       conditions=true("SuccessCriteriaMet", "Complete")),
            ("web", "Complete", "3/3", "30s", "60s", "a,b", "x:1,y:2", "app=web,tier in (a,b)"),
        ),
        (
            kinds.JOB,
            {"metadata": {"deletionTimestamp": STARTED}, "spec": {"parallelism": 2, "template": TEMPLATE}},
            ("web", "Terminating", "0/1 of 2", "", "60s", "a,b", "x:1,y:2", "<none>"),
        ),
        (
            kinds.JOB,
            {"spec": {"parallelism": 1, "template": TEMPLATE}, "status": {"conditions": true("Suspended")}},
            ("web", "Suspended", "0/1", "", "60s", "a,b", "x:1,y:2", "<none>"),
        ),
        (
            kinds.CRON_JOB,
            {"spec": {"schedule": "@daily", "suspend": False, "jobTemplate": {"spec": {"template": TEMPLATE}}},
             "status": {"active": [{"name": "a"}], "lastScheduleTime": STARTED}},
            ("web", "@daily", "<none>", "False", 1, "50s", "60s", "a,b", "x:1,y:2", "<none>"),
        ),
        (
            kinds.CRON_JOB,
            {"spec": {"schedule": "* * * * *", "timeZone": "Etc/UTC", "jobTemplate": {"spec": {"template": TEMPLATE}}}},
            ("web", "* * * * *", "Etc/UTC", "<unset>", 0, "<none>", "60s", "a,b", "x:1,y:2", "<none>"),
        ),
        (
            kinds.DAEMON_SET,
            {"spec": {"selector": {"matchLabels": {"app": "web"}},
                      "template": {"spec": {**TEMPLATE["spec"], "nodeSelector": {"gpu": "yes"}}}},
             "status": {"desiredNumberScheduled": 3, "currentNumberScheduled": 2, "numberReady": 1,
                        "updatedNumberScheduled": 2, "numberAvailable": 1}},
            ("web", 3, 2, 1, 2, 1, "gpu=yes", "60s", "a,b", "x:1,y:2", "app=web"),
        ),
        (
            kinds.STATEFUL_SET,
            {"spec": {"replicas": 3, "template": TEMPLATE}, "status": {"replicas": 2, "readyReplicas": 1}},
            ("web", "1/3", "60s", "a,b", "x:1,y:2"),
        ),
        (
            kinds.CONTROLLER_REVISION,
            {"metadata": {"ownerReferences": [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "u",
                                               "controller": True}]}, "revision": 4},
            ("web", "daemonset.apps/d", 4, "60s"),
        ),
        (kinds.CONTROLLER_REVISION, {"revision": 1}, ("web", "<none>", 1, "60s")),
        (
            kinds.REPLICATION_CONTROLLER,
            {"spec": {"replicas": 2, "selector": {"app": "web"}, "template": TEMPLATE},
             "status": {"replicas": 1, "readyReplicas": 1}},
            ("web", 2, 1, 1, "60s", "a,b", "x:1,y:2", "app=web"),
        ),
        (
            kinds.POD_TEMPLATE,
            {"template": {**TEMPLATE, "metadata": {"labels": {"app": "web"}}}},
            ("web", "a,b", "x:1,y:2", "app=web"),
        ),
        (
            kinds.DEPLOYMENT,
            {"spec": {"replicas": 3, "selector": SELECTOR, "template": TEMPLATE},
             "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1}},
            ("web", "2/3", 3, 1, "60s", "a,b", "x:1,y:2", "app=web,tier in (a,b)"),
        ),
        (
            kinds.REPLICA_SET,
            {"spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE},
             "status": {"replicas": 3, "readyReplicas": 2}},
            ("web", 3, 3, 2, "60s", "a,b", "x:1,y:2", "app=web"),
        ),
        (
            kinds.SERVICE,
            {"spec": {"type": "ClusterIP", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"],
                      "ports": [{"port": 80, "protocol": "TCP"}], "selector": {"b": "2", "a": "1"}}},
            ("web", "ClusterIP", "10.96.0.7", "<none>", "80/TCP", "60s", "a=1,b=2"),
        ),
        (
            kinds.SERVICE,
            {"spec": {"type": "LoadBalancer", "clusterIPs": ["10.96.0.7"],
                      "ports": [{"port": 80, "nodePort": 31000, "protocol": "TCP"}]}},
            ("web", "LoadBalancer", "10.96.0.7", "<pending>", "80:31000/TCP", "60s", "<none>"),
        ),
        (
            kinds.SERVICE,
            {"spec": {"type": "LoadBalancer", "clusterIPs": ["10.96.0.7"]},
             "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}},
            ("web", "LoadBalancer", "10.96.0.7", "192.0.2.1", "<none>", "60s", "<none>"),
        ),
        (
            kinds.SERVICE,
            {"spec": {"type": "ExternalName", "externalName": "example.com"}},
            ("web", "ExternalName", "<none>", "example.com", "<none>", "60s", "<none>"),
        ),
        (
            kinds.SERVICE,
            {"spec": {"type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"]}},
            ("web", "ClusterIP", "None", "<none>", "<none>", "60s", "<none>"),
        ),
        (
            kinds.NODE,
            {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "worker"}},
             "spec": {"unschedulable": True},
             "status": {"conditions": [{"type": "Ready", "status": "True"}],
                        "addresses": [{"type": "InternalIP", "address": "192.0.2.9"}],
                        "nodeInfo": {"kubeletVersion": "v1.36.0", "osImage": "Debian", "kernelVersion": "6.1"}}},
            ("web", "Ready,SchedulingDisabled", "control-plane,worker", "60s", "v1.36.0", "192.0.2.9", "<none>",
             "Debian", "6.1", "<unknown>"),
        ),
        (kinds.NODE, {"status": {"conditions": [{"type": "Ready", "status": "False"}]}},
         ("web", "NotReady", "<none>", "60s", "", "<none>", "<none>", "<unknown>", "<unknown>", "<unknown>")),
        (kinds.NAMESPACE, {"status": {"phase": "Active"}}, ("web", "Active", "60s")),
        (kinds.CONFIG_MAP, {"data": {"a": "1"}, "binaryData": {"b": "AA=="}}, ("web", 2, "60s")),
        (kinds.SECRET, {"type": "Opaque", "data": {"a": "MQ=="}}, ("web", "Opaque", 1, "60s")),
        (kinds.SERVICE_ACCOUNT, {}, ("web", 0, "60s")),
        (kinds.LEASE, {"spec": {"holderIdentity": "me"}}, ("web", "me", "60s")),
        (
            kinds.ENDPOINTS,
            {"subsets": [{"addresses": [{"ip": f"10.0.0.{n}"} for n in range(1, 6)], "ports": [{"port": 80}]}]},
            ("web", "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more...", "60s"),
        ),
        (kinds.ENDPOINTS, {}, ("web", "<none>", "60s")),
        (
            kinds.ENDPOINT_SLICE,
            {"addressType": "IPv4", "ports": [{"port": 80}, {"port": 443}],
             "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"]}]},
            ("web", "IPv4", "80,443", "10.0.0.1,10.0.0.2", "60s"),
        ),
        (kinds.ENDPOINT_SLICE, {"addressType": "IPv4"}, ("web", "IPv4", "<unset>", "<unset>", "60s")),
        (
            kinds.EVENT,
            {"type": "Warning", "reason": "FailedScheduling", "message": "no room \n", "count": 4,
             "involvedObject": {"kind": "Pod", "name": "web", "fieldPath": "spec"},
             "source": {"component": "scheduler", "host": "here"},
             "firstTimestamp": render_time(NOW - 500), "lastTimestamp": render_time(NOW - 9)},
            ("9s", "Warning", "FailedScheduling", "pod/web", "spec", "scheduler, here", "no room", "8m20s", 4, "web"),
        ),
    ],
)  # fmt: skip
def test_cells_are_those_of_kubectl(
    kind: Kind[Any], document: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    assert cells(kind, **document) == expected


@pytest.mark.parametrize(
    ("metrics", "current", "targets"),
    [
        ([CPU_70], [resource_status("cpu", averageUtilization=12)], "cpu: 12%/70%"),
        ([CPU_70], [], "cpu: <unknown>/70%"),
        ([resource_metric("memory", type="AverageValue", averageValue="1Gi")],
         [resource_status("memory", averageValue="512Mi")], "memory: 512Mi/1Gi"),
        ([CPU_70, resource_metric("memory", type="Utilization", averageUtilization=80), CPU_70], [],
         "cpu: <unknown>/70%, memory: <unknown>/80% + 1 more..."),
        ([{"type": "Pods", "pods": {"metric": {"name": "qps"}, "target": {"averageValue": "100"}}}],
         [{"type": "Pods", "pods": {"metric": {"name": "qps"}, "current": {"averageValue": "7"}}}], "7/100"),
        ([], [], "<none>"),
    ],
)  # fmt: skip
def test_autoscaler_shows_measured_and_wanted(metrics: list[Any], current: list[Any], targets: str) -> None:
    reference = {"kind": "Deployment", "name": "web"}
    spec = {"scaleTargetRef": reference, "minReplicas": 2, "maxReplicas": 10, "metrics": metrics}
    status = {"currentMetrics": current, "currentReplicas": 3}
    assert cells(kinds.HORIZONTAL_POD_AUTOSCALER, spec=spec, status=status) == (
        "web", "Deployment/web", targets, "2", 10, 3, "60s",
    )  # fmt: skip


@pytest.mark.parametrize("kind", kinds.STORED, ids=lambda kind: kind.resource)
def test_every_kind_has_as_many_cells_as_columns(kind: Kind[Any]) -> None:
    table = table_of(kind)
    assert len(table.cells(kind.type(), NOW)) == len(table.columns)
    assert [column.format for column in table.columns].count("name") == 1


def test_no_table_is_kept_for_a_kind_that_is_gone() -> None:
    assert set(TABLES) <= {kind.resource for kind in (*kinds.STORED, kinds.SCALE)}
