"""Serves create, update, patch, delete and deletecollection: reads the body, calls the write path, shows the outcome."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from pinnace.api.patches import Patch, PatchType
from pinnace.api.versions import convert, stored_kind
from pinnace.base.errors import ApiError, Cause, Reason
from pinnace.kube.codec import decode, encode
from pinnace.kube.kinds import Kind
from pinnace.kube.manifests import yaml_to_json
from pinnace.kube.objects.meta_v1 import DeleteOptions
from pinnace.kube.strict import find_unknown_fields, strict_error
from pinnace.kubeapi.answers import answer, answer_json
from pinnace.kubeapi.bodies import media_type_of, read_body, read_document, unsupported
from pinnace.kubeapi.calls import Call, check_dry_run
from pinnace.kubeapi.errors import build_success
from pinnace.kubeapi.negotiation import LIST_FORMS, PLAIN, SINGLE_FORMS, negotiate
from pinnace.kubeapi.presenting import Presenter
from pinnace.kubeapi.query import Query
from pinnace.kubeapi.selection import select
from pinnace.kubeapi.versions import render_record
from pinnace.store.interface import Header, Key, Record, Revision

T = TypeVar("T")

FIELD_VALIDATIONS = ("Strict", "Warn", "Ignore")

# Source: Kubernetes v1.36, the strategies with ReturnDeletedObject, pkg/registry/core/*/storage.
_SHOW_DELETED = frozenset({"pods", "services", "serviceaccounts"})


async def serve_create(call: Call) -> web.StreamResponse:
    """Store a new object; 201 with what was stored."""
    if call.kind.namespaced and not call.namespace:
        raise method_not_allowed()
    obj = await read_object(call, call.kind)
    _check_namespace(call, obj)
    created = await complete(call, call.api.create(obj, namespace=call.namespace, context=call.context))
    return show(call, created, status=201)


async def serve_update(call: Call) -> web.StreamResponse:
    """Replace an object, its status, or a namespace's finalizers."""
    obj = await read_object(call, call.kind)
    _check_namespace(call, obj)
    _check_name(call, obj)
    api = call.api
    match call.target.subresource:
        case "":
            write = api.update(obj, namespace=call.namespace, context=call.context)
        case "status":
            write = api.update_status(obj, namespace=call.namespace, context=call.context)
        case "finalize":
            write = api.finalize(obj, context=call.context)
        case _:
            raise method_not_allowed()
    return show(call, await complete(call, write))


async def serve_patch(call: Call) -> web.StreamResponse:
    """Change an object or a part of it."""
    patch = await read_patch(call, call.kind)
    write = call.api.patch(
        call.kind,
        call.namespace,
        call.name,
        patch,
        subresource=call.target.subresource,
        context=call.context,
    )
    return show(call, await complete(call, write))


async def serve_delete(call: Call) -> web.StreamResponse:
    """Delete an object; answer with what is left of it, or with success."""
    wishes = await read_deletion(call)
    deletion = await complete(
        call,
        call.api.delete(
            call.kind,
            call.namespace,
            call.name,
            grace_s=wishes.grace_s,
            uid=wishes.uid or None,
            resource_version=wishes.resource_version or None,
            propagation=wishes.propagation or None,
            context=call.context,
        ),
    )
    obj: Any = deletion.object
    if not deletion.gone or call.kind.resource in _SHOW_DELETED:
        return show(call, obj)
    kind = call.kind
    success = build_success(kind=kind.plural, group=kind.group, name=call.name, uid=obj.metadata.uid)
    return answer_json(success, warnings=call.warnings)


