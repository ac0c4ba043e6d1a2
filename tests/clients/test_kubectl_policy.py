"""kubectl against what a namespace and a budget allow: quotas, limit ranges, Pod Security, drain."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from pinnace.api.facade import Api
from pinnace.base.clock import SystemClock
from pinnace.controllers.deployment.controller import DeploymentController
from pinnace.controllers.disruption.controller import DisruptionController
from pinnace.controllers.ensure import ensure_cluster_objects
from pinnace.controllers.quota.controller import QuotaController
from pinnace.controllers.replicaset.controller import ReplicaSetController
from pinnace.controllers.runner import ControllerRunner
from pinnace.kube.kinds import NODE, POD
from pinnace.kube.objects.core_v1 import Node, Pod, PodCondition, PodStatus
from pinnace.kube.objects.meta_v1 import ObjectMeta
from tests.clients.conftest import Kubectl, Ran

PAUSE = "registry.example/pause:1"


@pytest.fixture
async def cluster(kubectl: Kubectl) -> AsyncIterator[Kubectl]:
    """kubectl, the controllers that policies need, and a node that runs every pod at once and ends it at once."""
    api, clock = kubectl.api, SystemClock()
    await ensure_cluster_objects(api)
    await api.create(Node(metadata=ObjectMeta(name="n1")))
    runner = ControllerRunner(
        api,
        (
            DeploymentController(api, clock),
            ReplicaSetController(api, clock),
            DisruptionController(api, clock),
            QuotaController(api, clock),
        ),
        clock,
    )
    runner.start()
    node = asyncio.create_task(_play_node(api))
    yield kubectl
    node.cancel()
    with suppress(asyncio.CancelledError):
        await node
    await runner.close()


async def _play_node(api: Api) -> None:
    watch = api.watch(POD)
    try:
        async for change in watch:
            if change.type != "DELETED":
                await _play_pod(api, change.object)
    finally:
        watch.close()


async def _play_pod(api: Api, pod: Pod) -> None:
    meta = pod.metadata
    if meta.deletion_timestamp:
        await api.finish_deletion(pod)
    elif not pod.spec.node_name and not api.get(NODE, "", "n1").spec.unschedulable:
        await api.bind(meta.namespace, meta.name, "n1")
    elif pod.spec.node_name and pod.status.phase == "Pending":
        ready = PodStatus(phase="Running", conditions=(PodCondition(type="Ready", status="True"),))
        await api.change(
            POD,
            meta.namespace,
            meta.name,
            lambda current: type(current)(metadata=current.metadata, spec=current.spec, status=ready),
            subresource="status",
        )


async def _wait_for(kubectl: Kubectl, jsonpath: str, *what: str) -> None:
    await kubectl("wait", "--timeout=10s", f"--for=jsonpath={jsonpath}", *what)


def _refused(ran: Ran) -> str:
    assert ran.code == 1, ran
    return ran.err


# ---------------------------------------------------------------------------------------------------- quotas, limits


async def test_a_quota_refuses_and_shows_what_is_used(cluster: Kubectl) -> None:
    await cluster("create", "quota", "few", "--hard=pods=1,requests.cpu=1,count/configmaps=1")
    await cluster("create", "configmap", "a")
    ran = await cluster.run("create", "configmap", "b")
    assert _refused(ran) == (
        'error: failed to create configmap: configmaps "b" is forbidden: exceeded quota: few,'
        " requested: count/configmaps=1, used: count/configmaps=1, limited: count/configmaps=1\n"
    )
    ran = await cluster.run("run", "web", f"--image={PAUSE}")
    assert "failed quota: few: must specify requests.cpu for: web" in _refused(ran)
    shown = await cluster("get", "quota", "few")
    assert shown.splitlines()[0].split() == ["NAME", "REQUEST", "LIMIT", "AGE"]
    assert "count/configmaps: 1/1, pods: 0/1, requests.cpu: 0/1" in shown
    await cluster("delete", "configmap", "a")
    await _wait_for(cluster, "{.status.used.count/configmaps}=0", "quota/few")
    described = await cluster("describe", "quota", "few")
    assert "count/configmaps  0     1" in described


async def test_a_deployment_that_exceeds_a_quota_says_so_in_an_event(cluster: Kubectl) -> None:
    await cluster("create", "quota", "few", "--hard=pods=1")
    await cluster("create", "deployment", "web", f"--image={PAUSE}", "--replicas=2")
    await _wait_for(cluster, "{.status.used.pods}=1", "quota/few")
    await _wait_for(cluster, "{.status.readyReplicas}=1", "deployment/web")
    events = json.loads(await cluster("get", "events", "-o", "json"))["items"]
    assert any("exceeded quota: few, requested: pods=1" in event["message"] for event in events)


async def test_a_limit_range_fills_in_and_bounds(cluster: Kubectl) -> None:
    limits = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "usual"},
        "spec": {"limits": [{"type": "Container", "default": {"cpu": "200m"}, "max": {"cpu": "1"}}]},
    }
    await cluster("apply", "-f", "-", stdin=json.dumps(limits))
    await cluster("run", "web", f"--image={PAUSE}")
    asked = await cluster("get", "pod", "web", "-o", "jsonpath={.spec.containers[0].resources.requests.cpu}")
    assert asked == "200m"
    overrides = json.dumps(
        {"spec": {"containers": [{"name": "big", "image": PAUSE, "resources": {"limits": {"cpu": "2"}}}]}}
    )
    ran = await cluster.run("run", "big", f"--image={PAUSE}", f"--overrides={overrides}")
    assert 'pods "big" is forbidden: maximum cpu usage per Container is 1, but limit is 2' in _refused(ran)
    described = await cluster("describe", "limits", "usual")
    assert "Container   cpu       -    1    200m             200m           -" in described


# ---------------------------------------------------------------------------------------------------- Pod Security


async def test_pod_security_refuses_and_warns(cluster: Kubectl) -> None:
    await cluster("create", "namespace", "safe")
    label = "pod-security.kubernetes.io"
    await cluster("label", "namespace", "safe", f"{label}/enforce=baseline", f"{label}/warn=restricted")
    overrides = json.dumps({"spec": {"hostNetwork": True}})
    ran = await cluster.run("run", "-n", "safe", "bad", f"--image={PAUSE}", f"--overrides={overrides}")
    assert _refused(ran) == (
        'Error from server (Forbidden): pods "bad" is forbidden: violates PodSecurity "baseline:latest":'
        " host namespaces (hostNetwork=true)\n"
    )
    ran = await cluster.run("create", "-n", "safe", "deployment", "web", f"--image={PAUSE}")
    assert (ran.code, ran.out) == (0, "deployment.apps/web created\n")
    assert ran.err.startswith(
        'Warning: would violate PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "pause"'
    )
    ran = await cluster.run("label", "namespace", "safe", "--overwrite", f"{label}/enforce=strict")
    assert "must be one of privileged, baseline, restricted" in _refused(ran)
    ran = await cluster.run(
        "label", "namespace", "safe", "--overwrite", "--dry-run=server", f"{label}/enforce=restricted"
    )
    assert ran.code == 0
    assert 'existing pods in namespace "safe" violate the new PodSecurity enforce level' in ran.err


# ---------------------------------------------------------------------------------------------------- budgets


async def test_drain_waits_for_the_budget(cluster: Kubectl) -> None:
    await cluster("create", "deployment", "web", f"--image={PAUSE}", "--replicas=2")
    await _wait_for(cluster, "{.status.readyReplicas}=2", "deployment/web")
    await cluster("create", "pdb", "web", "--selector=app=web", "--min-available=1")
    await _wait_for(cluster, "{.status.disruptionsAllowed}=1", "pdb/web")
    shown = (await cluster("get", "pdb", "web")).splitlines()
    assert shown[0].split("  ")[0] == "NAME"
    assert shown[1].split()[:4] == ["web", "1", "N/A", "1"]
    ran = await cluster.run("drain", "n1", "--timeout=4s")
    assert "evicting pod default/web-" in ran.out
    assert "Cannot evict pod as it would violate the pod's disruption budget." in _refused(ran)
    running = [pod for pod in cluster.api.list(POD, "default") if pod.spec.node_name]
    assert len(running) == 1  # one went, the other is protected; its successor finds no node
    await cluster("delete", "pdb", "web")
    ran = await cluster.run("drain", "n1", "--timeout=20s")
    assert (ran.code, "node/n1 drained" in ran.out) == (0, True), ran


async def test_priority_classes_of_every_cluster_are_there(cluster: Kubectl) -> None:
    shown = (await cluster("get", "priorityclasses")).splitlines()
    assert shown[0].split() == ["NAME", "VALUE", "GLOBAL-DEFAULT", "AGE", "PREEMPTIONPOLICY"]
    assert [line.split()[:3] for line in shown[1:]] == [
        ["system-cluster-critical", "2000000000", "false"],
        ["system-node-critical", "2000001000", "false"],
    ]
    await cluster("create", "priorityclass", "high", "--value=1000", "--global-default=true")
    await cluster("run", "web", f"--image={PAUSE}")
    shown_pod = await cluster(
        "get", "pod", "web", "-o", "jsonpath={.spec.priority}/{.spec.priorityClassName}"
    )
    assert shown_pod == "1000/high"
    ran = await cluster.run("create", "priorityclass", "other", "--value=1", "--global-default=true")
    assert "PriorityClass high is already marked as default. Only one default can exist" in _refused(ran)
