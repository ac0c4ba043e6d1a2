"""Applies a patch of any of the four content types to an object's JSON value.

Called by the write path. Pure: never looks at a store. Invariant: the given document is not changed.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from pinnace.api.apply.fieldsets import shape_of_kind
from pinnace.api.apply.server_side import Applied, apply_document
from pinnace.api.context import Context
from pinnace.api.validation.problems import Problems
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


def apply_patch(
    kind: Kind[Any],
    document: dict[str, Any],
    patch: Patch,
    context: Context,
    *,
    subresource: str = "",
    now: float,
) -> dict[str, Any]:
    """Return the patched document; for APPLY an empty one becomes a new object.

    Raises: ApiError BadRequest or Invalid for a patch that can't be applied, or whose result says what its kind doesn't
    know (under strict validation), UnsupportedMediaType.
    """
    if patch.type is PatchType.APPLY:
        wanted = _read_applied(kind, patch, context)
        applied = Applied(context.field_manager, wanted, subresource, patch.force)
        result: Any = apply_document(kind, document, applied, now)
    else:
        result = patching.apply_patch(kind, patch.content_type, patch.body, document)
    if not isinstance(result, dict):
        raise ApiError(Reason.BAD_REQUEST, "the patch's result is no object")
    patched: dict[str, Any] = result
    _check_unknown(kind, patched, context)
    return patched


def _read_applied(kind: Kind[Any], patch: Patch, context: Context) -> dict[str, Any]:
    """Return the document that somebody applies. Raises: ApiError BadRequest, Invalid."""
    if not context.field_manager:
        problems = Problems()
        problems.required("fieldManager", "is required for apply patch")
        raise problems.to_error("PatchOptions", "meta.k8s.io", "")
    try:
        document = codec.decode_json(patch.body)
    except ApiError:
        document = _read_yaml(patch.body)
    if not isinstance(document, dict):
        raise ApiError(Reason.BAD_REQUEST, "error decoding YAML: the applied document is no object")
    if document.get("apiVersion") != kind.api_version or document.get("kind") != kind.kind:
        why = f"the applied document must have apiVersion {kind.api_version} and kind {kind.kind}"
        raise ApiError(Reason.BAD_REQUEST, why)
    if (document.get("metadata") or {}).get("managedFields"):
        raise ApiError(Reason.BAD_REQUEST, "metadata.managedFields must be nil")
    cleaned: dict[str, Any] = codec.without_nulls(document, shape_of_kind(kind))
    return cleaned


def _read_yaml(body: bytes) -> Any:
    import yaml  # only here, and rarely: clients send JSON, which is YAML too

    try:
        return yaml.load(body, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ApiError(Reason.BAD_REQUEST, f"error decoding YAML: {error}") from None


def _check_unknown(kind: Kind[Any], document: dict[str, Any], context: Context) -> None:
    if context.field_validation == "Ignore":
        return
    unknown = codec.find_unknown_in(kind, document)
    if unknown and context.field_validation == "Strict":
        raise codec.strict_error(kind, unknown)
    for sentence in unknown:
        context.warn(sentence)
