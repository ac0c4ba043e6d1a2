"""Prefers nodes whose cpu and memory would be used up evenly.

Source: Kubernetes v1.36, plugins/noderesources/balanced_allocation.go
"""

from pinnace.scheduler.facts import NodeFacts, PodFacts
from pinnace.scheduler.framework import MAX_SCORE, NodePlugin


class BalancedAllocation(NodePlugin):
    name = "NodeResourcesBalancedAllocation"
    weight = 1
    filters = False
    reads_pods = True

    def concerns(self, pod: PodFacts) -> bool:
        return "cpu" in pod.requests or "memory" in pod.requests

    def score(self, pod: PodFacts, node: NodeFacts) -> int:
        """Return 100 less half the distance between the shares of cpu and memory that would be taken.

        A pod that requests neither counts nowhere, lest such pods gather on one node.
        Example: 75 % of cpu and 25 % of memory → (1 - |0.75 - 0.25| / 2) * 100 = 75.
        """
        requests = pod.requests
        cpu, memory = requests.get("cpu", 0), requests.get("memory", 0)
        if not cpu and not memory:
            return 0
        allocatable = node.shape.allocatable
        all_cpu, all_memory = allocatable.get("cpu", 0), allocatable.get("memory", 0)
        if not all_cpu or not all_memory:
            return MAX_SCORE
        taken_cpu = min(1.0, (all_cpu - node.free["cpu"] + cpu) / all_cpu)
        taken_memory = min(1.0, (all_memory - node.free["memory"] + memory) / all_memory)
        return int((1.0 - abs(taken_cpu - taken_memory) / 2.0) * MAX_SCORE)
