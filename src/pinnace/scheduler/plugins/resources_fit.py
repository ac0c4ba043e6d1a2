"""Keeps pods off nodes that lack what they request, and prefers nodes with the most left of cpu and memory.

Source: Kubernetes v1.36, plugins/noderesources, fit.go and least_allocated.go
"""

from __future__ import annotations

from functools import lru_cache

from pinnace.scheduler.facts import NodeFacts, PodFacts
from pinnace.scheduler.framework import MAX_SCORE, NodePlugin, Rejection


class NodeResourcesFit(NodePlugin):
    name = "NodeResourcesFit"
    weight = 1
    reads_pods = True

    def filter(self, pod: PodFacts, node: NodeFacts) -> Rejection | None:
        free = node.free
        for name, amount in pod.requests.items():
            if amount > free.get(name, 0):
                return self._explain(pod, node)
        if len(node.pods) >= node.shape.allowed_pods:
            return self._explain(pod, node)
        return None

    def _explain(self, pod: PodFacts, node: NodeFacts) -> Rejection:
        reasons = ["Too many pods"] if len(node.pods) >= node.shape.allowed_pods else []
        resolvable = True
        for name, amount in pod.requests.items():
            if amount > node.free.get(name, 0):
                reasons.append(f"Insufficient {name}")
                # More than the whole node has: evicting others can't help.
                resolvable = resolvable and amount <= node.shape.allocatable.get(name, 0)
        return _rejection(tuple(reasons), resolvable)

    def score(self, pod: PodFacts, node: NodeFacts) -> int:
        """Return the mean of the shares of cpu and memory that would be left.

        Example: cpu 4000m with 1000m taken then, memory 8Gi with 4Gi taken then → (75 + 50) / 2 = 62.
        """
        allocatable = node.shape.allocatable
        total = counted = 0
        cpu = allocatable.get("cpu", 0)
        if cpu:
            left = cpu - node.scoring_cpu_milli - pod.scoring_cpu_milli
            total += left * MAX_SCORE // cpu if left > 0 else 0
            counted += 1
        memory = allocatable.get("memory", 0)
        if memory:
            left = memory - node.scoring_memory_bytes - pod.scoring_memory_bytes
            total += left * MAX_SCORE // memory if left > 0 else 0
            counted += 1
        return total // counted if counted else 0


@lru_cache(maxsize=4096)
def _rejection(reasons: tuple[str, ...], resolvable: bool) -> Rejection:
    return Rejection(NodeResourcesFit.name, reasons, resolvable)
