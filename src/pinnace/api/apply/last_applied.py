"""Keeps client-side and server-side `kubectl apply` from standing in each other's way.

The annotation in which client-side apply remembers what it applied allows kubectl's first server-side apply to take over
what it says, and is kept up to date by later ones, so that client-side apply can follow. Pure.
Source: Kubernetes v1.37, apimachinery/pkg/util/managedfields/internal (lastappliedmanager.go, lastappliedupdater.go)
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from pinnace.api.apply.collecting import fields_of
from pinnace.api.apply.comparing import compare
from pinnace.api.apply.sets import NOTHING, Fields, difference
from pinnace.api.apply.types import Record

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
MAX_ANNOTATIONS_BYTES: Final = (
    256 * 1024
)  # Source: apimachinery/pkg/api/validation, TotalAnnotationSizeLimitB


def _annotations(document: dict[str, Any]) -> dict[str, Any]:
    meta = document.get("metadata")
    found = meta.get("annotations") if isinstance(meta, dict) else None
    return found if isinstance(found, dict) else {}


def allowed_conflicts(live: dict[str, Any], of: Record, api_version: str) -> Fields:
    """Return the fields that stand in the live document as client-side apply left them."""
    text = _annotations(live).get(LAST_APPLIED)
    if not isinstance(text, str) or not text:
        return NOTHING
    try:
        last = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return NOTHING
    if not isinstance(last, dict) or last.get("apiVersion") != api_version:
        return NOTHING
    fields = fields_of(last, of)
    change = compare(last, live, of)
    return difference(difference(difference(fields, change.modified), change.added), change.removed)


def keep_last_applied(document: dict[str, Any], applied: dict[str, Any]) -> dict[str, Any]:
    """Return the document with the annotation, where it has one, as client-side apply would now write it."""
    annotations = _annotations(document)
    if not annotations.get(LAST_APPLIED):
        return document
    text = msgspec.json.encode(_without_annotation(applied), order="sorted").decode() + "\n"
    kept = {**annotations, LAST_APPLIED: text}
    if sum(len(str(key)) + len(str(value)) for key, value in kept.items()) > MAX_ANNOTATIONS_BYTES:
        del kept[LAST_APPLIED]
    return {**document, "metadata": {**document["metadata"], "annotations": kept}}


def _without_annotation(applied: dict[str, Any]) -> dict[str, Any]:
    meta = applied.get("metadata")
    if not isinstance(meta, dict) or LAST_APPLIED not in _annotations(applied):
        return applied
    kept = {key: value for key, value in meta["annotations"].items() if key != LAST_APPLIED}
    return {**applied, "metadata": {**meta, "annotations": kept}}
