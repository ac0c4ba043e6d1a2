"""JSON paths, as printer columns write them: `.spec.a`, `.status.conditions[?(@.type=="Ready")].status`. Pure.

Source: Kubernetes v1.37, client-go/util/jsonpath (parser.go); what columns use of it: fields, indexes, slices, wildcards,
unions of names, filters that compare with a literal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

Step = Callable[[Any], Iterator[Any]]

_FIELD = re.compile(r"((?:\\.|[^.\[\]\s\\])+)")
_FILTER = re.compile(r"\?\(\s*@(?P<path>[^=!<>]*?)\s*(?P<sign>==|!=|<=|>=|<|>)\s*(?P<value>.+?)\s*\)")
_EXISTS = re.compile(r"\?\(\s*@(?P<path>[^=!<>]*?)\s*\)")
_SLICE = re.compile(r"(-?\d*):(-?\d*)(?::(\d+))?")


class JsonPathError(ValueError):
    """A path that can't be read."""


@lru_cache(maxsize=1024)
def parse_path(text: str) -> tuple[Step, ...]:
    """Return a path's steps. Raises: JsonPathError."""
    rest = text.strip()
    if rest.startswith("{") and rest.endswith("}"):
        rest = rest[1:-1].strip()
    rest = rest.removeprefix("$")
    steps: list[Step] = []
    while rest:
        if rest.startswith(".."):
            raise JsonPathError(f"recursive descent is not supported in {text!r}")
        if rest.startswith("["):
            end = _closing(rest, text)
            steps.append(_bracket(rest[1:end].strip(), text))
            rest = rest[end + 1 :]
            continue
        rest = rest.removeprefix(".")
        if not rest:
            break
        if rest.startswith("["):
            continue
        match = _FIELD.match(rest)
        if match is None:
            raise JsonPathError(f"unexpected {rest[:1]!r} in {text!r}")
        name = re.sub(r"\\(.)", r"\1", match.group(1))
        steps.append(_all_of if name == "*" else _field(name))
        rest = rest[match.end() :]
    return tuple(steps)


def find(text: str, value: Any) -> list[Any]:
    """Return what a path leads to, in the order of the document; empty if nothing is there. Raises: JsonPathError."""
    found: Iterable[Any] = [value]
    for step in parse_path(text):
        found = [part for one in found for part in step(one)]
    return list(found)


def _closing(rest: str, text: str) -> int:
    depth, quote = 0, ""
    for at, letter in enumerate(rest):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "[(":
            depth += 1
        elif letter in "])":
            depth -= 1
            if not depth:
                return at
    raise JsonPathError(f"unterminated array in {text!r}")


def _bracket(inner: str, text: str) -> Step:
    if inner == "*":
        return _all_of
    if match := _FILTER.fullmatch(inner):
        return _filter(match["path"], match["sign"], _literal(match["value"], text))
    if match := _EXISTS.fullmatch(inner):
        return _filter(match["path"], "", None)
    if match := _SLICE.fullmatch(inner):
        start, stop, step = (int(part) if part else None for part in match.groups())
        return lambda value: iter(value[start:stop:step] if isinstance(value, list) else ())
    if re.fullmatch(r"-?\d+", inner):
        return _index(int(inner))
    names = [part.strip() for part in inner.split(",")]
    if all(part[:1] in "'\"" and part[-1:] == part[:1] and len(part) > 1 for part in names):
        fields = [_field(part[1:-1]) for part in names]
        return lambda value: (found for field in fields for found in field(value))
    raise JsonPathError(f"invalid array index {inner} in {text!r}")


def _literal(text: str, whole: str) -> Any:
    if text[:1] == "'" and text[-1:] == "'":
        return text[1:-1]
    try:
        return json.loads(text)
    except ValueError:
        raise JsonPathError(f"unrecognized value {text} in {whole!r}") from None


def _field(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _index(at: int) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= at < len(value):
            yield value[at]

    return step


def _all_of(value: Any) -> Iterator[Any]:
    yield from value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()


_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda one, other: one == other,
    "!=": lambda one, other: one != other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}


def _filter(path: str, sign: str, wanted: Any) -> Step:
    steps = parse_path(path)

    def holds(item: Any) -> bool:
        found: list[Any] = [item]
        for step in steps:
            found = [part for one in found for part in step(one)]
        if not found or not sign:
            return bool(found)
        try:
            return _SIGNS[sign](found[0], wanted)
        except TypeError:
            return False

    return lambda value: (item for item in (value if isinstance(value, list) else ()) if holds(item))
