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
        self._by_index: list[NodeFacts | None] = []
        self._unused: list[int] = []
        self._changes: list[int] = []
        self._first = 0
        self.namespaces: dict[str, Mapping[str, str]] = {}
        self.counts = PodCounts(self._entries)
        self._groups: dict[Hashable, AffinityGroup] = {}

    @property
    def nodes(self) -> Mapping[str, NodeFacts]:
        """The nodes that exist, by name."""
        return self._known

    @property
    def by_index(self) -> Sequence[NodeFacts | None]:
        """The nodes that exist, each at its index; None where there is none (now)."""
        return self._by_index

    @property
    def affinity_groups(self) -> Iterable[AffinityGroup]:
        """The pods on nodes that have affinity to other pods."""
        return self._groups.values()

    @property
    def version(self) -> int:
        """Counts the changes; for `changed_since`."""
        return self._first + len(self._changes)

    def changed_since(self, version: int) -> Sequence[int] | None:
        """Return the indexes of nodes that changed since, perhaps some twice; None if that is too long ago to tell."""
        return None if version < self._first else self._changes[version - self._first :]

    def node_of(self, uid: str) -> str | None:
        """Return the node that a pod is counted on."""
        return self._node_of.get(uid)

    def set_node(self, shape: NodeShape) -> bool:
        """Add or change a node; say whether anything that matters here has changed."""
        entry = self._entries.get(shape.name)
        if entry is None:
            entry = self._new_entry(shape.name, shape)
        elif shape.name in self._known and entry.shape == shape:
            return False
        else:
            entry.reshape(shape)
        self._known[shape.name] = entry
        self._by_index[entry.index] = entry
        self._note(entry)
        return True

    def remove_node(self, name: str) -> None:
        """Forget a node; the pods on it stay counted, in case it comes back."""
        entry = self._known.pop(name, None)
        if entry is None:
            return
        self._by_index[entry.index] = None
        self._note(entry)
        entry.reshape(None)
        self._drop_if_unused(name, entry)

    def add_pod(self, pod: PodFacts, node_name: str) -> bool:
        """Count a pod on a node; say whether that changed anything."""
        before = self._node_of.get(pod.uid)
        if before is not None:
            if before == node_name and self._entries[before].pods[pod.uid] == pod:
                return False
            self.remove_pod(pod.uid)
        entry = self._entries.get(node_name)
        if entry is None:
            entry = self._new_entry(node_name, None)
        entry.add(pod)
        self._node_of[pod.uid] = node_name
        if pod.affinity_group is not None:
            nodes = self._groups.setdefault(pod.affinity_group, AffinityGroup(pod)).nodes
            nodes[node_name] = nodes.get(node_name, 0) + 1
        self.counts.add(pod, node_name)
        self._note(entry)
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
        self._note(entry)
        self._drop_if_unused(node_name, entry)
        return node_name

    def _leave_group(self, pod: PodFacts, node_name: str) -> None:
        nodes = self._groups[pod.affinity_group].nodes
        nodes[node_name] -= 1
        if not nodes[node_name]:
            del nodes[node_name]
        if not nodes:
            del self._groups[pod.affinity_group]

    def _new_entry(self, name: str, shape: NodeShape | None) -> NodeFacts:
        if self._unused:
            index = self._unused.pop()
        else:
            index = len(self._by_index)
            self._by_index.append(None)
        entry = self._entries[name] = NodeFacts(shape, index)
        return entry

    def _drop_if_unused(self, name: str, entry: NodeFacts) -> None:
        if not entry.pods and name not in self._known:
            del self._entries[name]
            self._unused.append(entry.index)

    def _note(self, entry: NodeFacts) -> None:
        self._changes.append(entry.index)
        if len(self._changes) > 2 * CHANGES_KEPT:
            del self._changes[:CHANGES_KEPT]
            self._first += CHANGES_KEPT
