"""Says how the parts of a kind's objects merge: granular or atomic, set or map, and by which keys.

Compiled once per kind from its shape, into the few nodes that the walkers of this package need. Pure.
Source: Kubernetes v1.37, kube-openapi/pkg/schemaconv (openapi.go, smd.go); structured-merge-diff v6, schema/elements.go
Invariant: nodes are never changed after they are built; one kind has one root.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec

from pinnace.kube.kinds import Kind
from pinnace.kube.schema import FieldSchema, Form, Shape, StructSchema

ATOMIC, SET, MAP = "atomic", "set", "map"


@dataclass(slots=True, eq=False)
class Scalar:
    """A value without parts, or whose parts nobody owns alone. `accepts` is None for a value of any form."""

    name: str
    accepts: frozenset[type] | None


@dataclass(slots=True, eq=False)
class Record:
    """A struct or a map: named `fields`, and `rest` for all other names (None: there are none).

    `zero` has what an empty object shows of its fields on the wire: value structs, required lists and scalars. A
    `deduced` one has no schema: what is no map is a leaf.
    """

    fields: dict[str, Type] = field(default_factory=dict)
    rest: Type | None = None
    atomic: bool = False
    zero: dict[str, Any] = field(default_factory=dict)
    deduced: bool = False

    def below(self, name: str) -> Type | None:
        """Return the type of a field, None for one that isn't known."""
        return self.fields.get(name, self.rest)


@dataclass(slots=True, eq=False)
class Sequence:
    """A list. `relation` is ATOMIC, SET (items are their own key) or MAP (`keys`, with `defaults` for missing ones)."""

    item: Type
    relation: str = ATOMIC
    keys: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)


Type = Scalar | Record | Sequence

OPAQUE: Final = Scalar("opaque", None)
DEDUCED: Final = Record(deduced=True)
DEDUCED.rest = DEDUCED

_STRING: Final = Scalar("string", frozenset({str}))
_BOOLEAN: Final = Scalar("boolean", frozenset({bool}))
_NUMERIC: Final = Scalar("numeric", frozenset({int, float}))
_UNTYPED: Final = Scalar("untyped", frozenset({str, int, float, bool}))
QUANTITY: Final = Scalar("untyped", frozenset({str, int, float, bool}))
_SCALARS: Final[Mapping[Form, Scalar]] = {
    Form.STRING: _STRING,
    Form.BOOLEAN: _BOOLEAN,
    Form.INTEGER: _NUMERIC,
    Form.NUMBER: _NUMERIC,
    Form.QUANTITY: QUANTITY,
    Form.INT_OR_STRING: _UNTYPED,
}
# Keys of list items that are filled in when they are missing, by the items' struct; required ones are "" or 0 else.
# Source: Kubernetes v1.37, the defaults in its OpenAPI definitions
_KEY_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "core_v1.ContainerPort": {"protocol": "TCP"},
    "core_v1.LocalObjectReference": {"name": ""},
    "core_v1.ServicePort": {"protocol": "TCP"},
}

_roots: WeakKeyDictionary[Kind[Any], Record] = WeakKeyDictionary()


def type_of(kind: Kind[Any]) -> Record:
    """Return the type of a kind's whole object."""
    found = _roots.get(kind)
    if found is None:
        compiled = _compile_shape(kind.shape, {})
        assert isinstance(compiled, Record)
        found = _roots[kind] = compiled
    return found


def _compile_shape(shape: Shape, known: dict[int, Record]) -> Type:
    if shape.form is Form.STRUCT:
        schema = shape.schema
        return DEDUCED if schema is None else _compile_struct(schema, shape, known)
    if shape.form is Form.MAP:
        assert shape.item is not None
        return Record(rest=_compile_shape(shape.item, known))
    if shape.form is Form.LIST:
        assert shape.item is not None
        return Sequence(_compile_shape(shape.item, known))
    if shape.form is Form.FREE:
        return DEDUCED if shape.deduced else OPAQUE
    return _SCALARS[shape.form]


def _compile_struct(schema: StructSchema, shape: Shape, known: dict[int, Record]) -> Record:
    record = known.get(id(schema))
    if record is None:
        record = known[id(schema)] = Record(atomic=schema.atomic, rest=DEDUCED if schema.open else None)
        if not schema.fields and shape.struct is None and not schema.atomic:
            record.rest = DEDUCED  # an object without properties is free-form
        for name, row in schema.fields.items():
            record.fields[name] = _compile_field(row, known)
        if shape.struct is not None:
            record.zero = _find_zero(shape.struct)
    return record


def _compile_field(row: FieldSchema, known: dict[int, Record]) -> Type:
    compiled = _compile_shape(row.shape, known)
    if isinstance(compiled, Sequence):
        return _compile_list(row, compiled.item)
    if isinstance(compiled, Record) and row.topology in (ATOMIC, "granular") and compiled is not DEDUCED:
        atomic = row.topology == ATOMIC
        if compiled.atomic != atomic:
            return Record(compiled.fields, compiled.rest, atomic, compiled.zero)
    return compiled


def _compile_list(row: FieldSchema, item: Type) -> Sequence:
    if row.topology == SET:
        return Sequence(item, SET)
    if row.topology == MAP:
        return Sequence(item, MAP, row.keys, _defaults_of(row.keys, row, item))
    if not row.topology and "merge" in row.strategies:
        # Lists that say nothing of their own merge as strategic merge patch does.
        keys = (row.merge_key,)
        return (
            Sequence(item, MAP, keys, _defaults_of(keys, row, item)) if row.merge_key else Sequence(item, SET)
        )
    return Sequence(item)


def _defaults_of(keys: tuple[str, ...], row: FieldSchema, item: Type) -> Mapping[str, Any]:
    """Return what stands for keys that an item lacks: their default, or the zero value of required ones."""
    schema = row.shape.item.schema if row.shape.item is not None else None
    if schema is None or not isinstance(item, Record):
        return {}
    own = {key: schema.fields[key].default for key in keys if key in schema.fields}
    given = {key: default for key, default in own.items() if default is not None}
    required = {key: item.zero[key] for key in keys if key in item.zero}
    return {**required, **_KEY_DEFAULTS.get(schema.name, {}), **given}


def _find_zero(struct: type[Any]) -> dict[str, Any]:
    zero: dict[str, Any] = {}
    for info in msgspec.structs.fields(struct):
        if info.default_factory is msgspec.NODEFAULT or info.default_factory in (dict, tuple, list):
            continue
        value = info.default_factory()
        if isinstance(value, msgspec.Struct):
            zero[info.encode_name] = {}
        else:
            zero[info.encode_name] = [] if value == () else value
    return zero
