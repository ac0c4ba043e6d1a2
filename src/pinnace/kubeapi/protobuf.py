"""Reads objects that clients send as protobuf, into the JSON that everything behind the edge understands. Pure.

`kubectl create namespace` and other typed clients send nothing else; what they accept as an answer includes JSON, so that
nothing needs to be written. Field numbers come from `protobuf_fields.json` (made by tools/generate_protobuf.py), what a
value looks like from our own structs.

Invariant: every message either becomes JSON or an ApiError; unknown fields are skipped, as protobuf asks.
Source: Kubernetes v1.36, apimachinery/pkg/runtime/serializer/protobuf (the envelope) and the types' protobuf tags.
"""

import base64
import struct
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import msgspec

from pinnace.base.errors import ApiError, Reason
from pinnace.base.times import render_micro_time, render_time
from pinnace.kube.kinds import Kind
from pinnace.kube.schema import FieldSchema, Form, Shape, schema_of

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"

_MAGIC = b"k8s\x00"  # Source: serializer/protobuf/protobuf.go, protoEncodingPrefix
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH = 100

Value = int | bytes


class _Rule(NamedTuple):
    """How one field number is read. `name` "" with `inline` is an embedded struct."""

    name: str
    marks: str = ""
    inline: str = ""


class _Malformed(ValueError):
    """The bytes are no protobuf message of the expected kind."""


def protobuf_to_json(kind: Kind[Any], body: bytes) -> bytes:
    """Return the object in the envelope as JSON. Raises: ApiError BadRequest."""
    try:
        api_version, name, raw = _open_envelope(body)
        fields = _read_struct(kind.type, raw, _MAX_DEPTH)
    except (_Malformed, UnicodeDecodeError, struct.error, OverflowError, ValueError) as error:
        raise ApiError(
            Reason.BAD_REQUEST,
            f"the object provided is unrecognized (must be of type {kind.kind}): {error}",
        ) from None
    return msgspec.json.encode({"apiVersion": api_version, "kind": name, **fields})


def _open_envelope(body: bytes) -> tuple[str, str, bytes]:
    if not body.startswith(_MAGIC):
        raise _Malformed("the body does not begin as Kubernetes' protobuf does")
    api_version = name = ""
    raw = b""
    for number, value in _read_fields(body[len(_MAGIC) :]):
        if number == 1:
            for part, text in _read_fields(_as_bytes(value)):
                if part == 1:
                    api_version = _as_bytes(text).decode()
                elif part == 2:
                    name = _as_bytes(text).decode()
        elif number == 2:
            raw = _as_bytes(value)
        elif number == 3 and value:
            raise _Malformed("an encoded envelope is not understood")
    return api_version, name, raw


# ---------------------------------------------------------------------------------------------------- structs


@cache
def _rules() -> Mapping[str, Mapping[int, _Rule]]:
    text = (resources.files("pinnace.kubeapi") / "protobuf_fields.json").read_bytes()
    structs: dict[str, dict[str, str]] = msgspec.json.decode(text)
    return {
        name: {int(number): _parse_rule(rule) for number, rule in rules.items()}
        for name, rules in structs.items()
    }


def _parse_rule(text: str) -> _Rule:
    if text.startswith(">"):
        return _Rule("", inline=text[1:])
    name, _, marks = text.partition(" ")
    return _Rule(name, marks)


def _read_struct(type_: type[msgspec.Struct], data: bytes, depth: int) -> dict[str, Any]:
    schema = schema_of(type_)
    fields: dict[str, Any] = {}
    _read_into(fields, schema.name, schema.fields, data, depth)
    return fields


def _read_into(
    fields: dict[str, Any], name: str, known: Mapping[str, FieldSchema], data: bytes, depth: int
) -> None:
    if depth == 0:
        raise _Malformed("exceeded max depth")
    rules = _rules().get(name, {})
    for number, value in _read_fields(data):
        rule = rules.get(number)
        if rule is None:
            continue
        if rule.inline:
            _read_into(fields, rule.inline, known, _as_bytes(value), depth - 1)
        elif rule.name in known:
            _set_field(fields, rule, known[rule.name].shape, value, depth)


