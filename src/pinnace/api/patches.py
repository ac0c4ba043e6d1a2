"""Applies a patch of any of the four content types to an object's JSON value.

Called by the write path. Pure: never looks at a store. Invariant: the given document is not changed.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from pinnace.api.context import Context
from pinnace.base.errors import ApiError, Reason
from pinnace.kube import codec
from pinnace.kube import patch as patching
from pinnace.kube.kinds import Kind


class PatchType(Enum):
    """The patch dialects, by content type. Source: Kubernetes v1.36, apimachinery/pkg/types, PatchType."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch as it came: its content type (parameters are ignored) and its body.

    `force` takes over fields that another manager has applied; it counts for APPLY only.
    """

    content_type: str
    body: bytes
    force: bool = False

    @property
    def type(self) -> PatchType:
        """The dialect. Raises: ApiError UnsupportedMediaType."""
        notation = self.content_type.partition(";")[0].strip().lower()
        try:
            return PatchType(notation)
        except ValueError:
            known = ", ".join(dialect.value for dialect in PatchType)
            message = (
                f"the body of the request was in an unknown format - accepted media types include: {known}"
            )
            raise ApiError(Reason.UNSUPPORTED_MEDIA_TYPE, message) from None


def apply_patch(kind: Kind[Any], document: dict[str, Any], patch: Patch, context: Context) -> dict[str, Any]:
    """Return the patched document.

    Raises: ApiError BadRequest or Invalid for a patch that can't be applied, or whose result says what its kind doesn't
    know (under strict validation), UnsupportedMediaType.
    """
    if patch.type is PatchType.APPLY:
        raise ApiError(
            Reason.UNSUPPORTED_MEDIA_TYPE, "server-side apply is not supported; use client-side apply"
        )
    result = patching.apply_patch(kind, patch.content_type, patch.body, document)
    if not isinstance(result, dict):
        raise ApiError(Reason.BAD_REQUEST, "the patch's result is no object")
    _check_unknown(kind, result, context)
    return result


def _check_unknown(kind: Kind[Any], document: dict[str, Any], context: Context) -> None:
    if context.field_validation == "Ignore":
        return
    unknown = codec.find_unknown_in(kind, document)
    if unknown and context.field_validation == "Strict":
        raise codec.strict_error(kind, unknown)
    for sentence in unknown:
        context.warn(sentence)
