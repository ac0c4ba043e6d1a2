"""Keeps a pod that names its node off all others. Source: Kubernetes v1.36, plugins/nodename"""

from pinnace.scheduler.facts import NodeFacts, PodFacts
from pinnace.scheduler.framework import NodePlugin, Rejection


class NodeName(NodePlugin):
    name = "NodeName"
    _no = Rejection(name, ("node(s) didn't match the requested node name",), resolvable=False)

    def concerns(self, pod: PodFacts) -> bool:
        return bool(pod.node_name)

    def filter(self, pod: PodFacts, node: NodeFacts) -> Rejection | None:
        return self._no if pod.node_name and pod.node_name != node.name else None
