"""What fields a struct has on the wire, and how they merge: read once from the types and the generated merge table.

The codec walks raw documents with it (unknown fields, nulls, wrong types), patch and server-side apply walk plain JSON
values. Derived on demand and kept; never written by hand, so that types and schema can't differ.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache
from typing import Any

import msgspec

from pinnace.kube.objects import merge


class Form(Enum):
    """What a value looks like on the wire."""

    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    NUMBER = "number"
    QUANTITY = "quantity"
    INT_OR_STRING = "int-or-string"
    FREE = "free"
    STRUCT = "struct"
    LIST = "list"
    MAP = "map"


@dataclass(frozen=True, slots=True)
class Shape:
    """The form of a value; `struct` is a STRUCT's type, `item` the shape of a LIST's items or a MAP's values.

    A STRUCT of a custom kind has no type but `own` fields. A FREE value of a custom kind is `deduced`: its maps are
    owned field by field, its lists as a whole; one of a struct is owned as a whole.
    """

    form: Form
    struct: type[msgspec.Struct] | None = None
    item: Shape | None = None
    own: StructSchema | None = None
    deduced: bool = False

    @property
    def schema(self) -> StructSchema | None:
        """The fields of a STRUCT, None for all else."""
        return schema_of(self.struct) if self.struct is not None else self.own


@dataclass(frozen=True, slots=True)
class FieldSchema:
    """One field of a struct.

    `strategies` are strategic merge patch's ("merge", "replace", "retainKeys"), with `merge_key`; `topology` is
    server-side apply's ("atomic", "set", "map", "granular", "" for the form's own default) with `keys`. `default` is a
    custom kind's (None: there is none): where the field is a key, an item without it has that one.
    """

    wire: str
    attribute: str
    shape: Shape
    strategies: frozenset[str] = frozenset()
    merge_key: str = ""
    topology: str = ""
    keys: tuple[str, ...] = ()
    default: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class StructSchema:
    """All fields of a struct by wire name; an `atomic` one is owned as a whole, an `open` one keeps fields that it doesn't know."""

    name: str
    fields: Mapping[str, FieldSchema] = field(default_factory=dict)
    atomic: bool = False
    open: bool = False


_SCALARS: Mapping[frozenset[object], Form] = {
    frozenset({str}): Form.STRING,
    frozenset({int}): Form.INTEGER,
    frozenset({bool}): Form.BOOLEAN,
    frozenset({float}): Form.NUMBER,
    frozenset({str, int, float}): Form.QUANTITY,
    frozenset({int, str}): Form.INT_OR_STRING,
    frozenset({Any}): Form.FREE,
}
_FREE = Shape(Form.FREE)


def shape_of(annotation: Any) -> Shape:
    """Return the shape of an annotation; `| None` makes no difference."""
    if isinstance(annotation, (types.UnionType, typing._UnionGenericAlias)):  # type: ignore[attr-defined]
        members = frozenset(typing.get_args(annotation)) - {type(None)}
    else:
        members = frozenset({annotation})
    if form := _SCALARS.get(members):
        return Shape(form)
    (one,) = members
    if isinstance(one, type) and issubclass(one, msgspec.Struct):
        return Shape(Form.STRUCT, struct=one)
    origin, args = typing.get_origin(one), typing.get_args(one)
    if origin is tuple:
        return Shape(Form.LIST, item=shape_of(args[0]))
    if origin is dict:
        item = shape_of(args[1])
        return _FREE if item.form is Form.FREE else Shape(Form.MAP, item=item)
    return _FREE


@cache
def struct_shape(struct: Any) -> Shape:
    """Return the shape of a whole struct."""
    return Shape(Form.STRUCT, struct=struct)


@cache
def schema_of(struct: type[Any]) -> StructSchema:
    """Return the schema of a struct."""
    name = f"{struct.__module__.rpartition('.')[2]}.{struct.__name__}"
    rows = merge.ROWS.get(name, {})
    fields = {}
    for info in msgspec.structs.fields(struct):
        strategies, merge_key, topology, keys = rows.get(info.encode_name, ("", "", "", ()))
        fields[info.encode_name] = FieldSchema(
            info.encode_name,
            info.name,
            shape_of(info.type),
            frozenset(filter(None, strategies.split(","))),
            merge_key,
            topology,
            keys,
        )
    if name == "apiextensions_v1.CustomResourceValidation":
        fields["openAPIV3Schema"] = replace(fields["openAPIV3Schema"], shape=_json_schema())
    return StructSchema(name, fields, name in merge.ATOMIC)


@cache
def _json_schema() -> Shape:
    """Return the shape of a schema in a CustomResourceDefinition: its parts are schemas, too."""
    from pinnace.kube.structural.keywords import FLAG, KEYWORDS, NAMED, SCHEMAS, TEXT

    fields: dict[str, FieldSchema] = {}
    whole = Shape(Form.STRUCT, own=StructSchema("apiextensions_v1.JSONSchemaProps", fields))
    forms = {TEXT: Shape(Form.STRING), FLAG: Shape(Form.BOOLEAN), NAMED: Shape(Form.MAP, item=whole)}
    for keyword, form in KEYWORDS.items():
        topology = ""
        if form == SCHEMAS:
            shape, topology = Shape(Form.LIST, item=whole), "atomic"
        elif form.startswith("schema"):
            shape = whole
        elif form in ("array", "strings", "objects"):
            shape, topology = Shape(Form.LIST, item=_FREE), "atomic"
        else:
            shape = forms.get(form, _FREE)
        fields[keyword] = FieldSchema(keyword, keyword, shape, topology=topology)
    return whole
