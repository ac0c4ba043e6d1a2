"""Finds the line of a field in a manifest, for errors. Pure; runs only after something has failed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pinnace.base.errors import ApiError

_PART = re.compile(r"([^.\[\]]+)|\[([^\]]*)\]")
_UNKNOWN = re.compile(r'(?:unknown|duplicate) field "([^"]+)"')


def find_fields(error: ApiError) -> list[str]:
    """Return the paths of the fields that an error names, in its order."""
    named = [cause.field for cause in error.causes if cause.field]
    return list(dict.fromkeys(named or _UNKNOWN.findall(error.message)))


def find_line(text: bytes | str, start: int, path: str, name: str = "") -> int:
    """Return the line of a field, or of the nearest part of its path that there is; `start` is the document's line.

    Shape: lines count from 1. In a List, `name` says which object is meant.
    Example: "spec.containers[0].image" → the line of `image:` in the first container.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    node: Any = next((n for n in yaml.compose_all(text, Loader=loader) if n and _line(n) == start), None)
    if node is None:
        return start
    node = _find_object(node, name)
    line = _line(node)
    for key, index in _PART.findall(path):
        found = _step(node, key or index)
        if found is None:
            return line
        line, node = found
    return line


def _step(node: Any, key: str) -> tuple[int, Any] | None:
    """Return the line and the value of one part of a path."""
    if node.id == "mapping":
        for name, value in node.value:
            if name.value == key:
                return _line(name), value
    elif node.id == "sequence" and key.isdigit() and int(key) < len(node.value):
        item = node.value[int(key)]
        return _line(item), item
    return None


def _find_object(node: Any, name: str) -> Any:
    items = _step(node, "items")
    for item in items[1].value if items and items[1].id == "sequence" else ():
        metadata = _step(item, "metadata")
        own = _step(metadata[1], "name") if metadata else None
        if own and own[1].value == name:
            return item
    return node


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def render_places(source: str, text: bytes, start: int, name: str, fields: Iterable[str]) -> str:
    """Return FILE:LINE for each field, one a line; FILE:LINE of the object when there are none."""
    places = [f"{source}:{find_line(text, start, field, name)}: {field}" for field in fields]
    return "\n  ".join(places) or f"{source}:{find_line(text, start, '', name)}"
