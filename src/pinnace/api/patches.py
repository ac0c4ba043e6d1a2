"""Applies a patch of any of the four content types to an object.

Called by the write path. Pure: never looks at a store. Invariant: the given object is not changed.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from pinnace.api.apply.tracking import Author, apply_to
from pinnace.api.context import Context
from pinnace.api.errors import bad_request
from pinnace.api.strategy import meta_of, with_meta
from pinnace.api.validation.problems import Problems
from pinnace.base.errors import ApiError, Cause, Reason
from pinnace.kube import codec
from pinnace.kube import patch as patching
from pinnace.kube.go_text import plain, quoted
from pinnace.kube.kinds import Kind
from pinnace.kube.manifests import yaml_to_json
from pinnace.kube.schema import schema_of

T = TypeVar("T")


class PatchType(Enum):
    """The patch dialects, by content type. Source: Kubernetes v1.36, apimachinery/pkg/types, PatchType."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch as it came: its content type (parameters are ignored) and its body.

    `force` takes over fields that others own; it counts for APPLY only.
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


def patch_object(kind: Kind[T], obj: T, patch: Patch, context: Context, author: Author, now: float) -> T:
    """Return the patched object; the author of an APPLY then knows its owners.

    Raises: ApiError BadRequest or Invalid for a patch that can't be applied, or whose result says what its kind doesn't
    know (under strict validation), UnsupportedMediaType, Conflict with what others have applied.
    """
    if patch.type is PatchType.APPLY:
        wanted = read_applied(kind, patch.body, context)
        document = apply_to(kind, obj, wanted, context, author, now, force=patch.force)
        return with_meta(_read_result(kind, document, obj), managed_fields=author.owners)
    if (quickly := patch_named_parts(kind, obj, patch, context)) is not None:
        return quickly
    # Owners are large, and hardly any patch is about them.
    about_owners = b"managedFields" in patch.body
    shown: Any = obj if about_owners else with_meta(obj, managed_fields=())
    document = patch_document(kind, codec.to_json(shown), patch, context)
    try:
        patched = _read_result(kind, document, obj)
    except ApiError as error:
        raise _invalid_result(kind, patch, document, error) from None
    if about_owners:
        return patched
    return with_meta(patched, managed_fields=meta_of(obj).managed_fields)


def apply_new(kind: Kind[T], name: str, patch: Patch, context: Context, author: Author, now: float) -> T:
    """Return the new object that somebody applies. Raises: ApiError BadRequest, Conflict (another uid is wanted)."""
    wanted = read_applied(kind, patch.body, context)
    document = apply_to(kind, None, wanted, context, author, now, force=patch.force)
    meta = document.get("metadata") or {}
    if not meta.get("name"):
        raise bad_request(
            f"the name of the object ({name} based on URL) was undeterminable: name must be provided"
        )
    if meta.get("uid"):
        raise ApiError(
            Reason.CONFLICT,
            f'Operation cannot be fulfilled on {kind.group_resource} "{name}": uid mismatch: the provided object'
            f" specified uid {meta['uid']}, and no existing object was found",
            kind=kind.plural,
            group=kind.group,
            name=name,
        )
    _check_name(meta.get("name"), name)
    return with_meta(codec.from_json(kind, document), resource_version="")


def patch_document(
    kind: Kind[Any], document: dict[str, Any], patch: Patch, context: Context
) -> dict[str, Any]:
    """Return the document changed by a patch of any sort but APPLY. Raises: as `patch_object`."""
    result: Any = patching.apply_patch(kind, patch.content_type, patch.body, document)
    if not isinstance(result, dict):
        raise ApiError(Reason.BAD_REQUEST, "the patch's result is no object")
    _check_unknown(kind, result, context)
    return result


def patch_named_parts(kind: Kind[T], obj: T, patch: Patch, context: Context) -> T | None:
    """Return the patched object, made from the parts alone that a patch names: the others stay the very same.

    None where only the whole document can tell: for what can't be applied, and what there is something to say of.
    """
    parts = _named_parts(kind, patch)
    if parts is None:
        return None
    held = meta_of(obj)
    made: Any = kind.type
    shown = made(**{part: getattr(obj, part) for part in parts})
    if "metadata" in parts:
        shown = with_meta(shown, managed_fields=())
    try:
        document = patching.apply_patch(kind, patch.content_type, patch.body, codec.to_json(shown))
        if context.field_validation != "Ignore" and codec.find_unknown_in(kind, document):
            return None
        patched: Any = _read_result(kind, document, obj)
    except ApiError:
        return None
    changes = {part: getattr(patched, part) for part in parts}
    if "metadata" in parts:
        changes["metadata"] = replace(changes["metadata"], managed_fields=held.managed_fields)
    result: T = replace(obj, **changes)  # type: ignore[type-var]
    return result


