"""Checks that lists declared as sets or maps hold no item twice. Pure.

Source: Kubernetes v1.37, apiextensions-apiserver/pkg/apiserver/schema/listtype/validation.go.
"""

from typing import Any

from pinnace.api.custom.values import key_of, token
from pinnace.api.validation.problems import Problems
from pinnace.kube.structural import Structural


def has_unique_lists(schema: Structural) -> bool:
    """Say whether there is a set or a map in or below a schema."""
    if schema.list_type in ("set", "map"):
        return True
    below = (*schema.properties.values(), schema.items, schema.additional)
    return any(isinstance(one, Structural) and has_unique_lists(one) for one in below)


def judge_lists(value: Any, schema: Structural, path: str, problems: Problems) -> None:
    """Add a duplicate for each item that is there before."""
    if isinstance(value, list):
        if schema.list_type == "set":
            _judge_set(value, path, problems)
        elif schema.list_type == "map":
            _judge_map(value, schema, path, problems)
        if schema.items is not None:
            for index, item in enumerate(value):
                judge_lists(item, schema.items, f"{path}[{index}]", problems)
    elif isinstance(value, dict):
        more = schema.additional if isinstance(schema.additional, Structural) else None
        for name, part in value.items():
            if (below := schema.properties.get(name, more)) is not None:
                joined = f"{path}[{name}]" if below is more else f"{path}.{name}" if path else name
                judge_lists(part, below, joined, problems)


def _judge_set(value: list[Any], path: str, problems: Problems) -> None:
    seen: set[Any] = set()
    told: set[Any] = set()
    for index, item in enumerate(value):
        known = token(item)
        if known in seen and known not in told:
            problems.duplicate(f"{path}[{index}]", item)
            told.add(known)
        seen.add(known)


def _judge_map(value: list[Any], schema: Structural, path: str, problems: Problems) -> None:
    seen: set[Any] = set()
    told: set[Any] = set()
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            continue
        known = key_of(item, schema.list_keys)
        if known in seen and known not in told:
            keys = {key: item[key] for key in schema.list_keys if key in item}
            problems.duplicate(f"{path}[{index}]", keys)
            told.add(known)
        seen.add(known)
