"""Remembers, per scheduling class, what the node plugins answered about each node, until the node changes.

So that one more pod of a class looks at one node anew: the one that the last pod was put on.
Used by `decide.py`. Pure memory. Invariant: after `refresh`, what is remembered is what asking every plugin about every
node would give; forgetting it at any time changes nothing but the time it takes.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence

from pinnace.scheduler.cluster import Cluster
from pinnace.scheduler.facts import NodeFacts, PodFacts
from pinnace.scheduler.framework import NodePlugin, Rejection, Scale, scale_down, scale_up
from pinnace.scheduler.ranking import Ranking

ANSWERS_KEPT = 400_000  # nodes × classes, about 60 MiB
CLASSES_KEPT_LEAST = 8


class ClassMemory:
    """What is known about every node for the pods of one class. `pod` stands for all of them."""

    def __init__(self, pod: PodFacts, plugins: Sequence[NodePlugin]) -> None:
        self._pod = pod
        self._filters = [plugin.filter for plugin in plugins if plugin.filters]
        final = [plugin for plugin in plugins if plugin.weight and plugin.scale is Scale.FINAL]
        self._final = [(plugin.score, plugin.weight) for plugin in final]
        scaled = [plugin for plugin in plugins if plugin.weight and plugin.scale is not Scale.FINAL]
        self._scaled = [
            (p.score, p.weight, scale_up if p.scale is Scale.MORE_IS_BETTER else scale_down) for p in scaled
        ]
        self._most = [0] * len(scaled)
        self._raw_counts: list[Counter[int]] = [Counter() for _ in scaled]
        self._raw: dict[str, tuple[int, tuple[int, ...]]] = {}
        self._version = -1
        self.rejections: dict[str, Rejection] = {}
        self.ranking = Ranking()

    @property
    def feasible(self) -> Iterable[str]:
        """The names of the nodes that passed all filters."""
        return self._raw.keys()

    def refresh(self, cluster: Cluster) -> None:
        """Ask the plugins about the nodes that have changed since the last time."""
        if self._version == cluster.version:
            return
        changed = cluster.changed_since(self._version) if self._version >= 0 else None
        nodes = cluster.nodes
        for name in (*nodes, *self._known_but_gone(nodes)) if changed is None else dict.fromkeys(changed):
            self._evaluate(name, nodes.get(name))
        self._version = cluster.version
        most = [max(counts, default=0) for counts in self._raw_counts]
        if most != self._most:
            self._most = most
            for name, (final, raw) in self._raw.items():
                self.ranking.put(name, final + self._scale(raw))

    def passes(self, node: NodeFacts) -> bool:
        """Say whether a pod of this class could run on the node as it is now."""
        return all(answer(self._pod, node) is None for answer in self._filters)

    def _known_but_gone(self, nodes: Mapping[str, NodeFacts]) -> list[str]:
        return [name for name in (*self._raw, *self.rejections) if name not in nodes]

    def _evaluate(self, name: str, node: NodeFacts | None) -> None:
        self._forget(name)
        if node is None:
            self.ranking.discard(name)
            return
        pod = self._pod
        for answer in self._filters:
            rejection = answer(pod, node)
            if rejection is not None:
                self.rejections[name] = rejection
                self.ranking.discard(name)
                return
        final = 0
        for score, weight in self._final:
            final += weight * score(pod, node)
        raw = tuple([score(pod, node) for score, _, _ in self._scaled])
        for counts, value in zip(self._raw_counts, raw, strict=True):
            counts[value] += 1
        self._raw[name] = (final, raw)
        self.ranking.put(name, final + self._scale(raw))

    def _forget(self, name: str) -> None:
        remembered = self._raw.pop(name, None)
        if remembered is None:
            self.rejections.pop(name, None)
            return
        for counts, value in zip(self._raw_counts, remembered[1], strict=True):
            if counts[value] == 1:
                del counts[value]
            else:
                counts[value] -= 1

    def _scale(self, raw: tuple[int, ...]) -> int:
        total = 0
        for (_, weight, scale), value, most in zip(self._scaled, raw, self._most, strict=True):
            total += weight * scale(value, most)
        return total


class Memory:
    """The memories of the classes that were asked for last."""

    def __init__(self, plugins: Sequence[NodePlugin]) -> None:
        self._plugins = plugins
        self._classes: OrderedDict[Hashable, ClassMemory] = OrderedDict()

    def recall(self, pod: PodFacts, cluster: Cluster) -> ClassMemory:
        """Return what is known for the pod's class, brought up to date."""
        memory = self._classes.get(pod.scheduling_class)
        if memory is None:
            memory = self._classes[pod.scheduling_class] = ClassMemory(pod, self._plugins)
            most = max(CLASSES_KEPT_LEAST, ANSWERS_KEPT // max(1, len(cluster.nodes)))
            while len(self._classes) > most:
                self._classes.popitem(last=False)
        else:
            self._classes.move_to_end(pod.scheduling_class)
        memory.refresh(cluster)
        return memory
