"""Serves create, update and patch: reads the body, calls the write path, shows the outcome."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from pinnace.api.access.attributes import Attributes, refusal
from pinnace.api.patches import Patch, PatchType
from pinnace.api.versions import convert, render_stored, stored_kind
from pinnace.base.errors import ApiError, Reason
from pinnace.kube.codec import decode, encode
from pinnace.kube.kinds import Kind
from pinnace.kube.manifests import yaml_to_json
from pinnace.kube.ranges import check_operations, check_values
from pinnace.kube.strict import find_unknown_fields, says_all_once, strict_error, strict_patch_error
from pinnace.kubeapi.answers import answer
from pinnace.kubeapi.bodies import aside, check_shape, media_type_of, read_body, read_document, unsupported
from pinnace.kubeapi.calls import Call
from pinnace.kubeapi.negotiation import PLAIN, SINGLE_FORMS, negotiate
from pinnace.kubeapi.presenting import Presenter
from pinnace.kubeapi.write_options import IGNORE, STRICT
from pinnace.store.interface import Header, Key, Record, Revision

T = TypeVar("T")


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
        case "ephemeralcontainers" | "resize" as part:
            write = api.update_part(obj, part, namespace=call.namespace, context=call.context)
        case _:
            raise method_not_allowed()
    return show(call, await complete(call, write))


async def serve_patch(call: Call) -> web.StreamResponse:
    """Change an object or a part of it."""
    patch = await read_patch(call, call.kind)
    creates = False

    def before_create() -> None:  # asked when it is certain, not before: others write meanwhile
        nonlocal creates
        _require_create(call)
        creates = True

    write = call.api.patch(
        call.kind,
        call.namespace,
        call.name,
        patch,
        subresource=call.target.subresource,
        context=call.context,
        before_create=before_create,
    )
    patched = await complete(call, write)
    return show(call, patched, status=201 if creates else 200)


def _require_create(call: Call) -> None:
    """Raises: ApiError Forbidden for whoever may patch objects, but not create one by an apply."""
    user, kind = call.user, call.kind
    if user.is_admin:
        return
    asked = Attributes(
        "create", kind.group, kind.version, kind.plural, namespace=call.namespace, name=call.name
    )
    decision = call.api.access.decide(user, asked)
    if not decision.allowed:
        raise refusal(user, asked, decision.reason)


# ---------------------------------------------------------------------------------------------------- what comes in


async def read_object(call: Call, kind: Kind[T], *, older: Kind[T] | None = None) -> T:
    """Return the request's object, after the unknown fields have been refused or warned of.

    `older` is a version of the same form that is taken, too.

    Raises: ApiError BadRequest, UnsupportedMediaType, RequestEntityTooLarge.
    """
    validation = call.options.validation
    twice: list[str] = []
    body = await read_document(call.request, call.means.settings.max_body_bytes, kind, twice)
    if older is not None and _version_of(body) == older.api_version:
        kind = older
    looked: tuple[T, tuple[str, ...]] = await aside(body, _look_through, kind, body, validation)
    obj, found = looked
    _report_unknown(call, kind, validation, (*twice, *found))
    return obj


class _Version(msgspec.Struct, rename="camel"):
    api_version: str = ""


def _version_of(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Version).api_version
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""  # which is told when the object is read


def _look_through(kind: Kind[T], body: bytes, validation: str) -> tuple[T, tuple[str, ...]]:
    obj: T = decode(kind, body)
    check_values(kind, body)
    found: tuple[str, ...] = () if validation == IGNORE else find_unknown_fields(kind, body)
    return obj, found


async def read_patch(call: Call, kind: Kind[Any]) -> Patch:
    """Return the request's patch; one in YAML has become JSON.

    Raises: ApiError UnsupportedMediaType, BadRequest, Invalid, RequestEntityTooLarge.
    """
    media_type = media_type_of(call.request)
    if media_type not in _PATCH_TYPES:
        raise unsupported(media_type, _PATCH_TYPES)
    validation = call.options.validation
    body = await read_body(call.request, call.means.settings.max_body_bytes)
    twice: list[str] = []
    if media_type == PatchType.APPLY.value and not _is_json(body):
        body = await aside(body, yaml_to_json, body, twice)
    await aside(body, check_shape, body)
    if media_type == PatchType.JSON.value:
        call.result_validation = validation  # only what comes out of it can be compared with the kind
        check_operations(body)
        return Patch(media_type, body)
    check_values(kind, body)
    quick = (
        media_type == PatchType.APPLY.value and not twice and says_all_once(body, msgspec.json.decode(body))
    )
    if validation != IGNORE and not quick:
        found = (*twice, *await aside(body, find_unknown_fields, kind, body))
        found = tuple(sentence for sentence in found if "$" not in sentence)
        if media_type == PatchType.APPLY.value:
            # What its kind doesn't know at all an apply doesn't take anyway.
            _report_unknown(call, kind, validation, tuple(filter(_is_about_doubles, found)))
        elif found and validation == STRICT:
            raise strict_patch_error(found, body.decode(errors="replace"))
        else:
            call.warnings.extend(found)
    return Patch(media_type, body, force=call.query.flag("force"))


_PATCH_TYPES = tuple(kind.value for kind in PatchType)


def _is_json(body: bytes) -> bool:
    """Say whether an applied document is JSON, as most are; all else goes through the slower reader of YAML."""
    if body[:1] != b"{":
        return False
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    return True


def _is_about_doubles(sentence: str) -> bool:
    return not sentence.startswith("unknown field")


def _report_unknown(call: Call, kind: Kind[Any], validation: str, found: tuple[str, ...]) -> None:
    if not found or validation == IGNORE:
        return
    if validation == STRICT:
        raise strict_error(kind, found)
    call.warnings.extend(found)


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
    return encode(obj) if record is None else render_stored(call.kind, record)


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
