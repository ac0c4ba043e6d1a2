"""Bytes to objects and back, with Kubernetes' words for what can't be read.

Called by the edges for what clients send, and by the write path for what the store keeps. The fast path is one pass of
msgspec; only a document that it refuses is looked at again: `null` means absence, and a wrong type becomes an error that
names the field. Never applies defaults and never validates values.

Invariant: decode(kind, encode(obj)) == obj.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, NoReturn, TypeVar

import msgspec

from pinnace.base.errors import ApiError, Reason
from pinnace.kube.kinds import Kind
from pinnace.kube.mismatch import describe, find_mismatch
from pinnace.kube.schema import Form, Shape, schema_of

T = TypeVar("T")

_ENCODER = msgspec.json.Encoder()
MAX_UNKNOWN_FIELDS = 100  # enough for a person to act on; a bound for the answer's size


class Header(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The two fields by which a document says what it is."""

    api_version: str = ""
    kind: str = ""


_HEADER_DECODER = msgspec.json.Decoder(Header)


@cache
def _decoder(kind: Kind[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(kind.type)


def encode(obj: msgspec.Struct) -> bytes:
    """Return an object as JSON."""
    return _ENCODER.encode(obj)


def decode(kind: Kind[T], data: bytes) -> T:
    """Return the object that a document holds; one that doesn't say its kind is of the expected one.

    Raises: ApiError BadRequest if it is no JSON, of another kind or version, or a field has the wrong type.
    """
    try:
        obj: Any = _decoder(kind).decode(data)
    except msgspec.ValidationError:
        return from_json(kind, decode_json(data, kind=kind))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        _refuse_json(kind, error)
    _check_header(kind, obj.api_version, obj.kind)
    decoded: T = obj
    return decoded


def decode_header(data: bytes) -> Header:
    """Return what a document says that it is, "" for what it doesn't say.

    Raises: ApiError BadRequest if it is no JSON object.
    """
    try:
        return _HEADER_DECODER.decode(data)
    except msgspec.ValidationError:
        value = decode_json(data)
        if not isinstance(value, dict):
            raise ApiError(
                Reason.BAD_REQUEST,
                f"couldn't get version/kind; json parse error: {describe(value)} is no object",
            ) from None
        return Header(
            *(text if isinstance(text := value.get(name), str) else "" for name in ("apiVersion", "kind"))
        )
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ApiError(Reason.BAD_REQUEST, f"couldn't get version/kind; json parse error: {error}") from None


def decode_json(data: bytes, *, kind: Kind[Any] | None = None) -> Any:
    """Return a document as plain values.

    Raises: ApiError BadRequest if it is no JSON.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        if kind:
            _refuse_json(kind, error)
        raise ApiError(Reason.BAD_REQUEST, f"json parse error: {error}") from None


def to_json(obj: msgspec.Struct) -> Any:
    """Return an object as plain values that may be changed: dicts, lists, strings, numbers, booleans."""
    return msgspec.json.decode(_ENCODER.encode(obj))


def from_json(kind: Kind[T], value: Any) -> T:
    """Return the object that plain values describe; they are not changed.

    Raises: ApiError BadRequest as `decode` does.
    """
    if not isinstance(value, dict):
        _refuse(
            kind, f"json: cannot unmarshal {describe(value)} into Go value of type {kind.version}.{kind.kind}"
        )
    api_version, name = value.get("apiVersion"), value.get("kind")
    if isinstance(api_version, str) and isinstance(name, str):
        _check_header(kind, api_version or kind.api_version, name or kind.kind)
    shape = Shape(Form.STRUCT, struct=kind.type)  # type: ignore[arg-type]
    clean = without_nulls(value, shape)
    try:
        return msgspec.convert(clean, kind.type)
    except msgspec.ValidationError as error:
        mismatch = find_mismatch(kind.type, clean)
        _refuse(kind, mismatch.render() if mismatch else str(error))
    except RecursionError as error:
        _refuse(kind, str(error))


def without_nulls(value: Any, shape: Shape) -> Any:
    """Return plain values with each `null` gone: a field is absent, an item or a map's value is empty.

    Source: Go's encoding/json, Unmarshal: null leaves the zero value.
    """
    if shape.form is Form.STRUCT and isinstance(value, dict):
        assert shape.struct is not None
        fields = schema_of(shape.struct).fields
        return {
            name: without_nulls(part, fields[name].shape) if name in fields else part
            for name, part in value.items()
            if part is not None
        }
    if shape.form in (Form.LIST, Form.MAP) and shape.item is not None:
        item = shape.item
        if isinstance(value, list):
            return [_empty(item) if part is None else without_nulls(part, item) for part in value]
        if isinstance(value, dict):
            return {
                name: _empty(item) if part is None else without_nulls(part, item)
                for name, part in value.items()
            }
    return value


def _empty(shape: Shape) -> Any:
    empty = {
        Form.STRING: "",
        Form.LIST: [],
        Form.MAP: {},
        Form.STRUCT: {},
        Form.FREE: {},
        Form.BOOLEAN: False,
    }
    return empty.get(shape.form, 0)


def find_unknown_fields(kind: Kind[Any], data: bytes) -> tuple[str, ...]:
    """Return what a document says that its kind doesn't know, and what it says twice, by path.

    Shape: 'unknown field "spec.foo"' or 'duplicate field "spec.replicas"', in the document's order; unknown ones first
    within each object, as Kubernetes lists them. Empty for what is no JSON object.
    """
    try:
        pairs = json.loads(data, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return ()
    return _collect(_unknown(pairs, Shape(Form.STRUCT, struct=kind.type), ""))


def find_unknown_in(kind: Kind[Any], value: Any) -> tuple[str, ...]:
    """Return what plain values say that their kind doesn't know, by path; for a patch's result."""
    return _collect(_unknown(value, Shape(Form.STRUCT, struct=kind.type), ""))


def strict_error(kind: Kind[Any], found: tuple[str, ...]) -> ApiError:
    """Return the error for unknown and duplicate fields under fieldValidation=Strict."""
    return ApiError(Reason.BAD_REQUEST, _handled(kind, f"strict decoding error: {', '.join(found)}"))


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
    fields = schema_of(shape.struct).fields if shape.struct else {}
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
        else:
            yield f'unknown field "{prefix}{name}"'


def _check_header(kind: Kind[Any], api_version: str, name: str) -> None:
    if api_version == kind.api_version and name == kind.kind:
        return
    # Source: Kubernetes v1.36, apiserver/pkg/endpoints/handlers/create.go and rest.go, transformDecodeError.
    if name == kind.kind:
        raise ApiError(
            Reason.BAD_REQUEST,
            f"the API version in the data ({api_version}) does not match the expected API version ({kind.api_version})",
        )
    version = api_version.rpartition("/")[2]
    raise ApiError(Reason.BAD_REQUEST, f'{name} in version "{version}" cannot be handled as a {kind.kind}')


def _handled(kind: Kind[Any], why: str) -> str:
    return f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {why}'


def _refuse(kind: Kind[Any], why: str) -> NoReturn:
    raise ApiError(Reason.BAD_REQUEST, _handled(kind, why)) from None


def _refuse_json(kind: Kind[Any], error: Exception) -> NoReturn:
    raise ApiError(
        Reason.BAD_REQUEST,
        f"the object provided is unrecognized (must be of type {kind.kind}): couldn't get version/kind; json parse error: {error}",
    ) from None
