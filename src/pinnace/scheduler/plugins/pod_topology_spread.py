"""Spreads pods evenly over the domains (hosts, zones) that their constraints name.

Source: Kubernetes v1.36, plugins/podtopologyspread. The constraints that a cluster adds by itself (defaultConstraints)
are left out: on the nodes of one machine they change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pinnace.kube.objects.core_v1 import TopologySpreadConstraint
from pinnace.kube.selectors import Selector, selector_of
from pinnace.scheduler.cluster import Cluster
from pinnace.scheduler.facts import NodeFacts, PodFacts
from pinnace.scheduler.framework import MAX_SCORE, Judge, PodsPlugin, Rejection
from pinnace.scheduler.plugins.node_affinity import matches_required
from pinnace.scheduler.pod_counts import Match, Question
from pinnace.scheduler.selecting import with_label_keys
from pinnace.scheduler.tolerations import tolerates

HOSTNAME = "kubernetes.io/hostname"


class PodTopologySpread(PodsPlugin):
    name = "PodTopologySpread"
    weight = 2

    def prepare(self, pod: PodFacts, cluster: Cluster) -> Judge | None:
        if not pod.spread:
            return None
        hard = [c for c in pod.spread if c.when_unsatisfiable == "DoNotSchedule"]
        soft = [c for c in pod.spread if c.when_unsatisfiable == "ScheduleAnyway"]
        return _SpreadJudge(
            [_count(c, hard, pod, cluster) for c in hard], [_count(c, soft, pod, cluster) for c in soft]
        )


@dataclass(frozen=True, slots=True)
class _Spread:
    """A constraint and how many matching pods each of its domains has now; `own` is 1 if the new pod counts too."""

    constraint: TopologySpreadConstraint
    domains: Mapping[str, int]
    own: int

    def fewest(self) -> int:
        """Return the count of the emptiest domain; 0 while there are fewer domains than `minDomains`."""
        if len(self.domains) < (self.constraint.min_domains or 1):
            return 0
        return min(self.domains.values(), default=0)


class _SpreadJudge(Judge):
    _unlabelled = Rejection(
        PodTopologySpread.name,
        ("node(s) didn't match pod topology spread constraints (missing required label)",),
        resolvable=False,
    )
    _uneven = Rejection(
        PodTopologySpread.name, ("node(s) didn't match pod topology spread constraints",), resolvable=True
    )

    def __init__(self, hard: Sequence[_Spread], soft: Sequence[_Spread]) -> None:
        self._hard = [(spread, spread.fewest()) for spread in hard]
        self._soft = soft

    def filter(self, node: NodeFacts) -> Rejection | None:
        for spread, fewest in self._hard:
            domain = node.labels.get(spread.constraint.topology_key)
            if domain is None:
                return self._unlabelled
            if spread.domains.get(domain, 0) + spread.own - fewest > spread.constraint.max_skew:
                return self._uneven
        return None

    def scores(self, nodes: Sequence[NodeFacts]) -> Mapping[str, int]:
        """Fewer matching pods in a node's domains score higher; domains that are many count for more.

        Example: domains with 0, 1 and 4 matching pods (raw 0, r, 4r, maxSkew 1) → 100, 75, 0.
        """
        keys = [spread.constraint.topology_key for spread in self._soft]
        labelled = [node for node in nodes if all(key in node.labels for key in keys)]
        if not self._soft or not labelled:
            return {}
        raw = dict.fromkeys((node.name for node in labelled), 0.0)
        for spread, key in zip(self._soft, keys, strict=True):
            size = len(labelled) if key == HOSTNAME else len({node.labels[key] for node in labelled})
            factor = math.log(size + 2)
            for node in labelled:
                raw[node.name] += (
                    spread.domains.get(node.labels[key], 0) * factor + spread.constraint.max_skew - 1
                )
        rounded = {name: round(value) for name, value in raw.items()}
        most, least = max(rounded.values()), min(rounded.values())
        if not most:
            return dict.fromkeys(rounded, MAX_SCORE)
        return {name: MAX_SCORE * (most + least - value) // most for name, value in rounded.items()}


def _count(
    constraint: TopologySpreadConstraint,
    together: Sequence[TopologySpreadConstraint],
    pod: PodFacts,
    cluster: Cluster,
) -> _Spread:
    """Count the matching pods of each domain, over the nodes that count for the constraint."""
    selector = _selector(constraint, pod)
    question = Question((Match(frozenset((pod.key.namespace,)), selector),), without_terminating=True)
    counts = cluster.counts.by_node(question)
    keys = [other.topology_key for other in together]
    counts_node = _node_filter(constraint, pod)
    domains: dict[str, int] = {}
    for name, node in cluster.nodes.items():
        labels = node.labels
        if all(key in labels for key in keys) and counts_node(node):
            domain = labels[constraint.topology_key]
            domains[domain] = domains.get(domain, 0) + counts.get(name, 0)
    return _Spread(constraint, domains, int(selector.matches(pod.labels)))


def _selector(constraint: TopologySpreadConstraint, pod: PodFacts) -> Selector:
    return with_label_keys(
        selector_of(constraint.label_selector), pod.labels, constraint.match_label_keys, ()
    )


def _node_filter(constraint: TopologySpreadConstraint, pod: PodFacts) -> Callable[[NodeFacts], bool]:
    """Return which nodes count: by default those that the pod's node affinity allows, whatever their taints."""
    honours_affinity = constraint.node_affinity_policy != "Ignore"
    honours_taints = constraint.node_taints_policy == "Honor"

    def counts(node: NodeFacts) -> bool:
        if honours_affinity and not matches_required(pod, node):
            return False
        return not honours_taints or all(
            tolerates(pod.tolerations, taint) for taint in node.shape.hard_taints
        )

    return counts
