"""Lets plain values become objects although one field of every object is kept as it is written: `fieldsV1`.

Called by the codec before plain values are converted; the decoder needs no help. Pure.
"""

from __future__ import annotations

from typing import Any

import msgspec


def with_raw_fields(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object's plain values with `metadata` as `metadata_with_raw_fields` returns it."""
    meta = value.get("metadata")
    if not isinstance(meta, dict) or "managedFields" not in meta:
        return value
    return {**value, "metadata": metadata_with_raw_fields(meta)}


def metadata_with_raw_fields(meta: Any) -> Any:
    """Return an object's plain metadata with each `fieldsV1` of its managedFields as JSON; the same one without any."""
    entries = meta.get("managedFields") if isinstance(meta, dict) else None
    if not isinstance(entries, list):
        return meta
    return {**meta, "managedFields": [_with_raw(entry) for entry in entries]}


def _with_raw(entry: Any) -> Any:
    fields = entry.get("fieldsV1") if isinstance(entry, dict) else None
    if not isinstance(fields, dict):
        return entry
    return {**entry, "fieldsV1": msgspec.Raw(msgspec.json.encode(fields))}
