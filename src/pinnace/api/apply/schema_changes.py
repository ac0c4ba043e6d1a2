"""Brings a stored set to a schema that has changed meanwhile: who owned parts of what is now atomic owns the whole.

Pure; for kinds whose schema can change while objects live. Source: structured-merge-diff v6, typed/reconcile_schema.go
"""

from __future__ import annotations

from pinnace.api.apply.sets import NOTHING, SELF, Fields
from pinnace.api.apply.types import ATOMIC, Record, Sequence, Type


def reconcile(fields: Fields, of: Type | None) -> Fields:
    """Return the set with what lies in atomic values drawn together; the same set where nothing changes."""
    changed: Fields = {}
    for step, below in fields.items():
        if not below:
            continue
        inner = _type_of_step(of, step)
        if _is_atomic(inner):
            changed[step] = NOTHING
        elif (node := reconcile(below, inner)) is not below:
            changed[step] = node
    return {**fields, **changed} if changed else fields


def _type_of_step(of: Type | None, step: str) -> Type | None:
    if step == SELF:
        return None
    if type(of) is Record:
        return of.below(step[2:])
    return of.item if type(of) is Sequence else None


def _is_atomic(of: Type | None) -> bool:
    return (type(of) is Record and of.atomic) or (type(of) is Sequence and of.relation == ATOMIC)
