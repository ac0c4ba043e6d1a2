"""Takes fields out of a document, and finds the named fields around those of a set. Pure.

Source: structured-merge-diff v6, typed/remove.go; fieldpath/set.go, EnsureNamedFieldsAreMembers
"""

from __future__ import annotations

from typing import Any

from pinnace.api.apply.items import BadItem, step_of
from pinnace.api.apply.sets import NOTHING, SELF, Fields, is_member
from pinnace.api.apply.types import ATOMIC, Record, Sequence, Type


def remove(document: dict[str, Any], gone: Fields, of: Record) -> dict[str, Any]:
    """Return the document without these fields; a map or list that becomes empty by that is null."""
    if not gone:
        return document
    left: dict[str, Any] = _remove_record(document, gone, of) or {}
    return left


def _remove(value: Any, gone: Fields, of: Type | None) -> Any:
    if type(value) is dict and type(of) is Record:
        return None if not value or of.atomic else _remove_record(value, gone, of)
    if type(value) is list and type(of) is Sequence:
        return None if not value or of.relation == ATOMIC else _remove_items(value, gone, of)
    return None if type(value) is list else value


def _remove_record(value: dict[str, Any], gone: Fields, of: Record) -> dict[str, Any] | None:
    left: dict[str, Any] = {}
    for name, part in value.items():
        node = gone.get(f"f:{name}")
        if node is None:
            left[name] = part
        elif not is_member(node):
            left[name] = _remove(part, node, of.below(name))
    return left or None


def _remove_items(value: list[Any], gone: Fields, of: Sequence) -> list[Any] | None:
    left: list[Any] = []
    for item in value:
        try:
            node = gone.get(step_of(item, of))
        except BadItem:
            node = None
        if node is None:
            left.append(item)
        elif not is_member(node):
            left.append(_remove(item, node, of.item))
    return left or None


def with_named_fields(fields: Fields, of: Type | None) -> Fields:
    """Return the set with the named fields, of structs, that others below them are members of."""
    named: Fields = {}
    for step, below in fields.items():
        if step == SELF or not below:
            named[step] = below
            continue
        inner = with_named_fields(below, _type_below(of, step))
        if type(of) is Record and step[2:] in of.fields and step[0] == "f" and SELF not in inner:
            inner = {SELF: NOTHING, **inner}
        named[step] = inner
    return named


def _type_below(of: Type | None, step: str) -> Type | None:
    if step[0] == "f" and type(of) is Record:
        return of.below(step[2:])
    return of.item if step[0] == "k" and type(of) is Sequence else None