def _named_parts(kind: Kind[Any], patch: Patch) -> list[str] | None:
    """Return the names of the parts that a patch is about; None for one that isn't about parts only."""
    if kind.custom is not None or patch.type is PatchType.JSON or b"managedFields" in patch.body:
        return None
    try:
        changes = msgspec.json.decode(patch.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if type(changes) is not dict or not all(type(part) is dict for part in changes.values()):
        return None
    struct: type[msgspec.Struct] = kind.type
    fields = schema_of(struct).fields
    return [fields[name].attribute for name in changes] if changes.keys() <= fields.keys() else None


def _read_result(kind: Kind[T], document: dict[str, Any], obj: T) -> T:
    held = meta_of(obj)
    meta = document.get("metadata")
    if not isinstance(meta, dict):
        document = {**document, "metadata": {"name": held.name, "namespace": held.namespace}}
    elif meta.get("name", held.name) != held.name:
        _check_name(meta["name"], held.name)
    elif meta.get("namespace", held.namespace) not in (held.namespace, None):
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    return codec.from_json(kind, document)


SHOWN_MOST = 16_384  # characters of a result that can't be read; a person looks at its beginning


def _invalid_result(kind: Kind[Any], patch: Patch, document: dict[str, Any], error: ApiError) -> ApiError:
    """Return what is said of a patch whose result is no object of the kind; other errors as they are.

    Source: Kubernetes v1.37, apiserver/pkg/endpoints/handlers/patch.go, applyPatchToCurrentObject, applyPatchToObject
    """
    _, found, why = error.message.partition(f"cannot be handled as a {kind.kind}: ")
    if error.reason is not Reason.BAD_REQUEST or not found:
        return error
    if patch.type is PatchType.STRATEGIC:
        shown = plain(codec.decode_json(patch.body))
    else:
        shown = msgspec.json.encode(document).decode()
    invalid = f"Invalid value: {quoted(shown[:SHOWN_MOST])}: {why}"
    cause = Cause("FieldValueInvalid", invalid, "patch")
    return ApiError(Reason.INVALID, f' "" is invalid: patch: {invalid}', causes=(cause,))


def _check_name(given: Any, name: str) -> None:
    if given and given != name:
        raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")


def read_applied(kind: Kind[Any], body: bytes, context: Context) -> dict[str, Any]:
    """Return the document that somebody applies. Raises: ApiError BadRequest, Invalid."""
    if not context.field_manager:
        problems = Problems()
        problems.required("fieldManager", "is required for apply patch")
        raise problems.to_error("PatchOptions", "meta.k8s.io", "")
    try:
        document = codec.decode_json(body)
    except ApiError:
        document = _read_yaml(body)
    if not isinstance(document, dict):
        form = "array" if isinstance(document, list) else type(document).__name__
        why = f"json: cannot unmarshal {form} into Go value of type map[string]interface {{}}"
        raise bad_request(f"error decoding patch: {why}")
    api_version, name = document.get("apiVersion", ""), document.get("kind", "")
    if api_version != kind.api_version or name != kind.kind:
        group, _, version = str(api_version).rpartition("/")
        raise bad_request(f"invalid object type: {group}/{version}, Kind={name}")
    meta = document.get("metadata")
    if isinstance(meta, dict) and meta.get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    return document


def _read_yaml(body: bytes) -> Any:
    try:
        return codec.decode_json(yaml_to_json(body, []))  # keys that are there twice are reported elsewhere
    except ApiError as error:
        raise bad_request(f"error decoding patch: {error.message}") from None


def _check_unknown(kind: Kind[Any], document: dict[str, Any], context: Context) -> None:
    if context.field_validation == "Ignore":
        return
    unknown = codec.find_unknown_in(kind, document)
    if unknown and context.field_validation == "Strict":
        raise codec.strict_patch_error(unknown, msgspec.json.encode(document).decode())
    for sentence in unknown:
        context.warn(sentence)
