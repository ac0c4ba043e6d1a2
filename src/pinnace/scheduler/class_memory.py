"""Remembers, per scheduling class, what the node plugins answered about each node, until the node changes.

So that one more pod of a class looks at one node anew: the one that the last pod was put on.
Used by `decide.py`. Pure memory. Invariant: after `refresh`, what is remembered is what asking every plugin about every
node would give; forgetting it at any time changes nothing but the time it takes.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

from pinnace.base.errors import Bug
from pinnace.scheduler.cluster import Cluster
from pinnace.scheduler.facts import NodeFacts, NodeShape, PodFacts
from pinnace.scheduler.framework import NodePlugin, Rejection, Scale, scale_down, scale_up
from pinnace.scheduler.ranking import Ranking

ANSWERS_KEPT = 4_000_000  # nodes × classes, about 40 bytes each
CLASSES_KEPT_LEAST = 8


class Fixed(NamedTuple):
    """What the plugins say that read a node's shape only. Shape: `raw` has one number for each scaled plugin."""

    rejection: Rejection | None
    final: int = 0
    raw: tuple[int, ...] = ()


class ClassMemory:
    """What is known about every node for the pods of one class. `pod` stands for all of them."""

    def __init__(self, pod: PodFacts, plugins: Sequence[NodePlugin]) -> None:
        self._pod = pod
        asked = [plugin for plugin in plugins if plugin.concerns(pod)]
        scoring = [plugin for plugin in asked if plugin.weight]
        final = [plugin for plugin in scoring if plugin.scale is Scale.FINAL]
        scaled = [plugin for plugin in scoring if plugin.scale is not Scale.FINAL]
        if any(plugin.reads_pods for plugin in scaled):
            raise Bug(
                "a scaled score that changes with every pod would be scaled anew for all nodes each time"
            )
        self._filters = [plugin.filter for plugin in asked if plugin.filters and plugin.reads_pods]
        self._scores = [(plugin.score, plugin.weight) for plugin in final if plugin.reads_pods]
        self._fixed_filters = [plugin.filter for plugin in asked if plugin.filters and not plugin.reads_pods]
        self._fixed_scores = [(plugin.score, plugin.weight) for plugin in final if not plugin.reads_pods]
        self._raw_scores = [plugin.score for plugin in scaled]
        self._scales = [
            (plugin.weight, scale_up if plugin.scale is Scale.MORE_IS_BETTER else scale_down)
            for plugin in scaled
        ]
        self._shapes: list[NodeShape | None] = []
        self._fixed: list[Fixed | None] = []
        self._same: dict[Fixed, Fixed] = {}  # few differ: nodes share them
        self._finals: list[int] = []
        self._raw_counts: list[Counter[int]] = [Counter() for _ in scaled]
        self._most = [0] * len(scaled)
        self._bonus: dict[tuple[int, ...], int] = {}
        self._version = -1
        self.rejections: dict[int, Rejection] = {}
        self.ranking = Ranking()

    def refresh(self, cluster: Cluster) -> None:
        """Ask the plugins about the nodes that have changed since the last time."""
        if self._version == cluster.version:
            return
        changed = cluster.changed_since(self._version) if self._version >= 0 else None
        nodes = cluster.by_index
        missing = len(nodes) - len(self._shapes)
        self._shapes += [None] * missing
        self._fixed += [None] * missing
        self._finals += [0] * missing
        for index in range(len(nodes)) if changed is None else dict.fromkeys(changed):
            self._evaluate(index, nodes[index])
        self._version = cluster.version
        most = [max(counts, default=0) for counts in self._raw_counts]
        if most != self._most:
            self._most = most
            self._bonus.clear()
            for index, fixed in enumerate(self._fixed):
                if fixed is not None and index in self.ranking:
                    self._rank(index, fixed)

    def feasible(self) -> Iterator[int]:
        """Yield the indexes of the nodes that passed all filters."""
        return (index for index in range(len(self._fixed)) if index in self.ranking)

    def _evaluate(self, index: int, node: NodeFacts | None) -> None:
        before = self._fixed[index] if index in self.ranking else None
        if node is None:
            self._shapes[index] = self._fixed[index] = None
            self.rejections.pop(index, None)
            self._leave(index, before)
            return
        fixed = self._fixed[index]
        if fixed is None or self._shapes[index] is not node.shape:
            self._shapes[index] = node.shape
            fixed = self._fixed[index] = self._ask_fixed(node)
        rejection = fixed.rejection or self._ask_filters(node)
        if rejection is not None:
            self.rejections[index] = rejection
            self._leave(index, before)
            return
        if before is not fixed:
            self.rejections.pop(index, None)
            self._count(before, -1)
            self._count(fixed, 1)
        pod, final = self._pod, fixed.final
        for score, weight in self._scores:
            final += weight * score(pod, node)
        self._finals[index] = final
        self._rank(index, fixed)

    def _leave(self, index: int, before: Fixed | None) -> None:
        self._count(before, -1)
        self.ranking.discard(index)

    def _ask_fixed(self, node: NodeFacts) -> Fixed:
        pod = self._pod
        for answer in self._fixed_filters:
            rejection = answer(pod, node)
            if rejection is not None:
                fixed = Fixed(rejection)
                break
        else:
            final = sum(weight * score(pod, node) for score, weight in self._fixed_scores)
            fixed = Fixed(None, final, tuple(score(pod, node) for score in self._raw_scores))
        return self._same.setdefault(fixed, fixed)

    def _ask_filters(self, node: NodeFacts) -> Rejection | None:
        for answer in self._filters:
            rejection = answer(self._pod, node)
            if rejection is not None:
                return rejection
        return None

    def _count(self, fixed: Fixed | None, sign: int) -> None:
        """Keep the raw scores of the feasible nodes counted: their largest is what they are scaled to."""
        if fixed is not None:
            for counts, value in zip(self._raw_counts, fixed.raw, strict=True):
                counts[value] += sign
                if not counts[value]:
                    del counts[value]

    def _rank(self, index: int, fixed: Fixed) -> None:
        bonus = self._bonus.get(fixed.raw)
        if bonus is None:
            scaled = zip(self._scales, fixed.raw, self._most, strict=True)
            bonus = self._bonus[fixed.raw] = sum(
                weight * scale(value, most) for (weight, scale), value, most in scaled
            )
        self.ranking.put(index, self._finals[index] + bonus)


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
