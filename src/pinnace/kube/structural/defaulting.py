"""Fills in the defaults of a structural schema. Pure: returns the same value where nothing is missing.

Source: Kubernetes v1.37, apiextensions-apiserver/pkg/apiserver/schema/defaulting/algorithm.go and prune nulls
(defaulting/prune.go): a null that is not allowed gives way to a default.
"""

from __future__ import annotations

import copy
from typing import Any

from pinnace.kube.structural.schema import ABSENT, Structural


def default(value: Any, schema: Structural) -> Any:
    """Return the value with its defaults."""
    if not schema.has_defaults:
        return value
    if isinstance(value, dict):
        return _default_map(value, schema)
    if isinstance(value, list) and schema.items is not None and schema.items.has_defaults:
        items = schema.items
        filled = [_filled(part, items) for part in value]
        return value if all(one is other for one, other in zip(value, filled, strict=True)) else filled
    return value


def _default_map(value: dict[str, Any], schema: Structural) -> dict[str, Any]:
    filled = value
    for name, below in schema.properties.items():
        if not below.has_defaults:
            continue
        part = value.get(name, ABSENT)
        if part is ABSENT or (part is None and not below.nullable and below.default is not ABSENT):
            if below.default is ABSENT:
                continue
            after = default(copy.deepcopy(below.default), below)
        else:
            after = default(part, below)
        if after is not part:
            if filled is value:
                filled = dict(value)
            filled[name] = after
    more = schema.additional
    if isinstance(more, Structural) and more.has_defaults:
        for name, part in value.items():
            if name in schema.properties:
                continue
            after = _filled(part, more)
            if after is not part:
                if filled is value:
                    filled = dict(value)
                filled[name] = after
    return filled


def _filled(part: Any, schema: Structural) -> Any:
    """Return an item or a map's value: a null that may not be gives way to the default."""
    if part is None and not schema.nullable and schema.default is not ABSENT:
        return default(copy.deepcopy(schema.default), schema)
    return default(part, schema)
