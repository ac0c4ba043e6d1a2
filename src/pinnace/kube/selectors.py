"""Selectors: predicates over labels, fields and nodes. The place where others import them from.

Pure. Used by lists and watches, controllers, Services and the scheduler. Texts are parsed in `selector_text` and
`field_selectors`, what a predicate is stands in `requirements`; here are those that come from structs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pinnace.kube.field_selectors import (
    FieldRequirement,
    FieldSelector,
    check_fields,
    fields_of,
    parse_fields,
    translate_fields,
)
from pinnace.kube.requirements import EVERYTHING, NOTHING, Operator, Requirement, Selector
from pinnace.kube.selector_text import check_label_key, parse_labels

if TYPE_CHECKING:
    from pinnace.kube.objects import core_v1, meta_v1

__all__ = [
    "EVERYTHING",
    "NOTHING",
    "FieldRequirement",
    "FieldSelector",
    "Operator",
    "Requirement",
    "Selector",
    "check_fields",
    "check_label_key",
    "fields_of",
    "node_selector_matches",
    "node_term_matches",
    "parse_fields",
    "parse_labels",
    "selector_of",
    "selector_of_map",
    "translate_fields",
]

_STRUCT_OPERATORS = {
    "In": Operator.IN,
    "NotIn": Operator.NOT_IN,
    "Exists": Operator.EXISTS,
    "DoesNotExist": Operator.DOES_NOT_EXIST,
    "Gt": Operator.GREATER,
    "Lt": Operator.LESS,
}


def selector_of(selector: meta_v1.LabelSelector | None) -> Selector:
    """Return the predicate of a workload's selector: an absent one selects nothing, an empty one everything.

    Raises: ValueError for an operator or values that validation refuses.
    """
    if selector is None:
        return NOTHING
    equal = [Requirement(k, Operator.EQUALS, frozenset((v,))) for k, v in selector.match_labels.items()]
    return Selector(
        [*equal, *(_requirement_of(r.key, r.operator, r.values) for r in selector.match_expressions)]
    )


def selector_of_map(labels: Mapping[str, str]) -> Selector:
    """Return the predicate of a plain map, as a Service has it; an empty map selects nothing."""
    if not labels:
        return NOTHING
    return Selector(Requirement(k, Operator.EQUALS, frozenset((v,))) for k, v in labels.items())


def _requirement_of(key: str, operator: str, values: Iterable[str]) -> Requirement:
    known = _STRUCT_OPERATORS.get(operator)
    if known is None:
        raise ValueError(f'"{operator}" is not a valid label selector operator')
    found = frozenset(values)
    if known in (Operator.IN, Operator.NOT_IN) and not found:
        raise ValueError("for 'in', 'notin' operators, values set can't be empty")
    if known in (Operator.GREATER, Operator.LESS) and len(found) != 1:
        raise ValueError("for 'Gt', 'Lt' operators, exactly one value is required")
    return Requirement(key, known, found)


def node_term_matches(term: core_v1.NodeSelectorTerm, labels: Mapping[str, str], name: str) -> bool:
    """Say whether a node satisfies one term; an empty term is satisfied by none.

    Source: component-helpers/scheduling/corev1/nodeaffinity; matchFields knows metadata.name only.
    """
    if not term.match_expressions and not term.match_fields:
        return False
    try:
        expressions = [_requirement_of(r.key, r.operator, r.values) for r in term.match_expressions]
        fields = [_requirement_of(r.key, r.operator, r.values) for r in term.match_fields]
    except ValueError:
        return False
    own = {"metadata.name": name}
    return all(r.matches(labels) for r in expressions) and all(r.matches(own) for r in fields)


def node_selector_matches(selector: core_v1.NodeSelector, labels: Mapping[str, str], name: str) -> bool:
    """Say whether a node satisfies any of the terms."""
    return any(node_term_matches(term, labels, name) for term in selector.node_selector_terms)
