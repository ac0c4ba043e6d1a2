"""The facts that plugins decide on: a pod, reduced to what scheduling reads, and a node with what runs on it.

`PodFacts` are values. `NodeFacts` are changed by `cluster.py` only; plugins read them.
Invariant: two pods of equal `scheduling_class` get the same answer from every `NodePlugin` on any node, and two of equal
`affinity_group` (None: no affinity to pods) stand in the way of, and attract, the same pods.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import NamedTuple

import msgspec

from pinnace.kube.objects import core_v1
from pinnace.kube.objects.core_v1 import Node, Pod
from pinnace.scheduler.requests import (
    Amounts,
    compute_requests,
    compute_scoring_requests,
    counted_spec,
    parse_amounts,
)

HARD_EFFECTS = ("NoSchedule", "NoExecute")
ENDED_PHASES = ("Succeeded", "Failed")


class PodKey(NamedTuple):
    namespace: str
    name: str


class HostPort(NamedTuple):
    """A port of the node that a container takes. Shape: `ip` is "0.0.0.0" when it takes it on every address."""

    ip: str
    protocol: str
    port: int


class PodFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One pod as scheduling sees it. Shape: `requests` has no zero; `node_name` is "" until it is bound."""

    key: PodKey
    uid: str
    labels: Mapping[str, str]
    priority: int
    scheduler_name: str
    node_name: str
    gates: tuple[str, ...]
    terminating: bool
    may_preempt: bool
    requests: Amounts
    scoring_cpu_milli: int
    scoring_memory_bytes: int
    host_ports: tuple[HostPort, ...]
    node_selector: Mapping[str, str]
    node_affinity: core_v1.NodeAffinity | None
    tolerations: tuple[core_v1.Toleration, ...]
    pod_affinity: core_v1.PodAffinity | None
    pod_anti_affinity: core_v1.PodAntiAffinity | None
    affinity_group: Hashable
    spread: tuple[core_v1.TopologySpreadConstraint, ...]
    scheduling_class: Hashable


def pod_facts(pod: Pod) -> PodFacts:
    """Reduce a pod to its facts."""
    spec, meta = pod.spec, pod.metadata
    affinity = spec.affinity
    node_affinity = None if affinity is None else affinity.node_affinity
    requests = compute_requests(counted_spec(pod))
    scoring = compute_scoring_requests(spec)
    host_ports = _host_ports(spec)
    return PodFacts(
        key=PodKey(meta.namespace, meta.name),
        uid=meta.uid,
        labels=meta.labels,
        priority=spec.priority or 0,
        scheduler_name=spec.scheduler_name or "default-scheduler",
        node_name=spec.node_name,
        terminating=bool(meta.deletion_timestamp),
        gates=tuple(gate.name for gate in spec.scheduling_gates),
        may_preempt=spec.preemption_policy != "Never",
        requests=requests,
        scoring_cpu_milli=scoring[0],
        scoring_memory_bytes=scoring[1],
        host_ports=host_ports,
        node_selector=spec.node_selector,
        node_affinity=node_affinity,
        tolerations=spec.tolerations,
        pod_affinity=None if affinity is None else affinity.pod_affinity,
        pod_anti_affinity=None if affinity is None else affinity.pod_anti_affinity,
        affinity_group=_affinity_group(pod),
        spread=spec.topology_spread_constraints,
        scheduling_class=(
            tuple(sorted(requests.items())),
            scoring,
            host_ports,
            tuple(sorted(spec.node_selector.items())),
            node_affinity,
            spec.tolerations,
            spec.node_name,
        ),
    )


def _affinity_group(pod: Pod) -> Hashable:
    affinity = pod.spec.affinity
    if affinity is None or (affinity.pod_affinity is None and affinity.pod_anti_affinity is None):
        return None
    terms = msgspec.json.encode((affinity.pod_affinity, affinity.pod_anti_affinity))
    by_label = b"LabelKeys" in terms  # matchLabelKeys, mismatchLabelKeys: the pod's own labels count too
    return pod.metadata.namespace, terms, tuple(sorted(pod.metadata.labels.items())) if by_label else ()


