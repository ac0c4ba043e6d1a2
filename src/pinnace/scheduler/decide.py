"""Decides where one pod runs: the scheduler's pure core.

Called by `scheduler.py` and by whoever wants to know what would happen. No clock, no I/O. `memory` only saves time.
Invariant: a placement names a node that every plugin accepts, and none that they accept has a higher score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pinnace.base.chance import Chance
from pinnace.scheduler.class_memory import ClassMemory, Memory
from pinnace.scheduler.cluster import Cluster
from pinnace.scheduler.facts import NodeFacts, PodFacts
from pinnace.scheduler.framework import Judge, Rejection
from pinnace.scheduler.messages import render_unschedulable
from pinnace.scheduler.plugins import NODE_PLUGINS, PODS_PLUGINS

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Placement:
    """The pod runs on `node`, one of `ties` best of the `feasible` nodes, all with this `score`."""

    node: str
    score: int
    ties: int
    feasible: int


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """No node takes the pod. Shape: `rejections` by node, every node of the cluster."""

    rejections: Mapping[str, Rejection]
    may_preempt: bool = True

    @property
    def plugins(self) -> frozenset[str]:
        """The plugins that turned nodes down."""
        return frozenset(rejection.plugin for rejection in self.rejections.values())

    @property
    def message(self) -> str:
        """The facts in Kubernetes' words, as the condition and the event say them."""
        return render_unschedulable(self.rejections.values(), self.may_preempt)


Decision = Placement | Unschedulable


def new_memory() -> Memory:
    """Return an empty memory for `schedule`."""
    return Memory(NODE_PLUGINS)


def schedule(pod: PodFacts, cluster: Cluster, chance: Chance, memory: Memory | None = None) -> Decision:
    """Return one of the nodes that suit the pod best, at random, or why none takes it."""
    remembered = (memory or new_memory()).recall(pod, cluster)
    judges = [
        (judge, plugin.weight)
        for plugin in PODS_PLUGINS
        if (judge := plugin.prepare(pod, cluster)) is not None
    ]
    if judges:
        return _schedule_among(pod, cluster, chance, remembered, judges)
    ranking = remembered.ranking
    if not ranking:
        return Unschedulable(_by_name(remembered, cluster), pod.may_preempt)
    score, best = ranking.best()
    node = cluster.by_index[_choose(best, chance)]
    assert node is not None
    return Placement(node.name, score, len(best), len(ranking))


def passes(pod: PodFacts, node: NodeFacts) -> bool:
    """Say whether nothing that depends on the pod's class and the node only keeps the pod off the node."""
    asked = (plugin for plugin in NODE_PLUGINS if plugin.filters and plugin.concerns(pod))
    return all(plugin.filter(pod, node) is None for plugin in asked)


def needs_pods(decision: Unschedulable) -> bool:
    """Say whether other pods stood in the way, so that a change of any pod may help."""
    names = {plugin.name for plugin in PODS_PLUGINS}
    return not names.isdisjoint(decision.plugins)


def _schedule_among(
    pod: PodFacts,
    cluster: Cluster,
    chance: Chance,
    remembered: ClassMemory,
    judges: Sequence[tuple[Judge, int]],
) -> Decision:
    """Decide where other pods count too: the judges are asked about every node that the node plugins accept."""
    rejections = _by_name(remembered, cluster)
    nodes = []
    for index in remembered.feasible():
        node = cluster.by_index[index]
        assert node is not None
        for judge, _ in judges:
            rejection = judge.filter(node)
            if rejection is not None:
                rejections[node.name] = rejection
                break
        else:
            nodes.append(node)
    if not nodes:
        return Unschedulable(rejections, pod.may_preempt)
    totals = {node.name: remembered.ranking.score(node.index) for node in nodes}
    for judge, weight in judges:
        for name, score in judge.scores(nodes).items():
            totals[name] += weight * score
    highest = max(totals.values())
    best = [name for name, total in totals.items() if total == highest]
    return Placement(_choose(best, chance), highest, len(best), len(nodes))


def _by_name(remembered: ClassMemory, cluster: Cluster) -> dict[str, Rejection]:
    nodes = cluster.by_index
    return {
        node.name: why for index, why in remembered.rejections.items() if (node := nodes[index]) is not None
    }


def _choose(items: Sequence[T], chance: Chance) -> T:
    return items[0] if len(items) == 1 else items[int(chance.random() * len(items))]
