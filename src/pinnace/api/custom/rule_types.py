"""Checks a rule against the schema that it stands at: fields that there aren't, values that can't be compared.

Pure; called when a definition is created or changed. The library compiles rules without knowing schemas, so this walks the
syntax tree with them. What can't be told has no type, and is let be: it is found when the rule is evaluated.
Source: Kubernetes v1.37, apiextensions-apiserver/pkg/apiserver/schema/cel/compilation_test.go; cel-go's checker for words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pinnace.api.cel.names import escape_name
from pinnace.api.cel.tree import Node, Tree
from pinnace.kube.structural import Structural, compile_structural

# What a value is known to be: a schema, the name of a scalar, or nothing that can be told.
Type = Structural | str | None

_SCALARS = {"string": "string", "integer": "int", "number": "double", "boolean": "bool"}
_COMPARED = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"})
_NUMBERS = frozenset({"int", "uint", "double"})
_LIKE_STRINGS = ("", "password")  # other formats may be more than text in an expression

_NAME = {"type": "string"}
_HEADER = {
    "apiVersion": compile_structural(_NAME),
    "kind": compile_structural(_NAME),
    "metadata": compile_structural({"type": "object", "properties": {"name": _NAME, "generateName": _NAME}}),
}


def find_type_fault(tree: Tree, text: str, schema: Structural, *, root: bool) -> str:
    """Return what is wrong with a rule at a schema, "" if nothing is; `root` for the schema of a whole object."""
    checker = _Checker(root_schema(schema) if root or schema.embedded else schema)
    checker.type_of(tree.root, {"self": checker.schema, "oldSelf": checker.schema})
    if checker.fault is None:
        return ""
    node, why = checker.fault
    return f"compilation failed: {_render(text, tree.positions.get(node.id, 0), why)}"


def root_schema(schema: Structural) -> Structural:
    """Return a schema with the fields that every whole object has."""
    return replace(schema, properties={**schema.properties, **_HEADER})


def _render(text: str, at: int, why: str) -> str:
    line = text.count("\n", 0, at) + 1
    start = text.rfind("\n", 0, at) + 1
    shown = text[start:].partition("\n")[0]
    column = at - start
    return f"ERROR: <input>:{line}:{column + 1}: {why}\n | {shown}\n | {'.' * column}^"


class _Checker:
    """Walks one tree, and keeps the first fault."""

    def __init__(self, schema: Structural) -> None:
        self.schema = schema
        self.fault: tuple[Node, str] | None = None

    def _tell(self, node: Node, why: str) -> None:
        self.fault = self.fault or (node, why)

    def type_of(self, node: Node, names: Mapping[str, Type]) -> Type:
        """Return what a node's value is known to be."""
        match node.kind:
            case "ident":
                return names.get(node.name)
            case "const":
                return node.name or None
            case "select":
                found = self._select(node, self.type_of(node.parts[0], names))
                return "bool" if node.tested else found
            case "call":
                return self._call(node, [self.type_of(part, names) for part in node.parts])
            case "comprehension":
                return self._comprehend(node, names)
        for part in node.parts:
            self.type_of(part, names)
        return None

    def _select(self, node: Node, operand: Type) -> Type:
        if operand is None:
            return None
        if isinstance(operand, str):
            self._tell(node, f"type '{operand}' does not support field selection")
            return None
        if isinstance(operand.additional, Structural) and not operand.properties:
            return simplify(operand.additional)
        for name, below in operand.properties.items():
            if escape_name(name) == node.name:
                return simplify(below)
        if operand.type == "object" and operand.additional is None and not operand.preserve:
            self._tell(node, f"undefined field '{node.name}'")
        return None

    def _call(self, node: Node, types: list[Type]) -> Type:
        if node.name in _COMPARED and len(types) == 2:
            self._compare(node, *types)
            return "bool"
        if node.name == "_[_]" and isinstance(types[0], Structural):
            held = types[0]
            below = held.items if held.type == "array" else held.additional
            return simplify(below) if isinstance(below, Structural) else None
        return "bool" if node.name in ("_&&_", "_||_", "!_", "@in") else None

    def _compare(self, node: Node, one: Type, other: Type) -> None:
        if not isinstance(one, str) or not isinstance(other, str) or "null" in (one, other):
            return
        if one == other or (one in _NUMBERS and other in _NUMBERS and node.name not in ("_==_", "_!=_")):
            return
        if one in _NUMBERS and other in _NUMBERS and "uint" in (one, other):
            return
        self._tell(node, f"found no matching overload for '{node.name}' applied to '({one}, {other})'")

    def _comprehend(self, node: Node, names: Mapping[str, Type]) -> Type:
        range_, initial, condition, step, result = node.parts
        over = self.type_of(range_, names)
        item: Type = None
        if isinstance(over, Structural):
            item = (
                simplify(over.items)
                if over.items is not None
                else "string"
                if over.type == "object"
                else None
            )
        self.type_of(initial, names)
        inner = {**names, node.name: item, node.accumulator: None}
        for part in (condition, step, result):
            self.type_of(part, inner)
        return None


def simplify(schema: Structural) -> Type:
    """Return a scalar's name, a schema with parts, or None where a value may be of several types."""
    if schema.int_or_string or schema.nullable:
        return None if schema.type in ("", *_SCALARS) else schema
    if schema.type == "string" and schema.raw.get("format", "") not in _LIKE_STRINGS:
        return None
    if schema.type in _SCALARS:
        return _SCALARS[schema.type]
    if schema.embedded:
        return root_schema(schema)
    return schema if schema.type in ("object", "array") else None
