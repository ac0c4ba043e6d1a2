"""Removes pods that no node will ever end: those of absent nodes, and terminating ones that never had a node.

Run by the runner. Invariant: a pod of an absent node stays for QUARANTINE_S, in case the node only re-registers.
Source: Kubernetes v1.36, pkg/controller/podgc/gc_controller.go.
"""

from collections.abc import Iterator

from pinnace.api.facade import Api, ObjectChange
from pinnace.base.clock import Clock
from pinnace.controllers.apply import apply_delete
from pinnace.controllers.runner import ObjectKey, Requeue, Source
from pinnace.kube.kinds import NODE, POD
from pinnace.kube.objects.core_v1 import Node, Pod

QUARANTINE_S = 40.0  # Source: gc_controller.go, quarantineTime


class PodGarbageController:
    """Ends pods without a node. Keys: "" and a node's name, or a pod's namespace and name."""

    name = "pod-garbage"
    kind = None

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._absent_since: dict[str, float] = {}
        self.sources = (Source(NODE, _keys_of_node), Source(POD, self._keys_of_pod))

    def _keys_of_pod(self, change: ObjectChange[Pod]) -> Iterator[ObjectKey]:
        pod = change.object
        if change.type == "DELETED":
            return
        if pod.spec.node_name:
            if self._api.find(NODE, "", pod.spec.node_name) is None:
                yield ObjectKey("", pod.spec.node_name)
        elif pod.metadata.deletion_timestamp:
            yield ObjectKey(pod.metadata.namespace, pod.metadata.name)

    async def reconcile(self, key: ObjectKey) -> Requeue | None:
        if key.namespace:
            await self._end_unscheduled(key)
            return None
        return await self._end_stranded(key.name)

    async def _end_unscheduled(self, key: ObjectKey) -> None:
        pod = self._api.find(POD, key.namespace, key.name)
        if pod is not None and pod.metadata.deletion_timestamp and not pod.spec.node_name:
            await apply_delete(self._api, pod, grace_s=0)

    async def _end_stranded(self, node: str) -> Requeue | None:
        pods = self._api.pods_on(node)
        if self._api.find(NODE, "", node) is not None or not pods:
            self._absent_since.pop(node, None)
            return None
        left_s = self._absent_since.setdefault(node, self._clock.now()) + QUARANTINE_S - self._clock.now()
        if left_s > 0:
            return Requeue(left_s)
        for pod in pods:
            await apply_delete(self._api, pod, grace_s=0)
        self._absent_since.pop(node, None)
        return None


def _keys_of_node(change: ObjectChange[Node]) -> Iterator[ObjectKey]:
    yield ObjectKey("", change.object.metadata.name)
