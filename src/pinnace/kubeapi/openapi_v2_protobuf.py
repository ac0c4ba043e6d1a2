"""Writes an OpenAPI v2 document as protobuf, as old clients read it. Pure.

One table of messages; the numbers are the format's. Source: google/gnostic-models, openapiv2/OpenAPIv2.proto. What the table
doesn't name, our documents don't say.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

_VARINT, _FIXED64, _BYTES = 0, 1, 2

Write = Callable[[int, Any], bytes]


def encode_document(document: dict[str, Any]) -> bytes:
    """Return a document's bytes."""
    return _message(_DOCUMENT, document)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # negative numbers are ten bytes long
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(data)) + data


def _text(number: int, value: Any) -> bytes:
    return _field(number, str(value).encode(errors="replace"))


def _flag(number: int, value: Any) -> bytes:
    return _varint(number << 3 | _VARINT) + b"\1" if value else b""


def _integer(number: int, value: Any) -> bytes:
    return _varint(number << 3 | _VARINT) + _varint(int(value))


def _double(number: int, value: Any) -> bytes:
    return _varint(number << 3 | _FIXED64) + struct.pack("<d", float(value))


def _each(write: Write) -> Write:
    return lambda number, values: b"".join(write(number, value) for value in values)


def _any(number: int, value: Any) -> bytes:
    """An `Any` holds YAML, of which JSON is a part."""
    return _field(number, _text(2, msgspec.json.encode(value).decode()))


def _message(table: Mapping[str, tuple[int, Write]], value: Mapping[str, Any]) -> bytes:
    parts, extensions = [], []
    for name, part in value.items():
        row = table.get(name)
        if row is not None:
            parts.append(row[1](row[0], part))
        elif name.startswith("x-") and _EXTENSIONS in table:
            extensions.append(_field(table[_EXTENSIONS][0], _text(1, name) + _any(2, part)))
    return b"".join((*parts, *extensions))


_EXTENSIONS = "x-"


def _of(table: Mapping[str, tuple[int, Write]]) -> Write:
    return lambda number, value: _field(number, _message(table, value))


def _named(inner: int, write: Write) -> Write:
    """A map: a message of named entries."""

    def encode(number: int, value: Mapping[str, Any]) -> bytes:
        entries = (_field(inner, _text(1, name) + write(2, part)) for name, part in value.items())
        return _field(number, b"".join(entries))

    return encode


def _schema(number: int, value: Any) -> bytes:
    return _field(number, _message(_SCHEMA, value))


def _wrapped(inner: int, write: Write) -> Write:
    """A message with one member."""
    return lambda number, value: _field(number, write(inner, value))


def _additional(number: int, value: Any) -> bytes:
    return _field(
        number, _schema(1, value) if isinstance(value, dict) else _varint(2 << 3) + bytes((bool(value),))
    )


def _types(number: int, value: Any) -> bytes:
    return _field(number, _each(_text)(1, value if isinstance(value, list) else [value]))


def _parameter(number: int, value: Mapping[str, Any]) -> bytes:
    if value["in"] == "body":
        one = _field(1, _message(_BODY_PARAMETER, value))
    else:
        table, place = (_PATH_PARAMETER, 4) if value["in"] == "path" else (_QUERY_PARAMETER, 3)
        one = _field(2, _field(place, _message(table, value)))
    return _field(number, _field(1, one))


_SCHEMA: dict[str, tuple[int, Write]] = {
    "$ref": (1, _text),
    "format": (2, _text),
    "title": (3, _text),
    "description": (4, _text),
    "default": (5, _any),
    "multipleOf": (6, _double),
    "maximum": (7, _double),
    "exclusiveMaximum": (8, _flag),
    "minimum": (9, _double),
    "exclusiveMinimum": (10, _flag),
    "maxLength": (11, _integer),
    "minLength": (12, _integer),
    "pattern": (13, _text),
    "maxItems": (14, _integer),
    "minItems": (15, _integer),
    "uniqueItems": (16, _flag),
    "maxProperties": (17, _integer),
    "minProperties": (18, _integer),
    "required": (19, _each(_text)),
    "enum": (20, _each(_any)),
    "additionalProperties": (21, _additional),
    "type": (22, _types),
    "items": (23, _wrapped(1, _schema)),
    "properties": (25, _named(1, _schema)),
    "example": (30, _any),
    _EXTENSIONS: (31, _any),
}
_BODY_PARAMETER: dict[str, tuple[int, Write]] = {
    "description": (1, _text),
    "name": (2, _text),
    "in": (3, _text),
    "required": (4, _flag),
    "schema": (5, _schema),
}
_QUERY_PARAMETER: dict[str, tuple[int, Write]] = {
    "required": (1, _flag),
    "in": (2, _text),
    "description": (3, _text),
    "name": (4, _text),
    "type": (6, _text),
    "format": (7, _text),
    "uniqueItems": (20, _flag),
}
_PATH_PARAMETER: dict[str, tuple[int, Write]] = {
    "required": (1, _flag),
    "in": (2, _text),
    "description": (3, _text),
    "name": (4, _text),
    "type": (5, _text),
    "format": (6, _text),
    "uniqueItems": (19, _flag),
}
_RESPONSE: dict[str, tuple[int, Write]] = {"description": (1, _text), "schema": (2, _wrapped(1, _schema))}
_OPERATION: dict[str, tuple[int, Write]] = {
    "description": (3, _text),
    "operationId": (5, _text),
    "produces": (6, _each(_text)),
    "consumes": (7, _each(_text)),
    "parameters": (8, _each(_parameter)),
    "responses": (9, _named(1, _wrapped(1, _of(_RESPONSE)))),
    _EXTENSIONS: (13, _any),
}
_PATH_ITEM: dict[str, tuple[int, Write]] = {
    "get": (2, _of(_OPERATION)),
    "put": (3, _of(_OPERATION)),
    "post": (4, _of(_OPERATION)),
    "delete": (5, _of(_OPERATION)),
    "options": (6, _of(_OPERATION)),
    "head": (7, _of(_OPERATION)),
    "patch": (8, _of(_OPERATION)),
    "parameters": (9, _each(_parameter)),
}
_DOCUMENT: dict[str, tuple[int, Write]] = {
    "swagger": (1, _text),
    "info": (2, _of({"title": (1, _text), "version": (2, _text)})),
    "paths": (8, _named(2, _of(_PATH_ITEM))),
    "definitions": (9, _named(1, _schema)),
}
