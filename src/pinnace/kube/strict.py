"""Finds what a document says that its kind doesn't know, and what it says twice.

Called for each write of a client (fieldValidation is Warn or Strict unless told otherwise), so a document without
faults is recognised in one quick pass; only a faulty one is walked with paths. Never raises.
Source: Kubernetes v1.36, apimachinery/pkg/runtime/serializer/json, strict decoding
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from pinnace.base.errors import ApiError, Cause, Reason
from pinnace.kube.kinds import Kind
from pinnace.kube.mismatch import handled
from pinnace.kube.schema import Form, Shape, StructSchema

MAX_SHOWN = 10_000  # characters of a document in an error
MAX_UNKNOWN_FIELDS = 100  # enough for a person to act on; a bound for the answer's size


def find_unknown_fields(kind: Kind[Any], data: bytes) -> tuple[str, ...]:
    """Return what a document says that its kind doesn't know, and what it says twice, by path.

    Shape: 'unknown field "spec.foo"' or 'duplicate field "spec.replicas"', in the document's order; unknown ones first
    within each object, as Kubernetes lists them. Empty for what is no JSON object.
    """
    try:
        value = msgspec.json.decode(data)
        if not says_all_once(data, value):
            value = _read_once(data.decode())
        if _knows(value, kind.shape):
            return ()
    except _Double:
        pass
    except (ValueError, RecursionError):
        return ()
    try:
        pairs = json.loads(data, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return ()
    return _collect(_unknown(pairs, kind.shape, ""))


def find_unknown_in(kind: Kind[Any], value: Any) -> tuple[str, ...]:
    """Return what plain values say that their kind doesn't know, by path; for a patch's result."""
    if _knows(value, kind.shape):
        return ()
    return _collect(_unknown(value, kind.shape, ""))


def strict_error(kind: Kind[Any], found: tuple[str, ...]) -> ApiError:
    """Return the error for unknown and duplicate fields under fieldValidation=Strict."""
    return ApiError(Reason.BAD_REQUEST, handled(kind, f"strict decoding error: {', '.join(found)}"))


def strict_patch_error(found: tuple[str, ...], shown: str) -> ApiError:
    """Return the error for what a patch, or its result, says that its kind doesn't know; `shown` is the document.

    Source: Kubernetes v1.37, apiserver/pkg/endpoints/handlers/patch.go, applyPatchToCurrentObject.
    """
    if len(shown) > MAX_SHOWN:
        shown = f"{shown[:MAX_SHOWN]}..."
    why = f"Invalid value: {json.dumps(shown, ensure_ascii=False)}: strict decoding error: {', '.join(found)}"
    cause = Cause("FieldValueInvalid", why, "patch")
    return ApiError(Reason.INVALID, f' "" is invalid: patch: {why}', causes=(cause,))


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written, doubles included."""


def _collect(found: Iterator[str]) -> tuple[str, ...]:
    unique = dict.fromkeys(found)
    return tuple(unique)[:MAX_UNKNOWN_FIELDS]


def _unknown(value: Any, shape: Shape, path: str) -> Iterator[str]:
    if shape.form is Form.LIST and isinstance(value, list) and not isinstance(value, _Pairs):
        assert shape.item is not None
        if shape.item.form in (Form.STRUCT, Form.LIST, Form.MAP):
            for index, part in enumerate(value):
                yield from _unknown(part, shape.item, f"{path}[{index}]")
        return
    pairs = value if isinstance(value, _Pairs) else list(value.items()) if isinstance(value, dict) else None
    if pairs is None or shape.form not in (Form.STRUCT, Form.MAP):
        return
    schema = shape.schema
    fields, is_open = (schema.fields, schema.open) if schema is not None else ({}, False)
    prefix = f"{path}." if path else ""
    seen = set()
    for name, part in pairs:
        if name in seen:
            yield f'duplicate field "{prefix}{name}"'
        seen.add(name)
        if shape.form is Form.MAP and shape.item:
            yield from _unknown(part, shape.item, prefix + name)
        elif name in fields:
            yield from _unknown(part, fields[name].shape, prefix + name)
        elif not is_open:
            yield f'unknown field "{prefix}{name}"'


# --- the quick pass ---


def says_all_once(data: bytes, value: Any) -> bool:
    """Say quickly that no object of a JSON document has a key twice; False where only a slower look can tell.

    VALUE is what the document holds.
    """
    return msgspec.json.encode(value) == msgspec.json.format(data, indent=-1)


class _Double(Exception):
    """A document says something twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Double
    return made


_read_once = json.JSONDecoder(
    object_pairs_hook=_once
).decode  # made once: that takes as long as reading a small document


def _knows(value: Any, shape: Shape) -> bool:
    schema = shape.schema
    if schema is not None:
        if not isinstance(value, dict):
            return True
        below = _shapes_below(schema)
        for name, part in value.items():
            if name not in below:
                if schema.open:
                    continue
                return False
            inner = below[name]
            if inner is not None and not _knows(part, inner):
                return False
        return True
    item = shape.item
    if item is None:
        return True
    parts = value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
    return all(_knows(part, item) for part in parts)


@lru_cache(maxsize=4096)
def _shapes_below(schema: StructSchema) -> Mapping[str, Shape | None]:
    """Return each field's shape, or None where no struct is below it and nothing can be unknown."""
    return {name: field.shape if _has_structs(field.shape) else None for name, field in schema.fields.items()}


def _has_structs(shape: Shape) -> bool:
    return (
        shape.struct is not None
        or shape.own is not None
        or (shape.item is not None and _has_structs(shape.item))
    )
