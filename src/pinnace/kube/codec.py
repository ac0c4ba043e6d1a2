"""Bytes to objects and back, with Kubernetes' words for what can't be read.

Called by the edges for what clients send, and by the write path for what the store keeps. The fast path is one pass of
msgspec; only a document that it refuses is looked at again: `null` means absence, and a wrong type becomes an error that
names the field. Never applies defaults and never validates values.

Invariant: decode(kind, encode(obj)) == obj.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NoReturn, TypeVar

import msgspec

from pinnace.base.errors import ApiError, Reason
from pinnace.kube.custom_codec import custom_from_values, encode_custom
from pinnace.kube.kinds import Kind
from pinnace.kube.mismatch import describe, find_mismatch, handled
from pinnace.kube.objects.custom import CustomObject
from pinnace.kube.raw_fields import with_raw_fields
from pinnace.kube.schema import Form, Shape
from pinnace.kube.strict import find_unknown_fields, find_unknown_in, strict_error, strict_patch_error

__all__ = [
    "Header",
    "decode",
    "decode_header",
    "decode_json",
    "encode",
    "find_unknown_fields",
    "find_unknown_in",
    "from_json",
    "strict_error",
    "strict_patch_error",
    "to_json",
    "without_nulls",
]

T = TypeVar("T")

_ENCODER = msgspec.json.Encoder()


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
    return encode_custom(obj) if type(obj) is CustomObject else _ENCODER.encode(obj)


def decode(kind: Kind[T], data: bytes) -> T:
    """Return the object that a document holds; one that doesn't say its kind is of the expected one.

    Raises: ApiError BadRequest if it is no JSON, of another kind or version, or a field has the wrong type.
    """
    if kind.custom is not None:
        return from_json(kind, decode_json(data, kind=kind))
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
    return msgspec.json.decode(encode(obj))


def from_json(kind: Kind[T], value: Any) -> T:
    """Return the object that plain values describe; they are not changed.

    Raises: ApiError BadRequest as `decode` does.
    """
    if not isinstance(value, dict):
        _refuse(
            kind, f"json: cannot unmarshal {describe(value)} into Go value of type {kind.version}.{kind.kind}"
        )
    said = (value.get("apiVersion") or kind.api_version, value.get("kind") or kind.kind)
    if isinstance(said[0], str) and isinstance(said[1], str):
        _check_header(kind, *said)
    if kind.custom is not None:
        return custom_from_values(kind, value, kind.api_version)  # type: ignore[return-value]
    try:
        return msgspec.convert(with_raw_fields(value), kind.type)
    except msgspec.ValidationError:
        return _convert_without_nulls(kind, value)
    except RecursionError as error:
        _refuse(kind, str(error))


def _convert_without_nulls(kind: Kind[T], value: Any) -> T:
    clean = without_nulls(value, Shape(Form.STRUCT, struct=kind.type))  # type: ignore[arg-type]
    try:
        return msgspec.convert(with_raw_fields(clean), kind.type)
    except msgspec.ValidationError as error:
        mismatch = find_mismatch(kind.type, clean)
        _refuse(kind, mismatch.render() if mismatch else str(error))


def without_nulls(value: Any, shape: Shape) -> Any:
    """Return plain values with each `null` gone: a field is absent, an item or a map's value is empty.

    Source: Go's encoding/json, Unmarshal: null leaves the zero value.
    """
    if shape.form is Form.STRUCT and isinstance(value, dict):
        schema = shape.schema
        assert schema is not None
        fields = schema.fields
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


def _refuse(kind: Kind[Any], why: str) -> NoReturn:
    raise ApiError(Reason.BAD_REQUEST, handled(kind, why)) from None


def _refuse_json(kind: Kind[Any], error: Exception) -> NoReturn:
    raise ApiError(
        Reason.BAD_REQUEST,
        f"the object provided is unrecognized (must be of type {kind.kind}): couldn't get version/kind; json parse error: {error}",
    ) from None
