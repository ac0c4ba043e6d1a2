"""The syntax tree of a compiled expression, read from the library's own serialization (protobuf).

Called by whoever wants to know what an expression speaks of, before it is evaluated. Never raises for a tree that it
doesn't understand: a node of an unknown form has no parts. Source: github.com/google/cel-spec, proto/cel/expr/checked.proto
and syntax.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_MAX_DEPTH = 200


@dataclass(frozen=True, slots=True)
class Node:
    """One node. `kind` is "const", "ident", "select", "call", "list", "struct", "comprehension" or "".

    `name` is a constant's type, an identifier, a selected field, a function, or a comprehension's variable; `parts` are the
    operand, the target and arguments, the items, or (range, initial value, condition, step, result). `tested` marks a field
    of has(); `accumulator` is a comprehension's.
    """

    id: int
    kind: str = ""
    name: str = ""
    parts: tuple[Node, ...] = ()
    tested: bool = False
    accumulator: str = ""


@dataclass(frozen=True, slots=True)
class Tree:
    """A whole expression; `positions` maps a node's id to its place in the text."""

    root: Node
    positions: dict[int, int] = field(default_factory=dict)


def read_tree(data: bytes) -> Tree:
    """Return the tree of a serialized expression."""
    whole = _last(data)
    checked = _last(whole.get(2, b""))
    positions: dict[int, int] = {}
    for number, value in _fields(checked.get(5, b"")):
        if number == 4 and isinstance(value, bytes):
            pair = _last(value)
            positions[int(pair.get(1, 0))] = int(pair.get(2, 0))
    return Tree(_read(checked.get(4, b""), 0), positions)


_CONSTANTS = {1: "null", 2: "bool", 3: "int", 4: "uint", 5: "double", 6: "string", 7: "bytes"}


def _read(data: Any, depth: int) -> Node:
    if not isinstance(data, bytes) or depth > _MAX_DEPTH:
        return Node(0)
    known = _last(data)
    number = int(known.get(2, 0))
    below = depth + 1
    if isinstance(part := known.get(3), bytes):
        return Node(number, "const", next((_CONSTANTS.get(n, "") for n, _ in _fields(part)), "null"))
    if isinstance(part := known.get(4), bytes):
        return Node(number, "ident", _text(_last(part).get(1)))
    if isinstance(part := known.get(5), bytes):
        said = _last(part)
        return Node(number, "select", _text(said.get(2)), (_read(said.get(1), below),), bool(said.get(3)))
    if isinstance(part := known.get(6), bytes):
        pairs = list(_fields(part))
        parts = tuple(_read(value, below) for n, value in pairs if n in (1, 3))
        return Node(number, "call", _text(dict(pairs).get(2)), parts)
    if isinstance(part := known.get(7), bytes):
        return Node(number, "list", "", tuple(_read(value, below) for n, value in _fields(part) if n == 1))
    if isinstance(part := known.get(8), bytes):
        entries = [_last(value) for n, value in _fields(part) if n == 2 and isinstance(value, bytes)]
        parts = tuple(_read(entry[n], below) for entry in entries for n in (3, 4) if n in entry)
        return Node(number, "struct", "", parts)
    if isinstance(part := known.get(9), bytes):
        said = _last(part)
        parts = tuple(_read(said.get(n), below) for n in (2, 4, 5, 6, 7))
        return Node(number, "comprehension", _text(said.get(1)), parts, accumulator=_text(said.get(3)))
    return Node(number)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else ""


def _last(data: Any) -> dict[int, Any]:
    """Return a message's fields, the last of each number."""
    return dict(_fields(data)) if isinstance(data, bytes) else {}


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value: Any
            value, at = _varint(data, at)
        elif wire == 2:
            size, at = _varint(data, at)
            value, at = data[at : at + size], at + size
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            value, at = data[at : at + size], at + size
        else:
            return
        yield number, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        result |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    return result, at
