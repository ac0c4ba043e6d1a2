"""Tells the items of a list apart: by the keys of their type, or by their value. Pure.

Source: structured-merge-diff v6, typed/helpers.go, listItemToPathElement
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Items
from functools import lru_cache
from typing import Any

from pinnace.api.apply.sets import item_step, value_step
from pinnace.api.apply.types import MAP, Sequence


class BadItem(ValueError):
    """An item that can't be told from others; the message says why."""


def step_of(item: Any, of: Sequence) -> str:
    """Return the step to an item of a set or of a list with keys. Raises: BadItem."""
    if of.relation != MAP:
        return _value_step(item)
    if item is None:
        raise BadItem("associative list with keys may not have a null element")
    if not isinstance(item, dict):
        raise BadItem("associative list with keys may not have non-map elements")
    if len(of.keys) == 1:
        (key,) = of.keys
        value = item.get(key)
        if type(value) is str:
            return _named(key, value)
    found = {
        key: item[key] if key in item else of.defaults[key]
        for key in sorted(of.keys)
        if key in item or key in of.defaults
    }
    if not found:
        names = " ".join(f'"{key}"' for key in of.keys)
        raise BadItem(
            f"associative list with keys has an element that omits all key fields [{names}]"
            " (and doesn't have default values for any key fields)"
        )
    return _of_two(*found.items()) if len(found) == 2 and _are_plain(found.values()) else item_step(found)


@lru_cache(maxsize=8192)
def _named(key: str, value: str) -> str:
    return item_step({key: value})


def _are_plain(values: Iterable[Any]) -> bool:
    return all(type(value) in (str, int) for value in values)


@lru_cache(maxsize=8192)
def _of_two(one: tuple[str, Any], other: tuple[str, Any]) -> str:
    return item_step(dict((one, other)))


def _value_step(item: Any) -> str:
    if isinstance(item, dict):
        raise BadItem("associative list without keys has an element that's a map type")
    if isinstance(item, list):
        raise BadItem("not supported: associative list with lists as elements")
    if item is None:
        raise BadItem("associative list without keys has an element that's an explicit null")
    return value_step(item)


def index(items: Items[Any], of: Sequence) -> dict[str, list[Any]]:
    """Return step -> its items, in order; more than one only where a list has doubles. Raises: BadItem."""
    found: dict[str, list[Any]] = {}
    for item in items:
        found.setdefault(step_of(item, of), []).append(item)
    return found
