"""Merges what somebody applies into a document.

Pure; documents are plain JSON values, and none is changed: what nobody touches is shared.
Source: structured-merge-diff v6, typed/merge.go
"""

from __future__ import annotations

from typing import Any, Final

from pinnace.api.apply.items import step_of
from pinnace.api.apply.types import ATOMIC, QUANTITY, Record, Scalar, Sequence, Type
from pinnace.kube.quantity import canonical

ABSENT: Final = object()


def merge(live: dict[str, Any], applied: dict[str, Any], of: Record) -> dict[str, Any]:
    """Return the live document with everything that is applied in it. Raises: BadItem."""
    return _merge_record(live, applied, of)


def _merge(live: Any, applied: Any, of: Type | None) -> Any:
    if of is None or type(of) is Scalar:
        return live if of is QUANTITY and _same_quantity(live, applied) else applied
    if type(of) is Record:
        if of.atomic:
            return applied
        if type(applied) is dict and type(live) is dict:
            return _merge_record(live, applied, of)
        # Nothing is as good as an empty map, unless there are no maps here at all.
        return live if applied is None and type(live) is dict and live else applied
    if type(of) is Sequence and of.relation != ATOMIC:
        if type(applied) is list and type(live) is list:
            return _merge_list(live, applied, of)
        return live if applied is None and type(live) is list and live else applied
    return applied


def _merge_record(live: dict[str, Any], applied: dict[str, Any], of: Record) -> dict[str, Any]:
    if not live or not applied:
        return live or applied
    merged = dict(live)
    fields, rest = of.fields, of.rest
    for name, part in applied.items():
        held = merged.get(name, ABSENT)
        below = fields.get(name, rest)
        if held is ABSENT or below is None:
            merged[name] = part
        elif type(below) is Scalar:
            if held != part and not (below is QUANTITY and _same_quantity(held, part)):
                merged[name] = part
        else:
            merged[name] = _merge(held, part, below)
    return merged


def _same_quantity(one: Any, other: Any) -> bool:
    """Say whether two quantities are one in different words: what is stored is in the shortest, so nobody conflicts with it."""
    try:
        return canonical(one) == canonical(other)
    except (ValueError, TypeError):
        return False


def _merge_list(live: list[Any], applied: list[Any], of: Sequence) -> list[Any]:
    if not live or not applied:
        return live or applied
    left = [step_of(item, of) for item in live]
    right = [step_of(item, of) for item in applied]
    wanted = dict(zip(right, applied, strict=True))
    if left == right:  # the usual case: the same items in the same order
        return [_merge(old, new, of.item) for old, new in zip(live, applied, strict=True)]
    held: dict[str, Any] = {}
    for step, item in zip(left, live, strict=True):
        held[step] = ABSENT if step in held else item  # one that is there twice is not merged, but replaced

    def merged(step: str) -> Any:
        old = held.get(step, ABSENT)
        return wanted[step] if old is ABSENT else _merge(old, wanted[step], of.item)

    return _interleave(left, live, right, merged)


def _interleave(left: list[str], live: list[Any], right: list[str], merged: Any) -> list[Any]:
    """Return all items: the applied ones in their order, the others where the live list has them, between these.

    Source: typed/merge.go, visitListItems
    """
    result: list[Any] = []
    known, wanted, taken = set(left), set(right), set[str]()
    shared = iter([step for step in right if step in known])
    next_shared = next(shared, None)
    l_at = r_at = 0
    while l_at < len(left) or r_at < len(right):
        if l_at < len(left) and r_at < len(right):
            step = left[l_at]
            if step == right[r_at]:
                taken.add(step)
                result.append(merged(step))
                l_at, r_at, next_shared = l_at + 1, r_at + 1, next(shared, None)
                continue
            if step in wanted and next_shared is not None and next_shared != step:
                l_at += 1  # one of both, whose turn comes later
                continue
        if l_at < len(left):
            step = left[l_at]
            if step not in wanted:
                result.append(live[l_at])
                l_at += 1
                continue
            if step in taken:
                l_at += 1
        if r_at < len(right):
            step = right[r_at]
            taken.add(step)
            result.append(merged(step))
            r_at += 1
            if next_shared == step:
                next_shared = next(shared, None)
    return result
