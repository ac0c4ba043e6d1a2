"""Finds the fields that a document speaks of, and what in it doesn't fit its type.

Pure. `collect` is for what somebody applies: all faults are found at once. `fields_of` is for what is stored.
Source: structured-merge-diff v6, typed/tofieldset.go, typed/validate.go
"""

from __future__ import annotations

from typing import Any

from pinnace.api.apply.items import BadItem, step_of
from pinnace.api.apply.sets import NOTHING, SELF, Fields, render_step
from pinnace.api.apply.types import ATOMIC, MAP, OPAQUE, Record, Scalar, Sequence, Type
from pinnace.kube.go_text import plain, syntax, type_name

MAX_FAULTS = 50


# Where a value is: the place around it, and the last part of the path. Text is made of it only for a fault.
Place = tuple[Any, str] | None


class Faults(list[tuple[Place, str]]):
    """What is wrong with an applied document, by path."""

    def render(self) -> str:
        """Return all faults as one text. Source: structured-merge-diff v6, typed/helpers.go, ValidationErrors"""
        shown = [(_render_place(place), why) for place, why in self[:MAX_FAULTS]]
        lines = [f"{path}: {why}" if path else why for path, why in shown]
        return lines[0] if len(lines) == 1 else "\n".join(["errors:", *(f"  {line}" for line in lines)])


def _render_place(place: Place) -> str:
    parts: list[str] = []
    while place is not None:
        place, part = place
        parts.append(part if part[0] in ".[" else render_step(part))
    return "".join(reversed(parts))


def collect(document: dict[str, Any], of: Record, faults: Faults) -> Fields:
    """Return the fields of an applied document; what is wrong with it is added to the faults."""
    return _collect_record(document, of, faults, None) or NOTHING


def fields_of(document: dict[str, Any], of: Record) -> Fields:
    """Return the fields of a stored document; an item that is there twice is a field without parts."""
    return _collect_record(document, of, None, None) or NOTHING


def _collect(value: Any, of: Type, faults: Faults | None, place: Place) -> Fields | None:
    """Return the node of a value: None for one that makes no member."""
    if value is None or of is OPAQUE:
        return NOTHING
    if type(of) is Scalar:
        if faults is not None and of.accepts is not None and type(value) not in of.accepts:
            faults.append((place, _explain(of, value)))
        return NOTHING
    if type(of) is Record:
        if type(value) is dict:
            return _collect_record(value, of, faults, place)
        if faults is not None and not of.deduced:
            faults.append((place, f"expected map, got &{{{plain(value)}}}"))
        return NOTHING
    if type(of) is Sequence and type(value) is list:
        return _collect_list(value, of, faults, place)
    if faults is not None:
        faults.append((place, f"expected list, got &{{{plain(value)}}}"))
    return NOTHING


def _collect_record(value: dict[str, Any], of: Record, faults: Faults | None, place: Place) -> Fields | None:
    if not value:
        return NOTHING
    parts: Fields = {}
    fields, rest = of.fields, of.rest
    for name, part in value.items():
        below = fields.get(name, rest)
        if below is None:
            if faults is not None:
                faults.append(((place, f".{name}"), "field not declared in schema"))
            continue
        if type(below) is Scalar and (part is None or below.accepts is None or type(part) in below.accepts):
            parts[f"f:{name}"] = NOTHING  # most are: no call for these
            continue
        node = _collect(part, below, faults, (place, f".{name}"))
        if node is None and name in fields:
            continue
        if not node or name in fields:
            parts[f"f:{name}"] = node or NOTHING
        else:
            parts[f"f:{name}"] = {SELF: NOTHING, **node}
    if of.atomic:
        return NOTHING
    return parts or None


def _collect_list(value: list[Any], of: Sequence, faults: Faults | None, place: Place) -> Fields | None:
    if of.relation == ATOMIC:
        if faults is not None and of.item is not OPAQUE:
            for at, item in enumerate(value):
                _collect(item, of.item, faults, (place, f"[{at}]"))
        return NOTHING
    parts: Fields = {}
    for at, item in enumerate(value):
        try:
            step = step_of(item, of)
        except BadItem as error:
            if faults is not None:
                faults.append((place, f"element {at}: {error}"))
            continue
        if step in parts:
            if faults is not None:
                faults.append((place, f"duplicate entries for key {render_step(step)}"))
            parts[step] = NOTHING
            continue
        node = None
        if of.relation == MAP or faults is not None:
            node = _collect(item, of.item, faults, (place, step))
        parts[step] = {SELF: NOTHING, **node} if node else NOTHING
    return parts or None


def _explain(of: Scalar, value: Any) -> str:
    match of.name:
        case "string":
            return f"expected string, got &value.valueUnstructured{{Value:{syntax(value)}}}"
        case "numeric":
            return f"expected numeric (int or float), got {type_name(value)}"
        case "boolean":
            return f"expected boolean, got &{{{plain(value)}}}"
    return f"expected any scalar, got &{{{plain(value)}}}"