async def serve_delete_collection(call: Call) -> web.StreamResponse:
    """Delete every selected object; answer with the list of them."""
    if call.kind.namespaced and not call.namespace:
        raise method_not_allowed()
    wishes = await read_deletion(call)
    selection = select(call.api, call.kind, call.query)
    wanted = negotiate(call.accept, LIST_FORMS)
    presenter = Presenter(call.api.clock, call.kind, wanted, call.query)
    listing = call.api.list_raw(call.kind, call.namespace or None)
    deleted: list[Record] = []
    for record in filter(selection.matches, listing.records):
        write = call.api.delete(
            call.kind,
            record.key.namespace,
            record.key.name,
            grace_s=wishes.grace_s,
            uid=record.header.uid or None,
            propagation=wishes.propagation or None,
            context=call.context,
        )
        try:
            deletion = await complete(call, write)
        except ApiError as error:
            if error.reason not in (Reason.NOT_FOUND, Reason.CONFLICT):
                raise
            continue  # somebody else was faster: it is gone, or another one has its name
        deleted.append(_record_of(call, deletion.object))
    body = presenter.many(deleted, call.api.store.revision)
    return answer(body, content_type=wanted.content_type, warnings=call.warnings)


# ---------------------------------------------------------------------------------------------------- what comes in


async def read_object(call: Call, kind: Kind[T]) -> T:
    """Return the request's object, after the unknown fields have been refused or warned of.

    Raises: ApiError BadRequest, UnsupportedMediaType, RequestEntityTooLarge.
    """
    body = await read_document(call.request, call.means.settings.max_body_bytes, kind)
    validation = read_field_validation(call.query)
    obj = decode(kind, body)
    if validation != "Ignore":
        _report_unknown(call, kind, validation, find_unknown_fields(kind, body))
    return obj


async def read_patch(call: Call, kind: Kind[Any]) -> Patch:
    """Return the request's patch. Raises: ApiError UnsupportedMediaType, BadRequest."""
    media_type = media_type_of(call.request)
    if media_type not in _PATCH_TYPES:
        raise unsupported(media_type, _PATCH_TYPES)
    body = await read_body(call.request, call.means.settings.max_body_bytes)
    validation = read_field_validation(call.query)
    if validation != "Ignore" and media_type != PatchType.JSON.value:
        document = yaml_to_json(body) if media_type == PatchType.APPLY.value else body
        found = find_unknown_fields(kind, document)
        _report_unknown(call, kind, validation, tuple(sentence for sentence in found if "$" not in sentence))
    return Patch(media_type, body, force="force" in call.query and call.query.flag("force"))


_PATCH_TYPES = tuple(kind.value for kind in PatchType)


def read_field_validation(query: Query) -> str:
    """Return how unknown fields are treated; "Warn" unless the client says otherwise.

    Source: Kubernetes v1.36, meta/v1, CreateOptions. Raises: ApiError Invalid.
    """
    text = query.text("fieldValidation")
    if text and text not in FIELD_VALIDATIONS:
        supported = ", ".join(f'"{word}"' for word in sorted(("", *FIELD_VALIDATIONS)))
        why = f'Unsupported value: "{text}": supported values: {supported}'
        raise ApiError(
            Reason.INVALID,
            f'CreateOptions.meta.k8s.io "" is invalid: fieldValidation: {why}',
            kind="CreateOptions",
            group="meta.k8s.io",
            causes=(Cause("FieldValueNotSupported", why, "fieldValidation"),),
        )
    return text or "Warn"


def _report_unknown(call: Call, kind: Kind[Any], validation: str, found: tuple[str, ...]) -> None:
    if not found:
        return
    if validation == "Strict":
        raise strict_error(kind, found)
    call.warnings.extend(found)


@dataclass(frozen=True, slots=True)
class Wishes:
    """How something is to be deleted. Shape: "" and None mean the kind's own way."""

    grace_s: int | None = None
    propagation: str = ""
    uid: str = ""
    resource_version: str = ""


async def read_deletion(call: Call) -> Wishes:
    """Return how to delete, from the body or else from the query.

    Source: Kubernetes v1.36, meta/v1, DeleteOptions. Raises: ApiError BadRequest, Invalid.
    """
    body = await read_document(call.request, call.means.settings.max_body_bytes, _DELETE_OPTIONS)
    options = _decode_options(body) if body.strip() else _options_of(call.query)
    if options.dry_run:
        check_dry_run(options.dry_run)
        call.dry_run = True
    before = options.preconditions
    return Wishes(
        grace_s=options.grace_period_seconds,
        propagation=_propagation_of(options),
        uid=before.uid if before else "",
        resource_version=before.resource_version if before else "",
    )


