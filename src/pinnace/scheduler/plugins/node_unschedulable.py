"""Keeps pods off cordoned nodes. Source: Kubernetes v1.36, plugins/nodeunschedulable"""

from pinnace.kube.objects.core_v1 import Taint
from pinnace.scheduler.facts import NodeFacts, PodFacts
from pinnace.scheduler.framework import NodePlugin, Rejection
from pinnace.scheduler.tolerations import tolerates

# A cordon counts as this taint, so that a toleration for it passes (DaemonSets have one).
CORDON = Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")


class NodeUnschedulable(NodePlugin):
    name = "NodeUnschedulable"
    _no = Rejection(name, ("node(s) were unschedulable",), resolvable=False)

    def filter(self, pod: PodFacts, node: NodeFacts) -> Rejection | None:
        if not node.shape.unschedulable or tolerates(pod.tolerations, CORDON):
            return None
        return self._no
