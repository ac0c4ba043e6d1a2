"""Says what one document has more, less and otherwise than another, as sets of fields.

Pure. What is equal is passed over at once, so a small change of a large document costs little.
Source: structured-merge-diff v6, typed/compare.go
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pinnace.api.apply.items import BadItem, index
from pinnace.api.apply.sets import NOTHING, SELF, Fields, union
from pinnace.api.apply.types import ATOMIC, MAP, Record, Scalar, Sequence, Type


class Comparison(NamedTuple):
    """No field is in more than one of the three."""

    added: Fields
    modified: Fields
    removed: Fields

    @property
    def written(self) -> Fields:
        """What was added or modified."""
        return union(self.added, self.modified)


SAME = Comparison(NOTHING, NOTHING, NOTHING)


def compare(old: dict[str, Any], new: dict[str, Any], of: Record) -> Comparison:
    """Return how a document differs from an older one."""
    if old == new:
        return SAME
    found: tuple[Fields, Fields, Fields] = ({}, {}, {})
    _Walk().records(old, new, of, *found)
    return Comparison(*found)


def whole(value: Any, of: Type) -> Fields:
    """Return the node of a value that came or went as a whole: all its parts, and itself."""
    if type(value) is dict and type(of) is Record and not of.atomic and value:
        node: Fields = {SELF: NOTHING}
        for name, part in value.items():
            below = of.below(name)
            node[f"f:{name}"] = NOTHING if below is None or type(below) is Scalar else whole(part, below)
        return node
    if type(value) is list and type(of) is Sequence and of.relation != ATOMIC and value:
        return {SELF: NOTHING, **_items(value, of)}
    return NOTHING


def created(document: dict[str, Any], of: Record) -> Fields:
    """Return what a new object has more than an empty one: value structs and required lists are there from the start."""
    node: Fields = {}
    zero = of.zero
    for name, part in document.items():
        below = of.below(name)
        if name not in zero:
            node[f"f:{name}"] = NOTHING if below is None or type(below) is Scalar else whole(part, below)
        elif part != zero[name]:
            if type(part) is dict and type(below) is Record and not below.atomic:
                if inner := created(part, below):
                    node[f"f:{name}"] = inner
            elif type(part) is list and type(below) is Sequence and below.relation != ATOMIC:
                node[f"f:{name}"] = _items(part, below)
            else:
                node[f"f:{name}"] = NOTHING
    return node


def _items(value: list[Any], of: Sequence) -> Fields:
    try:
        found = index(value, of)
    except BadItem:
        return {}
    if of.relation != MAP:
        return dict.fromkeys(found, NOTHING)
    return {step: whole(items[0], of.item) if len(items) == 1 else NOTHING for step, items in found.items()}


class _Walk:
    """Walks two values side by side; each call puts what it finds into the three nodes that it is given."""

    def records(
        self,
        old: dict[str, Any],
        new: dict[str, Any],
        of: Record,
        added: Fields,
        modified: Fields,
        removed: Fields,
    ) -> None:
        fields, rest = of.fields, of.rest
        for name, part in new.items():
            below = fields.get(name, rest)
            step = f"f:{name}"
            if name not in old:
                added[step] = NOTHING if below is None else whole(part, below)
            elif (held := old[name]) is not part and held != part:
                if below is None or type(below) is Scalar:
                    modified[step] = NOTHING
                else:
                    self._descend(held, part, below, step, added, modified, removed)
        for name, held in old.items():
            if name not in new:
                below = fields.get(name, rest)
                removed[f"f:{name}"] = NOTHING if below is None else whole(held, below)

    def _descend(
        self,
        old: Any,
        new: Any,
        of: Type,
        step: str,
        added: Fields,
        modified: Fields,
        removed: Fields,
    ) -> None:
        below: tuple[Fields, Fields, Fields] = ({}, {}, {})
        leaf = self._values(old, new, of, *below)
        if leaf:
            modified[step] = {SELF: NOTHING, **below[1]} if below[1] else NOTHING
        elif below[1]:
            modified[step] = below[1]
        if below[0]:
            added[step] = below[0]
        if below[2]:
            removed[step] = below[2]

    def _values(self, old: Any, new: Any, of: Type, added: Fields, modified: Fields, removed: Fields) -> bool:
        """Compare two values that differ; return whether the place itself is what was modified."""
        if type(of) is Record and not of.atomic:
            records = {} if old is None else old, {} if new is None else new
            if type(records[0]) is dict and type(records[1]) is dict:
                if records[0] or records[1]:  # nothing and empty are told apart
                    self.records(*records, of, added, modified, removed)
                    return False
                return True
        elif type(of) is Sequence and of.relation != ATOMIC:
            lists = [] if old is None else old, [] if new is None else new
            if type(lists[0]) is list and type(lists[1]) is list:
                if lists[0] or lists[1]:
                    self._lists(*lists, of, added, modified, removed)
                    return False
                return True
        else:
            return True
        self._other_form(old, new, of, added, removed)
        return True

    def _other_form(self, old: Any, new: Any, of: Type, added: Fields, removed: Fields) -> None:
        for value, into in ((new, added), (old, removed)):
            node = whole(value, of)
            into.update({step: below for step, below in node.items() if step != SELF})

    def _lists(
        self,
        old: list[Any],
        new: list[Any],
        of: Sequence,
        added: Fields,
        modified: Fields,
        removed: Fields,
    ) -> None:
        try:
            held, wanted = index(old, of), index(new, of)
        except BadItem:
            return
        for step in {**held, **wanted}:
            before, after = held.get(step, []), wanted.get(step, [])
            if before == after:
                continue
            if len(before) <= 1 and len(after) <= 1:
                if not before:
                    added[step] = whole(after[0], of.item)
                elif not after:
                    removed[step] = whole(before[0], of.item)
                else:
                    self._descend(before[0], after[0], of.item, step, added, modified, removed)
            elif len(before) > 1 and len(after) > 1:
                modified[step] = NOTHING
            elif len(before) > 1:
                removed[step] = NOTHING
                if after and (node := whole(after[0], of.item)):
                    added[step] = node
            else:
                added[step] = NOTHING
                if before and (node := whole(before[0], of.item)):
                    removed[step] = node