def has_ended(pod: Pod) -> bool:
    """Say whether the pod has ended for good, and so takes nothing of its node any more."""
    return pod.status.phase in ENDED_PHASES


def _host_ports(spec: core_v1.PodSpec) -> tuple[HostPort, ...]:
    sidecars = tuple(container for container in spec.init_containers if container.restart_policy == "Always")
    return tuple(
        HostPort(port.host_ip or "0.0.0.0", port.protocol or "TCP", port.host_port)
        for container in (*spec.containers, *sidecars)
        for port in container.ports
        if port.host_port
    )


class NodeShape(msgspec.Struct, frozen=True, gc=False):
    """What a node is, apart from what runs on it."""

    name: str
    labels: Mapping[str, str]
    hard_taints: tuple[core_v1.Taint, ...]
    soft_taints: tuple[core_v1.Taint, ...]
    unschedulable: bool
    allocatable: Amounts
    allowed_pods: int


def node_shape(node: Node) -> NodeShape:
    """Reduce a node to its facts. Heartbeats and conditions leave the result equal."""
    taints = node.spec.taints
    allocatable = parse_amounts(node.status.allocatable)
    return NodeShape(
        name=node.metadata.name,
        labels=node.metadata.labels,
        hard_taints=tuple(taint for taint in taints if taint.effect in HARD_EFFECTS),
        soft_taints=tuple(taint for taint in taints if taint.effect == "PreferNoSchedule"),
        unschedulable=bool(node.spec.unschedulable),
        allocatable=allocatable,
        allowed_pods=allocatable.get("pods", 0),
    )


class NodeFacts:
    """A node and what its pods take of it.

    Units: `free` is what is left, in the units of `requests`; a resource that no pod asks for may be missing from it.
    Shape: `index` is the node's place in the cluster, reused after it is gone.
    """

    __slots__ = ("free", "host_ports", "index", "pods", "scoring_cpu_milli", "scoring_memory_bytes", "shape")

    def __init__(self, shape: NodeShape | None, index: int = 0) -> None:
        self.index = index
        self.shape = shape or NodeShape("", {}, (), (), False, {}, 0)
        self.pods: dict[str, PodFacts] = {}
        self.free: Amounts = dict(self.shape.allocatable)
        self.host_ports: dict[HostPort, int] = {}
        self.scoring_cpu_milli = 0
        self.scoring_memory_bytes = 0

    @property
    def name(self) -> str:
        return self.shape.name

    @property
    def labels(self) -> Mapping[str, str]:
        return self.shape.labels

    def add(self, pod: PodFacts) -> None:
        """Count one more pod."""
        self.pods[pod.uid] = pod
        self._count(pod, 1)

    def remove(self, uid: str) -> PodFacts:
        """Count a pod no longer."""
        pod = self.pods.pop(uid)
        self._count(pod, -1)
        return pod

    def reshape(self, shape: NodeShape | None) -> None:
        """Take over what the node is now (None: not there), keeping its pods."""
        pods = self.pods
        self.__init__(shape, self.index)  # type: ignore[misc]  # the same as new, with the same pods
        for pod in pods.values():
            self.add(pod)

    def _count(self, pod: PodFacts, sign: int) -> None:
        free = self.free
        for name, amount in pod.requests.items():
            free[name] = free.get(name, 0) - sign * amount
        self.scoring_cpu_milli += sign * pod.scoring_cpu_milli
        self.scoring_memory_bytes += sign * pod.scoring_memory_bytes
        for port in pod.host_ports:
            count = self.host_ports.get(port, 0) + sign
            if count:
                self.host_ports[port] = count
            else:
                self.host_ports.pop(port, None)
