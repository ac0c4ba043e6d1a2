"""What values are in a Go template: their truth, their text, their fields, and the functions that templates may call. Pure.

Source: Go 1.22, text/template (IsTrue, index, eq …) and fmt (%v); docker/cli, templates/templates.go (json, join, …).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any


class TemplateError(Exception):
    """A template asks for something that isn't there."""


class _Missing:
    """What `index` finds where nothing is."""


MISSING = _Missing()


def look_up(value: Any, key: str) -> Any:
    """Return a field. Raises: TemplateError, in Go's words."""
    if isinstance(value, Mapping):
        if key in value:
            return value[key]
        raise TemplateError(f"map has no entry for key {json.dumps(key)}")
    if value is None or value is MISSING:
        raise TemplateError(f"nil data; no entry for key {json.dumps(key)}")
    raise TemplateError(f"can't evaluate field {key} in {type(value).__name__} {show(value)[:40]}")


def show(value: Any) -> str:
    """Return a value as Go's %v prints it. Example: {"a": [1, 2]} is "map[a:[1 2]]"."""
    if value is None or value is MISSING:
        return "<no value>"
    return _inner(value)


def _inner(value: Any) -> str:
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case Mapping():
            return "map[" + " ".join(f"{_inner(key)}:{_inner(value[key])}" for key in sorted(value)) + "]"
        case list() | tuple():
            return "[" + " ".join(map(_inner, value)) + "]"
        case float() if value.is_integer():
            return str(int(value))
    return str(value)


def is_true(value: Any) -> bool:
    """Say whether a value counts as true: not false, zero, nil or empty."""
    return value is not MISSING and bool(value)


def render_json(value: Any) -> str:
    """Return a value as Go's encoder writes it: tight, <, > and & escaped."""
    text = json.dumps(None if value is MISSING else value, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key, MISSING)
        elif isinstance(value, (list, tuple, str)):
            if not isinstance(key, int) or not 0 <= key < len(value):
                raise TemplateError(f"error calling index: index out of range: {show(key)}")
            value = value[key]
        else:
            raise TemplateError("error calling index: index of untyped nil")
    return value


def _compare(test: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    def compare(left: Any, *right: Any) -> bool:
        try:
            return any(test(left, one) for one in right)
        except TypeError:
            raise TemplateError("incompatible types for comparison") from None

    return compare


def _first(want: bool) -> Callable[..., Any]:
    def choose(*values: Any) -> Any:
        return next((value for value in values if is_true(value) is want), values[-1] if values else None)

    return choose


def _truncate(text: str, length: int) -> str:
    return text[:length]


def _length(value: Any) -> int:
    try:
        return len(value)
    except TypeError:
        raise TemplateError(f"error calling len: len of type {type(value).__name__}") from None


def _checked(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*given: Any) -> Any:
        try:
            return function(*given)
        except (TypeError, AttributeError, ValueError) as error:
            raise TemplateError(f"error calling {name}: {error}") from None

    return call


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "json": render_json,
    "index": _index,
    "join": lambda values, by="": by.join(map(show, values or ())),
    "split": lambda text, by: text.split(by),
    "lower": lambda text: text.lower(),
    "upper": lambda text: text.upper(),
    "title": lambda text: text.title(),
    "truncate": _truncate,
    "pad": lambda text, before, after: " " * before + text + " " * after if text else text,
    "println": lambda *values: " ".join(map(show, values)) + "\n",
    "print": lambda *values: "".join(map(show, values)),
    "printf": lambda form, *values: form.replace("%v", "%s").replace("%q", '"%s"') % values,
    "len": _length,
    "not": lambda value: not is_true(value),
    "and": _first(False),
    "or": _first(True),
    "eq": _compare(lambda a, b: a == b),
    "ne": _compare(lambda a, b: a != b),
    "lt": _compare(lambda a, b: a < b),
    "le": _compare(lambda a, b: a <= b),
    "gt": _compare(lambda a, b: a > b),
    "ge": _compare(lambda a, b: a >= b),
    "slice": lambda value, start=0, end=None: value[start:end],
}
FUNCTIONS = {name: _checked(name, function) for name, function in _FUNCTIONS.items()}
