"""Keeps pods near to, or away from, other pods, as both sides' terms ask.

Source: Kubernetes v1.36, plugins/interpodaffinity
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pinnace.kube.objects.core_v1 import PodAffinityTerm, WeightedPodAffinityTerm
from pinnace.scheduler.cluster import AffinityGroup, Cluster
from pinnace.scheduler.facts import NodeFacts, PodFacts
from pinnace.scheduler.framework import MAX_SCORE, Judge, PodsPlugin, Rejection
from pinnace.scheduler.pod_counts import Question
from pinnace.scheduler.selecting import match_of

HARD_AFFINITY_WEIGHT = 1  # Source: Kubernetes v1.36, config/v1/defaults.go, HardPodAffinityWeight

Domain = tuple[str, str]  # (topology key, value)


class InterPodAffinity(PodsPlugin):
    name = "InterPodAffinity"
    weight = 2

    def prepare(self, pod: PodFacts, cluster: Cluster) -> Judge | None:
        groups = tuple(cluster.affinity_groups)
        if pod.affinity_group is None and not groups:
            return None
        facts = _Facts(pod, cluster)
        forbidden = facts.forbidden_by_others(groups)
        preferred = facts.preferred(groups)
        if pod.affinity_group is None and not forbidden and not preferred:
            return None
        near, near_keys, alone = facts.required_near()
        return _AffinityJudge(near, near_keys, alone, facts.forbidden_by_own_terms(), forbidden, preferred)


class _AffinityJudge(Judge):
    _far = Rejection(InterPodAffinity.name, ("node(s) didn't match pod affinity rules",), resolvable=False)
    _near = Rejection(
        InterPodAffinity.name, ("node(s) didn't match pod anti-affinity rules",), resolvable=True
    )
    _unwelcome = Rejection(
        InterPodAffinity.name, ("node(s) didn't satisfy existing pods anti-affinity rules",), resolvable=True
    )

    def __init__(
        self,
        near: frozenset[Domain],
        near_keys: Sequence[str],
        alone: bool,
        forbidden_by_own: frozenset[Domain],
        forbidden_by_others: frozenset[Domain],
        preferred: Mapping[Domain, int],
    ) -> None:
        self._near_domains = near
        self._near_keys = near_keys
        self._alone = alone
        self._by_own = _by_key(forbidden_by_own)
        self._by_others = _by_key(forbidden_by_others)
        self._preferred = preferred

    def filter(self, node: NodeFacts) -> Rejection | None:
        labels = node.labels
        for key in self._near_keys:
            value = labels.get(key)
            # A pod that asks to be near its own kind may be the first of them anywhere.
            if value is None or not (self._alone or (key, value) in self._near_domains):
                return self._far
        if any(labels.get(key) in values for key, values in self._by_own):
            return self._near
        if any(labels.get(key) in values for key, values in self._by_others):
            return self._unwelcome
        return None

    def scores(self, nodes: Sequence[NodeFacts]) -> Mapping[str, int]:
        """The sum of the weights of a node's domains, stretched so that the lowest is 0 and the highest 100."""
        if not self._preferred:
            return {}
        raw = {
            node.name: sum(self._preferred.get(domain, 0) for domain in node.labels.items()) for node in nodes
        }
        least, most = min(raw.values()), max(raw.values())
        if least == most:
            return {}
        return {name: MAX_SCORE * (value - least) // (most - least) for name, value in raw.items()}


def _by_key(domains: Iterable[Domain]) -> tuple[tuple[str, set[str]], ...]:
    values: dict[str, set[str]] = {}
    for key, value in domains:
        values.setdefault(key, set()).add(value)
    return tuple(values.items())


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the terms of one pod, and those of the pods that are there, say about domains."""

    pod: PodFacts
    cluster: Cluster

    def required_near(self) -> tuple[frozenset[Domain], Sequence[str], bool]:
        """Return the domains that hold a pod which satisfies all affinity terms, the terms' keys, and whether the pod
        may go anywhere: none satisfies them yet, but the pod itself does."""
        affinity = self.pod.pod_affinity
        terms = () if affinity is None else affinity.required_during_scheduling_ignored_during_execution
        if not terms:
            return frozenset(), (), False
        question = Question(tuple(match_of(term, self.pod, self.cluster.namespaces) for term in terms))
        keys = [term.topology_key for term in terms]
        counts = self.cluster.counts.by_node(question)
        domains = frozenset(domain for key in keys for domain in self._domains(key, counts))
        return domains, keys, not domains and question.counts(self.pod)

    def forbidden_by_own_terms(self) -> frozenset[Domain]:
        anti = self.pod.pod_anti_affinity
        terms = () if anti is None else anti.required_during_scheduling_ignored_during_execution
        return frozenset(domain for term in terms for domain in self._occupied(term))

    def forbidden_by_others(self, groups: Iterable[AffinityGroup]) -> frozenset[Domain]:
        forbidden: set[Domain] = set()
        for group in groups:
            anti = group.pod.pod_anti_affinity
            if anti is not None:
                for term in anti.required_during_scheduling_ignored_during_execution:
                    if self._speaks_of_pod(term, group):
                        forbidden.update(self._domains(term.topology_key, group.nodes))
        return frozenset(forbidden)

    def preferred(self, groups: Iterable[AffinityGroup]) -> Mapping[Domain, int]:
        """Return the weight of each domain: what the pod prefers, and what those who are there think of it."""
        weights: dict[Domain, int] = {}
        affinity, anti = self.pod.pod_affinity, self.pod.pod_anti_affinity
        for sign, own in ((1, affinity), (-1, anti)):
            for weighted in () if own is None else own.preferred_during_scheduling_ignored_during_execution:
                counts = self._counts(weighted.pod_affinity_term)
                self._weigh(weights, weighted.pod_affinity_term, counts, sign * weighted.weight)
        for group in groups:
            for term, weight in _opinions(group.pod):
                if self._speaks_of_pod(term, group):
                    self._weigh(weights, term, group.nodes, weight)
        return {domain: weight for domain, weight in weights.items() if weight}

    def _weigh(
        self, weights: dict[Domain, int], term: PodAffinityTerm, counts: Mapping[str, int], weight: int
    ) -> None:
        for name, number in counts.items():
            node = self.cluster.nodes.get(name)
            value = None if node is None else node.labels.get(term.topology_key)
            if value is not None:
                domain = (term.topology_key, value)
                weights[domain] = weights.get(domain, 0) + weight * number

    def _counts(self, term: PodAffinityTerm) -> Mapping[str, int]:
        return self.cluster.counts.by_node(Question((match_of(term, self.pod, self.cluster.namespaces),)))

    def _occupied(self, term: PodAffinityTerm) -> Iterable[Domain]:
        return self._domains(term.topology_key, self._counts(term))

    def _speaks_of_pod(self, term: PodAffinityTerm, group: AffinityGroup) -> bool:
        return match_of(term, group.pod, self.cluster.namespaces).matches(self.pod)

    def _domains(self, key: str, nodes: Iterable[str]) -> Iterable[Domain]:
        for name in nodes:
            node = self.cluster.nodes.get(name)
            value = None if node is None else node.labels.get(key)
            if value is not None:
                yield key, value


def _opinions(pod: PodFacts) -> Iterable[tuple[PodAffinityTerm, int]]:
    """Yield what a pod that is there thinks of newcomers: its preferences, and a little for what it requires."""
    affinity, anti = pod.pod_affinity, pod.pod_anti_affinity
    if affinity is not None:
        for term in affinity.required_during_scheduling_ignored_during_execution:
            yield term, HARD_AFFINITY_WEIGHT
        yield from _weighted(affinity.preferred_during_scheduling_ignored_during_execution, 1)
    if anti is not None:
        yield from _weighted(anti.preferred_during_scheduling_ignored_during_execution, -1)


def _weighted(terms: Iterable[WeightedPodAffinityTerm], sign: int) -> Iterable[tuple[PodAffinityTerm, int]]:
    return ((weighted.pod_affinity_term, sign * weighted.weight) for weighted in terms)