def _set_field(fields: dict[str, Any], rule: _Rule, shape: Shape, value: Value, depth: int) -> None:
    if shape.form is Form.LIST and shape.item is not None:
        items = fields.setdefault(rule.name, [])
        items += _read_items(shape.item, rule.marks, value, depth)
        return
    if shape.form is Form.MAP and shape.item is not None:
        key, item = _read_entry(shape.item, rule.marks, value, depth)
        fields.setdefault(rule.name, {})[key] = item
        return
    read = _read_value(shape, rule.marks, value, depth)
    # Go writes the zero of a field that is not a pointer, and means by it that nothing was said.
    if read is None or (not read and "*" not in rule.marks and not isinstance(read, dict)):
        return
    fields[rule.name] = read


def _read_items(item: Shape, marks: str, value: Value, depth: int) -> list[Any]:
    if item.form is Form.INTEGER and isinstance(value, bytes):  # packed
        return [_signed(number) for number in _read_varints(value)]
    return [_read_value(item, marks, value, depth)]


def _read_entry(item: Shape, marks: str, value: Value, depth: int) -> tuple[str, Any]:
    key, found = "", None
    for number, part in _read_fields(_as_bytes(value)):
        if number == 1:
            key = _as_bytes(part).decode()
        elif number == 2:
            found = _read_value(item, marks, part, depth)
    return key, _EMPTY.get(item.form) if found is None else found


_EMPTY: Mapping[Form, Any] = {Form.STRING: "", Form.LIST: [], Form.MAP: {}, Form.STRUCT: {}, Form.INTEGER: 0}


def _read_value(shape: Shape, marks: str, value: Value, depth: int) -> Any:
    match shape.form:
        case Form.STRUCT if shape.struct is not None:
            return _read_struct(shape.struct, _as_bytes(value), depth - 1)
        case Form.STRING:
            return _read_text(marks, _as_bytes(value))
        case Form.BOOLEAN:
            return bool(_as_int(value))
        case Form.INTEGER:
            return _signed(_as_int(value))
        case Form.NUMBER:
            return struct.unpack("<d", _as_bytes(value))[0]
        case Form.QUANTITY:
            return _first_text(_as_bytes(value))
        case Form.INT_OR_STRING:
            return _read_int_or_string(_as_bytes(value))
        case Form.LIST if shape.item is not None:  # a named list inside a map: a message around it
            item = shape.item
            return [
                _read_value(item, marks, part, depth)
                for number, part in _read_fields(_as_bytes(value))
                if number == 1
            ]
        case Form.FREE if "r" in marks:
            return _read_raw(_as_bytes(value))
    return None


def _read_text(marks: str, data: bytes) -> str | None:
    if "t" in marks or "u" in marks:
        return _read_time(data, micro="u" in marks)
    if "b" in marks:
        return base64.b64encode(data).decode()
    return data.decode()


def _read_time(data: bytes, *, micro: bool) -> str | None:
    parts = dict(_read_fields(data))
    if not parts:
        return None
    now = _signed(_as_int(parts.get(1, 0))) + _signed(_as_int(parts.get(2, 0))) / 1e9
    return render_micro_time(now) if micro else render_time(now)


def _first_text(data: bytes) -> str:
    return next((_as_bytes(value).decode() for number, value in _read_fields(data) if number == 1), "0")


def _read_int_or_string(data: bytes) -> int | str:
    parts = dict(_read_fields(data))
    if _as_int(parts.get(1, 0)) == 1:
        return _as_bytes(parts.get(3, b"")).decode()
    return _signed(_as_int(parts.get(2, 0)))


def _read_raw(data: bytes) -> Any:
    raw = next((_as_bytes(value) for number, value in _read_fields(data) if number == 1), b"")
    try:
        return msgspec.json.decode(raw) if raw else None
    except msgspec.DecodeError as error:
        raise _Malformed(str(error)) from None


# ---------------------------------------------------------------------------------------------------- the wire


def _read_fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Yield each field's number and its bytes or number. Source: Protocol Buffers, "Encoding"."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _read_varint(data, at)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise _Malformed("a field has number 0")
        if wire == _VARINT:
            value, at = _read_varint(data, at)
            yield number, value
            continue
        if wire == _BYTES:
            size, at = _read_varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise _Malformed(f"wire type {wire} is not understood")
        if size > end - at:
            raise _Malformed("unexpected end of the message")
        yield number, data[at : at + size]
        at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data):
            raise _Malformed("unexpected end of the message")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift >= 70:
            raise _Malformed("a number has too many digits")


def _read_varints(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _read_varint(data, at)
        yield value


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >= 1 << 63 else value


def _as_bytes(value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    raise _Malformed("a number stands where a message or text was expected")


def _as_int(value: Value) -> int:
    if isinstance(value, int):
        return value
    raise _Malformed("a message or text stands where a number was expected")
