"""CEL's functions on lists and sets. Pure. Source: Kubernetes v1.37, apiserver/pkg/cel/library/lists.go; ext/sets.go."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any


def _less(one: Any, other: Any) -> bool:
    try:
        return bool(one < other)
    except TypeError:
        raise ValueError("no such overload") from None


def is_sorted(items: Sequence[Any]) -> bool:
    return not any(_less(later, earlier) for earlier, later in pairwise(items))


def sum_of(items: Sequence[Any]) -> Any:
    if not items:
        return 0
    if not all(isinstance(item, int | float | timedelta) and not isinstance(item, bool) for item in items):
        raise ValueError("no such overload")
    return sum(items, start=timedelta()) if isinstance(items[0], timedelta) else sum(items)


def min_of(items: Sequence[Any]) -> Any:
    return _extreme(items, "min", lambda one, other: _less(one, other))


def max_of(items: Sequence[Any]) -> Any:
    return _extreme(items, "max", lambda one, other: _less(other, one))


def _extreme(items: Sequence[Any], name: str, better: Any) -> Any:
    if not items:
        raise ValueError(f"{name} called on empty list")
    found = items[0]
    for item in items[1:]:
        if better(item, found):
            found = item
    return found


def same(one: Any, other: Any) -> bool:
    """CEL's equality: numbers of any type by value, and true is not 1."""
    if isinstance(one, bool) is not isinstance(other, bool):
        return False
    return bool(one == other)


def index_of(items: Sequence[Any], wanted: Any) -> int:
    return next((at for at, item in enumerate(items) if same(item, wanted)), -1)


def last_index_of(items: Sequence[Any], wanted: Any) -> int:
    return next((at for at in range(len(items) - 1, -1, -1) if same(items[at], wanted)), -1)


def contains(items: Sequence[Any], wanted: Sequence[Any]) -> bool:
    return all(any(same(one, item) for item in items) for one in wanted)


def equivalent(items: Sequence[Any], others: Sequence[Any]) -> bool:
    return contains(items, others) and contains(others, items)


def intersects(items: Sequence[Any], others: Sequence[Any]) -> bool:
    return any(same(one, item) for one in others for item in items)
