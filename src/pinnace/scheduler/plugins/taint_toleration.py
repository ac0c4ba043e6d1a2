"""Keeps pods off nodes whose taints they don't tolerate, and prefers nodes with fewer soft ones.

Source: Kubernetes v1.36, plugins/tainttoleration
"""

from pinnace.scheduler.facts import NodeFacts, PodFacts
from pinnace.scheduler.framework import NodePlugin, Rejection, Scale
from pinnace.scheduler.tolerations import tolerates


class TaintToleration(NodePlugin):
    name = "TaintToleration"
    weight = 3
    scale = Scale.LESS_IS_BETTER
    _no = Rejection(name, ("node(s) had untolerated taint(s)",), resolvable=False)

    def filter(self, pod: PodFacts, node: NodeFacts) -> Rejection | None:
        for taint in node.shape.hard_taints:
            if not tolerates(pod.tolerations, taint):
                return self._no
        return None

    def score(self, pod: PodFacts, node: NodeFacts) -> int:
        """Return how many soft taints the pod doesn't tolerate."""
        return sum(not tolerates(pod.tolerations, taint) for taint in node.shape.soft_taints)
