"""Takes out of plain JSON values what a structural schema doesn't know. Pure: returns the same value where nothing goes.

Source: Kubernetes v1.37, apiextensions-apiserver/pkg/apiserver/schema/pruning/algorithm.go
"""

from __future__ import annotations

from typing import Any

from pinnace.kube.structural.schema import Structural

_ROOT_FIELDS = frozenset({"apiVersion", "kind", "metadata"})


def prune(value: Any, schema: Structural, *, root: bool = False) -> Any:
    """Return the value without unknown fields; `root` for a whole object or a body, whose header always stays."""
    return _prune(value, schema, root or schema.embedded)


def _prune(value: Any, schema: Structural, whole: bool) -> Any:
    if isinstance(value, dict):
        return _prune_map(value, schema, whole)
    if isinstance(value, list) and schema.items is not None:
        items = schema.items
        pruned = [_prune(part, items, items.embedded) for part in value]
        return value if all(one is other for one, other in zip(value, pruned, strict=True)) else pruned
    return value


def _prune_map(value: dict[str, Any], schema: Structural, whole: bool) -> dict[str, Any]:
    properties, additional = schema.properties, schema.additional
    pruned: dict[str, Any] = {}
    same = True
    for name, part in value.items():
        if whole and name in _ROOT_FIELDS:
            pruned[name] = part
            continue
        below = properties.get(name)
        if below is None and isinstance(additional, Structural):
            below = additional
        if below is not None:
            kept = _prune(part, below, below.embedded)
            same = same and kept is part
            pruned[name] = kept
        elif additional is True or schema.preserve:
            pruned[name] = part
        else:
            same = False
    return value if same else pruned
