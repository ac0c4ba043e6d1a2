"""Counts, per node, the pods that a selector matches: for topology spread and for affinity between pods.

A question that was asked once is kept counted from then on, so that asking again costs nothing per pod.
Invariant: a kept count equals what counting anew would give.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from pinnace.kube.selectors import Selector
from pinnace.scheduler.facts import NodeFacts, PodFacts

QUESTIONS_KEPT = 256


class Match(NamedTuple):
    """A condition on a pod. Shape: `namespaces` None means all."""

    namespaces: frozenset[str] | None
    selector: Selector

    def matches(self, pod: PodFacts) -> bool:
        return (self.namespaces is None or pod.key.namespace in self.namespaces) and self.selector.matches(
            pod.labels
        )


class Question(NamedTuple):
    """Which pods to count: those that satisfy all of the matches, perhaps without those that are being deleted."""

    matches: tuple[Match, ...]
    without_terminating: bool = False

    def counts(self, pod: PodFacts) -> bool:
        if self.without_terminating and pod.terminating:
            return False
        return all(match.matches(pod) for match in self.matches)


class PodCounts:
    """The kept counts over `entries`, which the cluster owns."""

    def __init__(self, entries: Mapping[str, NodeFacts]) -> None:
        self._entries = entries
        self._kept: OrderedDict[Question, dict[str, int]] = OrderedDict()

    def by_node(self, question: Question) -> Mapping[str, int]:
        """Return how many matching pods each node has; nodes without one are left out."""
        counts = self._kept.get(question)
        if counts is None:
            counts = self._kept[question] = self._count(question)
            if len(self._kept) > QUESTIONS_KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(question)
        return counts

    def add(self, pod: PodFacts, node_name: str) -> None:
        for question, counts in self._kept.items():
            if question.counts(pod):
                counts[node_name] = counts.get(node_name, 0) + 1

    def remove(self, pod: PodFacts, node_name: str) -> None:
        for question, counts in self._kept.items():
            if question.counts(pod):
                if counts[node_name] == 1:
                    del counts[node_name]
                else:
                    counts[node_name] -= 1

    def _count(self, question: Question) -> dict[str, int]:
        counts = {}
        for name, node in self._entries.items():
            number = sum(question.counts(pod) for pod in node.pods.values())
            if number:
                counts[name] = number
        return counts