# Not a kind that is served: the shape of a body only.
_DELETE_OPTIONS: Kind[DeleteOptions] = Kind("", "v1", "DeleteOptions", "", "meta_v1.DeleteOptions", verbs=())

_decode_delete_options = msgspec.json.Decoder(DeleteOptions).decode


def _decode_options(body: bytes) -> DeleteOptions:
    try:
        return _decode_delete_options(body)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ApiError(Reason.BAD_REQUEST, f"the body is no DeleteOptions: {error}") from None


def _options_of(query: Query) -> DeleteOptions:
    orphan = query.flag("orphanDependents") if "orphanDependents" in query else None
    return DeleteOptions(
        grace_period_seconds=query.number("gracePeriodSeconds"),
        propagation_policy=query.text("propagationPolicy"),
        orphan_dependents=orphan,
    )


def _propagation_of(options: DeleteOptions) -> str:
    if options.orphan_dependents is not None and not options.propagation_policy:
        return "Orphan" if options.orphan_dependents else "Background"
    policy = options.propagation_policy
    if policy not in ("", "Background", "Foreground", "Orphan"):
        raise ApiError(
            Reason.INVALID,
            f'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "{policy}": '
            'supported values: "Background", "Foreground", "Orphan"',
        )
    return policy


def _check_namespace(call: Call, obj: Any) -> None:
    given = obj.metadata.namespace
    if given and given != call.namespace:
        raise ApiError(
            Reason.BAD_REQUEST,
            "the namespace of the provided object does not match the namespace sent on the request",
        )


def _check_name(call: Call, obj: Any) -> None:
    given = obj.metadata.name
    if not given:
        raise ApiError(Reason.BAD_REQUEST, "name must be provided")
    if given != call.name:
        raise ApiError(
            Reason.BAD_REQUEST,
            f"the name of the object ({given}) does not match the name on the URL ({call.name})",
        )


def method_not_allowed() -> ApiError:
    """Return the refusal of a method."""
    return ApiError(
        Reason.METHOD_NOT_ALLOWED, "the server does not allow this method on the requested resource"
    )


# ---------------------------------------------------------------------------------------------------- what goes out


async def complete(call: Call, write: Coroutine[Any, Any, T]) -> T:
    """Carry a write through even when its client leaves meanwhile."""
    task = call.means.tasks.spawn(_outcome(write), "write")
    call.means.writes.add(task)
    task.add_done_callback(call.means.writes.discard)
    result, error = await asyncio.shield(task)
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]


async def _outcome(write: Coroutine[Any, Any, T]) -> tuple[T | None, Exception | None]:
    try:
        return await write, None
    except Exception as error:  # noqa: BLE001 - handed to the one who waits
        return None, error


def show(call: Call, obj: Any, *, status: int = 200) -> web.Response:
    """Answer with an object that was just written."""
    wanted = negotiate(call.accept, SINGLE_FORMS)
    if wanted == PLAIN:
        return answer(_render(call, obj), status=status, warnings=call.warnings)
    body = Presenter(call.api.clock, call.kind, wanted, call.query).one(_record_of(call, obj))
    return answer(body, status=status, content_type=wanted.content_type, warnings=call.warnings)


def _render(call: Call, obj: Any) -> bytes:
    record = _find_stored(call, obj)
    return encode(obj) if record is None else render_record(call.kind, record)


def _record_of(call: Call, obj: Any) -> Record:
    return _find_stored(call, obj) or _make_record(call.kind, obj)


def _make_record(kind: Kind[Any], obj: Any) -> Record:
    """Return a record of an object that the store doesn't hold: one that is gone, or was only tried."""
    meta = obj.metadata
    key = Key(kind.resource, meta.namespace, meta.name)
    value = encode(convert(obj, stored_kind(kind)))
    return Record(Header(key=key), Revision(int(meta.resource_version or 0)), value)


def _find_stored(call: Call, obj: Any) -> Record | None:
    """Return the record that holds exactly this object, to send its bytes instead of encoding it once more."""
    meta = obj.metadata
    record = call.api.store.get(Key(call.kind.resource, meta.namespace, meta.name))
    if record is None or call.context.dry_run or str(record.revision) != meta.resource_version:
        return None
    return record
