"""Sets of field paths, in the very form in which `fieldsV1` keeps them: nested objects with a step on each level.

A step is "f:NAME" for a field, 'k:{"name":"a"}' for an item of a list with keys, "v:1" for an item of a set. An empty
object is a member; one with parts is a member only if "." is among them. A whole set that is empty has no members.
Pure; a set that was made or read is never changed, so that parts may be shared.
Source: structured-merge-diff v6, fieldpath/set.go, serialize.go, serialize-pe.go
Invariant: parse(render(fields)) == fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

Fields = dict[str, Any]
Path = tuple[str, ...]

SELF: Final = "."
NOTHING: Final[Fields] = {}

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def is_member(node: Fields) -> bool:
    """Say whether a node below the root is itself in the set."""
    return not node or SELF in node


# ---------------------------------------------------------------------------------------------------- algebra


def union(one: Fields, other: Fields) -> Fields:
    """Return what is in any of the two."""
    if not one or not other:
        return one or other
    return _union(one, other)


def _union(one: Fields, other: Fields) -> Fields:
    if one is other:
        return one
    if not one or not other:
        node = one or other
        return node if is_member(node) else {SELF: NOTHING, **node}
    merged = dict(one)
    for step, below in other.items():
        mine = merged.get(step)
        merged[step] = below if mine is None else _union(mine, below)
    return merged


def intersection(one: Fields, other: Fields) -> Fields:
    """Return what is in both."""
    return (_intersection(one, other) or NOTHING) if one and other else NOTHING


def _intersection(one: Fields, other: Fields) -> Fields | None:
    if not one or not other:
        return NOTHING if is_member(one) and is_member(other) else None
    common: Fields = {}
    for step, below in one.items():
        theirs = other.get(step)
        if theirs is not None and (both := _intersection(below, theirs)) is not None:
            common[step] = both
    return _node(common)


def difference(one: Fields, other: Fields) -> Fields:
    """Return what is in the first only; what takes a field away leaves the fields below it."""
    return (_difference(one, other) or NOTHING) if one and other else one


def _difference(one: Fields, other: Fields) -> Fields | None:
    if not one:
        return None if is_member(other) else one
    left: Fields = {}
    for step, below in one.items():
        theirs = other.get(step) if other else (NOTHING if step == SELF else None)
        if theirs is None:
            left[step] = below
        elif (rest := _difference(below, theirs)) is not None:
            left[step] = rest
    return _node(left)


def _node(parts: Fields) -> Fields | None:
    """Return parts as a node: None for no member at all, empty for itself only."""
    if not parts:
        return None
    return NOTHING if len(parts) == 1 and SELF in parts else parts


def without(fields: Fields, path: Path) -> Fields:
    """Return the set without a field and everything below it."""
    step, rest = path[0], path[1:]
    if step not in fields:
        return fields
    left = dict(fields)
    below = without(left[step], rest) if rest else None
    if not below:
        del left[step]
    else:
        left[step] = below
    return left


def only(fields: Fields, steps: frozenset[str]) -> Fields:
    """Return what stands below some of the first steps."""
    return {step: below for step, below in fields.items() if step in steps}


def has(fields: Fields, path: Path) -> bool:
    """Say whether a path is in the set."""
    node: Fields | None = fields
    for step in path:
        node = node.get(step) if node else None
        if node is None:
            return False
    return bool(path) and node is not None and is_member(node)


def from_paths(paths: Iterator[Path] | list[Path]) -> Fields:
    """Return the set of these paths."""
    fields: Fields = {}
    for path in paths:
        one: Fields = {}
        for step in reversed(path):
            one = {step: one}
        fields = union(fields, one)
    return fields


def paths(fields: Fields) -> Iterator[Path]:
    """Return all members: on each level first those that stand there, in order, then what is below them."""
    return _paths(fields, ())


def _paths(fields: Fields, path: Path) -> Iterator[Path]:
    steps = _in_order(fields)
    for step in steps:
        if step != SELF and is_member(fields[step]):
            yield (*path, step)
    for step in steps:
        if step != SELF and fields[step]:
            yield from _paths(fields[step], (*path, step))


# ---------------------------------------------------------------------------------------------------- steps


def item_step(keys: dict[str, Any]) -> str:
    """Return the step to the item that has these keys, which are in alphabetical order."""
    return f"k:{_escaped(keys)}"


def value_step(value: Any) -> str:
    """Return the step to a value of a set."""
    return f"v:{_escaped(value)}"


def _escaped(value: Any) -> str:
    text = _encode(value).decode()
    if "<" in text or ">" in text or "&" in text:  # as Go's encoding/json does
        text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return text


def render_path(path: Path) -> str:
    """Return a path as errors show it. Example: .spec.template.spec.containers[name="a"].image"""
    return "".join(map(render_step, path))


def render_step(step: str) -> str:
    """Return one step as errors show it."""
    kind, rest = step[:2], step[2:]
    if kind == "f:":
        return f".{rest}"
    if kind == "k:":
        return "[" + ",".join(f"{key}={_show(value)}" for key, value in _decode(rest).items()) + "]"
    return f"[={_show(_decode(rest))}]" if kind == "v:" else f"[{rest}]"


def _show(value: Any) -> str:
    # Source: structured-merge-diff v6, value/value.go, ToString: strings as Go's %q.
    return _encode(value).decode()


_KINDS: Final = {"f": 0, "k": 1, "v": 2, "i": 3}


def _in_order(fields: Fields) -> list[str]:
    for step in fields:
        if step[0] != "f" and step != SELF:
            return sorted(fields, key=_rank)
    return sorted(fields)


def _rank(step: str) -> tuple[Any, ...]:
    kind, rest = step[:1], step[2:]
    if kind == "k":
        return (1, [(name, *_rank_value(value)) for name, value in _decode(rest).items()])
    if kind == "v":
        return (2, _rank_value(_decode(rest)))
    return (3, int(rest)) if kind == "i" else (-1 if step == SELF else 0, rest)


def _rank_value(value: Any) -> tuple[int, Any]:
    if isinstance(value, bool):
        return (2, value)
    if isinstance(value, int | float):
        return (0, value)
    return (1, value) if isinstance(value, str) else (3, _escaped(value))


# ---------------------------------------------------------------------------------------------------- wire


def render(fields: Fields) -> bytes:
    """Return a set as `fieldsV1`, its steps in order."""
    return _encode(_ordered(fields))


def _ordered(fields: Fields) -> Fields:
    if len(fields) == 1:
        ((step, below),) = fields.items()
        return {step: _ordered(below) if below else below}
    return {step: _ordered(fields[step]) if fields[step] else NOTHING for step in _in_order(fields)}


REMEMBERED = 4096
REMEMBERED_BYTES = 16_384  # sets of very large documents are rare, and would fill the memory
_parsed: dict[bytes, Fields] = {}


def parse(raw: bytes) -> Fields:
    """Return the set that a `fieldsV1` document holds. Raises: ValueError for what is none."""
    known = _parsed.get(raw)
    if known is not None:
        return known
    try:
        fields = _read(_decode(raw) if raw else NOTHING)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"fieldsV1: {error}") from None
    if len(raw) <= REMEMBERED_BYTES:
        if len(_parsed) >= REMEMBERED:
            _parsed.pop(next(iter(_parsed)))
        _parsed[raw] = fields
    return fields


def _read(value: Any) -> Fields:
    if not isinstance(value, dict):
        raise ValueError("fieldsV1: not an object")
    fields: Fields = {}
    for step, below in value.items():
        known = _canonical(step)
        if known is None:
            continue
        node = _read(below)
        fields[known] = NOTHING if len(node) == 1 and SELF in node else node
    return fields


def _canonical(step: str) -> str | None:
    """Return a step in the form in which we write it, None for one of a later version. Raises: ValueError."""
    if step == SELF or step[:2] == "f:":
        return step
    if step[1:2] != ":":
        raise ValueError(f"fieldsV1: {step!r} is no step")
    if step[0] == "k":
        keys = _decode(step[2:].encode())
        if not isinstance(keys, dict):
            raise ValueError(f"fieldsV1: {step!r} has no keys")
        return item_step(dict(sorted(keys.items())))
    if step[0] == "v":
        return value_step(_decode(step[2:].encode()))
    return step if step[0] == "i" and step[2:].isdigit() else None
