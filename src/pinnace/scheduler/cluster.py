"""Holds what the scheduler knows of the nodes and of the pods on them, assumed ones included.

Changed by the doer (`scheduler.py`) as the watches tell; read by the decider. Memory only.
Invariant: every pod that takes something of a node is counted there once, also while the node is not known (yet).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pinnace.scheduler.facts import NodeFacts, NodeShape, PodFacts
from pinnace.scheduler.pod_counts import PodCounts

CHANGES_KEPT = 20_000  # a reader that is further behind than this looks at every node anew


@dataclass(slots=True)
class AffinityGroup:
    """Pods with the same affinity to others: `pod` stands for them, `nodes` says how many each node has."""

    pod: PodFacts
    nodes: dict[str, int] = field(default_factory=dict)


class Cluster:
    """Nodes, the pods on them, and which nodes have changed since when."""

    def __init__(self) -> None:
        self._entries: dict[str, NodeFacts] = {}
        self._known: dict[str, NodeFacts] = {}
        self._node_of: dict[str, str] = {}
        self._changes: list[str] = []
        self._first = 0
        self.namespaces: dict[str, Mapping[str, str]] = {}
        self.counts = PodCounts(self._entries)
        self._groups: dict[Hashable, AffinityGroup] = {}

    @property
    def nodes(self) -> Mapping[str, NodeFacts]:
        """The nodes that exist, by name."""
        return self._known

    @property
    def affinity_groups(self) -> Iterable[AffinityGroup]:
        """The pods on nodes that have affinity to other pods."""
        return self._groups.values()

    @property
    def version(self) -> int:
        """Counts the changes; for `changed_since`."""
        return self._first + len(self._changes)

    def changed_since(self, version: int) -> Sequence[str] | None:
        """Return the names of nodes that changed since, perhaps some twice; None if that is too long ago to tell."""
        return None if version < self._first else self._changes[version - self._first :]

    def node_of(self, uid: str) -> str | None:
        """Return the node that a pod is counted on."""
        return self._node_of.get(uid)

    def set_node(self, shape: NodeShape) -> bool:
        """Add or change a node; say whether anything that matters here has changed."""
        entry = self._entries.get(shape.name)
        if entry is None:
            entry = self._entries[shape.name] = NodeFacts(shape)
        elif shape.name in self._known and entry.shape == shape:
            return False
        else:
            entry.reshape(shape)
        self._known[shape.name] = entry
        self._note(shape.name)
        return True

    def remove_node(self, name: str) -> None:
        """Forget a node; the pods on it stay counted, in case it comes back."""
        entry = self._known.pop(name, None)
        if entry is None:
            return
        if entry.pods:
            entry.reshape(None)
        else:
            del self._entries[name]
        self._note(name)

    def add_pod(self, pod: PodFacts, node_name: str) -> bool:
        """Count a pod on a node; say whether that changed anything."""
        before = self._node_of.get(pod.uid)
        if before is not None:
            if before == node_name and self._entries[before].pods[pod.uid] == pod:
                return False
            self.remove_pod(pod.uid)
        entry = self._entries.get(node_name)
        if entry is None:
            entry = self._entries[node_name] = NodeFacts(None)
        entry.add(pod)
        self._node_of[pod.uid] = node_name
        if pod.affinity_group is not None:
            nodes = self._groups.setdefault(pod.affinity_group, AffinityGroup(pod)).nodes
            nodes[node_name] = nodes.get(node_name, 0) + 1
        self.counts.add(pod, node_name)
        self._note(node_name)
        return True

    def remove_pod(self, uid: str) -> str | None:
        """Count a pod no longer; return the node it was on, None if it was on none."""
        node_name = self._node_of.pop(uid, None)
        if node_name is None:
            return None
        entry = self._entries[node_name]
        pod = entry.remove(uid)
        if pod.affinity_group is not None:
            self._leave_group(pod, node_name)
        self.counts.remove(pod, node_name)
        if not entry.pods and node_name not in self._known:
            del self._entries[node_name]
        self._note(node_name)
        return node_name

    def _leave_group(self, pod: PodFacts, node_name: str) -> None:
        nodes = self._groups[pod.affinity_group].nodes
        nodes[node_name] -= 1
        if not nodes[node_name]:
            del nodes[node_name]
        if not nodes:
            del self._groups[pod.affinity_group]

    def _note(self, node_name: str) -> None:
        self._changes.append(node_name)
        if len(self._changes) > 2 * CHANGES_KEPT:
            del self._changes[:CHANGES_KEPT]
            self._first += CHANGES_KEPT
