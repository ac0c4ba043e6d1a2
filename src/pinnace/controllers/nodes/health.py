"""Decides whether a node still lives, and which taints its state gives it: unreachable, not ready, closed, short of something.

`judge_node` is pure; the controller below reads and writes. Run by the runner.
Invariant: only nodes that keep a lease can be silent (one without a lease never promised to renew it).
Source: Kubernetes v1.36, pkg/controller/nodelifecycle/node_lifecycle_controller.go.
"""

from collections.abc import Iterator

import msgspec

from pinnace.api.facade import Api, ObjectChange
from pinnace.base.clock import Clock
from pinnace.base.times import render_time
from pinnace.controllers.apply import apply_plan
from pinnace.controllers.plan import Change, Plan, Record, SetStatus, Step
from pinnace.controllers.pods import is_ready
from pinnace.controllers.runner import ObjectKey, Requeue, Source, own_key
from pinnace.kube.kinds import LEASE, NODE
from pinnace.kube.objects.coordination_v1 import Lease
from pinnace.kube.objects.core_v1 import Node, NodeCondition, Pod, PodCondition, Taint

COMPONENT = "node-controller"
LEASE_NAMESPACE = "kube-node-lease"
GRACE_S = 40.0  # Source: kube-controller-manager --node-monitor-grace-period (40 s up to v1.31)
UNREACHABLE = "node.kubernetes.io/unreachable"
NOT_READY = "node.kubernetes.io/not-ready"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
CONDITIONS = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
# Source: same file, nodeConditionToTaintKeyStatusMap: what a condition that is True means for new pods.
TROUBLES = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
OURS = frozenset({UNREACHABLE, NOT_READY, UNSCHEDULABLE, *TROUBLES.values()})


def judge_node(node: Node, heard: float | None, pods: tuple[Pod, ...], now: float) -> Plan:
    """Return what it means for a node and its pods when its lease was last seen to move. None: it has no lease.

    Example: heard 10 s ago: look again in 30 s. Heard 41 s ago: Ready becomes Unknown, the pods are no longer ready.
    """
    if heard is None:
        return Plan(tuple(_retaint(node, _troubles_of(node), now)))
    left_s = heard + GRACE_S - now
    ready = next((c.status for c in node.status.conditions if c.type == "Ready"), "Unknown")
    steps: list[Step] = []
    if left_s <= 0 and ready != "Unknown":
        steps.append(SetStatus(node, msgspec.structs.replace(node.status, conditions=_forget(node, now))))
        steps.append(
            Record(node, "Normal", "NodeNotReady", f"Node {node.metadata.name} status is now: NodeNotReady")
        )
    silent = left_s <= 0
    state = (UNREACHABLE,) if silent else (NOT_READY,) if ready == "False" else ()
    steps += _retaint(node, (*state, *_troubles_of(node)), now)
    if silent:  # a node that speaks says itself which of its pods are ready
        steps += [SetStatus(pod, _not_ready(pod, now)) for pod in pods if is_ready(pod)]
    return Plan(tuple(steps), None if silent else left_s)


def _forget(node: Node, now: float) -> tuple[NodeCondition, ...]:
    at = render_time(now)
    present = {condition.type: condition for condition in node.status.conditions}
    unknown = {
        type_: msgspec.structs.replace(
            present.get(type_, NodeCondition(type=type_, status="")),
            status="Unknown",
            reason="NodeStatusUnknown",
            message="Kubelet stopped posting node status.",
            last_transition_time=at,
        )
        for type_ in CONDITIONS
    }
    return tuple((present | unknown).values())


def _troubles_of(node: Node) -> tuple[str, ...]:
    true = {condition.type for condition in node.status.conditions if condition.status == "True"}
    troubles = tuple(key for type_, key in TROUBLES.items() if type_ in true)
    return (*troubles, UNSCHEDULABLE) if node.spec.unschedulable else troubles


def _retaint(node: Node, keys: tuple[str, ...], now: float) -> list[Step]:
    """Give the node just these of the taints that follow from its state; they keep new pods away."""
    present = {taint.key: taint for taint in node.spec.taints if _is_ours(taint)}
    if set(present) == set(keys):
        return []
    others = tuple(taint for taint in node.spec.taints if not _is_ours(taint))
    at = render_time(now)
    ours = tuple(present.get(key) or Taint(key=key, effect="NoSchedule", time_added=at) for key in keys)
    after = msgspec.structs.replace(node, spec=msgspec.structs.replace(node.spec, taints=(*others, *ours)))
    return [Change(node, after, f"taints {', '.join(keys) or 'removed'}")]


def _is_ours(taint: Taint) -> bool:
    return taint.key in OURS and taint.effect == "NoSchedule"


def _not_ready(pod: Pod, now: float) -> object:
    conditions = tuple(
        msgspec.structs.replace(
            c, status="False", last_transition_time=render_time(now), reason="NodeNotReady"
        )
        if c.type == "Ready"
        else c
        for c in pod.status.conditions
        if isinstance(c, PodCondition)
    )
    return msgspec.structs.replace(pod.status, conditions=conditions)


class NodeHealthController:
    """Watches over nodes.

    What counts is when this controller last saw a lease move, not the time that is written in it: after a restart an old
    lease says only that nobody was there to renew it.
    """

    name = "node-health"
    kind = NODE

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._heard: dict[
            str, tuple[str, float]
        ] = {}  # node -> the lease's revision, and when it was first seen
        self.sources = (Source(NODE, own_key), Source(LEASE, _keys_of_lease))

    async def reconcile(self, key: ObjectKey) -> Requeue | None:
        node = self._api.find(NODE, "", key.name)
        if node is None:
            self._heard.pop(key.name, None)
            return None
        now = self._clock.now()
        plan = judge_node(node, self._listen(key.name, now), self._api.pods_on(key.name), now)
        requeue = await apply_plan(self._api, plan, COMPONENT)
        closed = any(map(_closes, node.spec.taints))
        if closed != bool(node.spec.unschedulable):
            word = "NodeSchedulable" if closed else "NodeNotSchedulable"
            message = f"Node {key.name} status is now: {word}"
            await self._api.record_event(node, "Normal", word, message, component="kubelet", host=key.name)
        return requeue

    def _listen(self, name: str, now: float) -> float | None:
        lease = self._api.find(LEASE, LEASE_NAMESPACE, name)
        if lease is None:
            return None
        revision, heard = self._heard.get(name, ("", now))
        if revision != lease.metadata.resource_version:
            heard = now
        self._heard[name] = (lease.metadata.resource_version, heard)
        return heard


def _closes(taint: Taint) -> bool:
    return taint.key == UNSCHEDULABLE and _is_ours(taint)


def _keys_of_lease(change: ObjectChange[Lease]) -> Iterator[ObjectKey]:
    meta = change.object.metadata
    if meta.namespace == LEASE_NAMESPACE:
        yield ObjectKey("", meta.name)
