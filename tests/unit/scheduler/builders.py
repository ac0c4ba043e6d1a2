"""Builders of pods, nodes and clusters for the scheduler's tests."""

from typing import Any

import msgspec

from pinnace.base.chance import Chance
from pinnace.kube.objects.core_v1 import Node, NodeSpec, NodeStatus, Pod, Taint
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.scheduler.cluster import Cluster
from pinnace.scheduler.decide import Decision, schedule
from pinnace.scheduler.facts import NodeFacts, PodFacts, node_shape, pod_facts

HOST = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"


def pod(
    name: str = "web",
    *,
    namespace: str = "default",
    cpu: str = "",
    memory: str = "",
    labels: dict[str, str] | None = None,
    requests: dict[str, Any] | None = None,
    uid: str = "",
    **spec: Any,
) -> Pod:
    """Return a pod of one container; `spec` holds further fields of its spec by their names on the wire."""
    wanted = {name: value for name, value in (("cpu", cpu), ("memory", memory)) if value} | (requests or {})
    document = {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid or f"uid-{name}",
            "labels": labels or {},
        },
        "spec": {"containers": [{"name": "main", "image": "app", "resources": {"requests": wanted}}]} | spec,
    }
    return msgspec.convert(document, Pod)


def facts(name: str = "web", **more: Any) -> PodFacts:
    return pod_facts(pod(name, **more))


def node(
    name: str = "n1",
    *,
    cpu: str = "4",
    memory: str = "8Gi",
    pods: int = 110,
    labels: dict[str, str] | None = None,
    taints: tuple[Taint, ...] = (),
    unschedulable: bool | None = None,
    **resources: Any,
) -> Node:
    allocatable = {"cpu": cpu, "memory": memory, "pods": pods} | resources
    return Node(
        metadata=ObjectMeta(name=name, labels={HOST: name} | (labels or {})),
        spec=NodeSpec(taints=taints, unschedulable=unschedulable),
        status=NodeStatus(capacity=allocatable, allocatable=allocatable),
    )


def node_facts(*pods: PodFacts, **more: Any) -> NodeFacts:
    made = NodeFacts(node_shape(node(**more)))
    for one in pods:
        made.add(one)
    return made


def cluster(*nodes: Node, pods: dict[str, list[PodFacts]] | None = None) -> Cluster:
    made = Cluster()
    for one in nodes:
        made.set_node(node_shape(one))
    for name, on_it in (pods or {}).items():
        for one in on_it:
            made.add_pod(one, name)
    return made


def decide(one: PodFacts, made: Cluster, seed: int = 1) -> Decision:
    return schedule(one, made, Chance(seed))
