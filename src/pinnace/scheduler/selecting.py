"""Turns the selectors of affinity terms and spread constraints into matches on pods. Pure.

Source: Kubernetes v1.36, framework/types.go (AffinityTerm), matchLabelKeys and mismatchLabelKeys of PodAffinityTerm
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pinnace.kube.objects.core_v1 import PodAffinityTerm
from pinnace.kube.selectors import Operator, Requirement, Selector, selector_of
from pinnace.scheduler.facts import PodFacts
from pinnace.scheduler.pod_counts import Match


def with_label_keys(
    selector: Selector, own: Mapping[str, str], same: Iterable[str], other: Iterable[str]
) -> Selector:
    """Return the selector, narrowed to pods with the same values as `own` for some keys and other values for others."""
    if selector.nothing:
        return selector
    more = [Requirement(key, Operator.IN, frozenset((own[key],))) for key in same if key in own]
    more += [Requirement(key, Operator.NOT_IN, frozenset((own[key],))) for key in other if key in own]
    return Selector((*selector.requirements, *more)) if more else selector


def match_of(term: PodAffinityTerm, owner: PodFacts, namespaces: Mapping[str, Mapping[str, str]]) -> Match:
    """Return which pods a term of `owner` speaks of; `namespaces` maps the existing ones to their labels."""
    selector = with_label_keys(
        selector_of(term.label_selector), owner.labels, term.match_label_keys, term.mismatch_label_keys
    )
    return Match(_namespaces_of(term, owner, namespaces), selector)


def _namespaces_of(
    term: PodAffinityTerm, owner: PodFacts, namespaces: Mapping[str, Mapping[str, str]]
) -> frozenset[str] | None:
    if term.namespace_selector is None:
        return frozenset(term.namespaces or (owner.key.namespace,))
    wanted = selector_of(term.namespace_selector)
    if wanted.is_everything:
        return None
    return frozenset(
        (*term.namespaces, *(name for name, labels in namespaces.items() if wanted.matches(labels)))
    )
