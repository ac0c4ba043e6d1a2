"""Keeps pods to the nodes that their selector and required affinity name, and prefers what they prefer.

Source: Kubernetes v1.36, plugins/nodeaffinity
"""

from __future__ import annotations

from functools import lru_cache

from pinnace.kube.objects.core_v1 import NodeSelectorRequirement, NodeSelectorTerm
from pinnace.kube.objects.meta_v1 import LabelSelector, LabelSelectorRequirement
from pinnace.kube.selectors import NOTHING, Selector, selector_of
from pinnace.scheduler.facts import NodeFacts, PodFacts
from pinnace.scheduler.framework import NodePlugin, Rejection, Scale


class NodeAffinity(NodePlugin):
    name = "NodeAffinity"
    weight = 2
    scale = Scale.MORE_IS_BETTER
    _no = Rejection(name, ("node(s) didn't match Pod's node affinity/selector",), resolvable=False)

    def concerns(self, pod: PodFacts) -> bool:
        return bool(pod.node_selector) or pod.node_affinity is not None

    def filter(self, pod: PodFacts, node: NodeFacts) -> Rejection | None:
        return None if matches_required(pod, node) else self._no

    def score(self, pod: PodFacts, node: NodeFacts) -> int:
        """Return the sum of the weights of the preferences that the node satisfies."""
        if pod.node_affinity is None:
            return 0
        return sum(
            preferred.weight
            for preferred in pod.node_affinity.preferred_during_scheduling_ignored_during_execution
            if preferred.weight and _matches_preference(preferred.preference, node)
        )


def matches_required(pod: PodFacts, node: NodeFacts) -> bool:
    """Say whether the node satisfies `nodeSelector` and the required node affinity."""
    labels = node.labels
    for key, value in pod.node_selector.items():
        if labels.get(key) != value:
            return False
    if pod.node_affinity is None:
        return True
    required = pod.node_affinity.required_during_scheduling_ignored_during_execution
    return required is None or any(_matches_term(term, node) for term in required.node_selector_terms)


def _matches_term(term: NodeSelectorTerm, node: NodeFacts) -> bool:
    """Say whether a node satisfies a term; an empty term is satisfied by none."""
    if not term.match_expressions and not term.match_fields:
        return False
    expressions, fields = _compile(term)
    return expressions.matches(node.labels) and fields.matches({"metadata.name": node.name})


def _matches_preference(term: NodeSelectorTerm, node: NodeFacts) -> bool:
    """Say whether a node satisfies a preference; an empty one is satisfied by all."""
    expressions, fields = _compile(term)
    return expressions.matches(node.labels) and fields.matches({"metadata.name": node.name})


@lru_cache(maxsize=4096)
def _compile(term: NodeSelectorTerm) -> tuple[Selector, Selector]:
    try:
        return _to_selector(term.match_expressions), _to_selector(term.match_fields)
    except ValueError:  # validation refuses these; what got past it matches nothing
        return NOTHING, NOTHING


def _to_selector(requirements: tuple[NodeSelectorRequirement, ...]) -> Selector:
    same = tuple(
        LabelSelectorRequirement(key=r.key, operator=r.operator, values=r.values) for r in requirements
    )
    return selector_of(LabelSelector(match_expressions=same))
