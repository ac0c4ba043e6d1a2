"""Patches: a document and a change in one of three notations, in; the changed document, out.

Pure, on plain JSON values (`codec.to_json`, `codec.from_json`); called by the write path, which then defaults and
validates the result as it does any object. Server-side apply is not here: it needs to know who owns which field.
"""

from __future__ import annotations

from typing import Any

from pinnace.base.errors import ApiError, Reason
from pinnace.kube.codec import decode_json
from pinnace.kube.json_patch import json_patch
from pinnace.kube.kinds import Kind
from pinnace.kube.mismatch import describe
from pinnace.kube.strategic import strategic_merge

__all__ = ["JSON", "MERGE", "STRATEGIC", "apply_patch", "json_patch", "merge_patch", "strategic_merge"]

JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


def merge_patch(document: Any, patch: Any) -> Any:
    """Return the document with the patch merged in: null removes, an object merges, all else replaces.

    Source: RFC 7386, 2
    """
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def apply_patch(kind: Kind[Any], content_type: str, body: bytes, document: Any) -> Any:
    """Return the document of an object of this kind, changed by a patch as a client sent it.

    Raises: ApiError BadRequest, Invalid, RequestEntityTooLarge or UnsupportedMediaType.
    """
    notation = content_type.partition(";")[0].strip().lower()
    if notation not in (JSON, MERGE, STRATEGIC):
        known = ", ".join((JSON, MERGE, STRATEGIC))
        message = f"the body of the request was in an unknown format - accepted media types include: {known}"
        raise ApiError(Reason.UNSUPPORTED_MEDIA_TYPE, message)
    if notation == STRATEGIC and kind.custom is not None:
        # Source: Kubernetes v1.37, apiserver/pkg/endpoints/handlers/patch.go: there is no Go type to merge by.
        known = ", ".join((JSON, MERGE, "application/apply-patch+yaml"))
        message = f"the body of the request was in an unknown format - accepted media types include: {known}"
        raise ApiError(Reason.UNSUPPORTED_MEDIA_TYPE, message)
    try:
        patch = decode_json(body)
    except ApiError:
        raise ApiError(Reason.BAD_REQUEST, "invalid JSON patch") from None
    if notation == JSON:
        return json_patch(document, patch)
    if not isinstance(patch, dict):
        why = f"json: cannot unmarshal {describe(patch)} into Go value of type map[string]interface {{}}"
        raise ApiError(Reason.BAD_REQUEST, f"error decoding patch: {why}" if notation == MERGE else why)
    return merge_patch(document, patch) if notation == MERGE else strategic_merge(document, patch, kind.type)
