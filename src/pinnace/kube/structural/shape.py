"""Says how the parts of a custom object merge: its shape, made of its structural schema.

Called once per version of a definition; server-side apply, patches and strict checks walk it as they walk a struct's.
Source: Kubernetes v1.37, apiserver/pkg/endpoints/openapi and kube-openapi/pkg/schemaconv (smd.go, openapi.go)
"""

from __future__ import annotations

from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.kube.schema import FieldSchema, Form, Shape, StructSchema, struct_shape
from pinnace.kube.structural.schema import ABSENT, Structural

_FORMS = {
    "string": Form.STRING,
    "integer": Form.INTEGER,
    "number": Form.NUMBER,
    "boolean": Form.BOOLEAN,
}
_STRING = Shape(Form.STRING)
DEDUCED = Shape(Form.FREE, deduced=True)


def shape_of_structural(schema: Structural, name: str) -> Shape:
    """Return the shape of a whole object whose kind is `name`."""
    return Shape(Form.STRUCT, own=_struct(schema, name, whole=True))


def _struct(schema: Structural, name: str, *, whole: bool) -> StructSchema:
    fields = {field: _field(field, below, name) for field, below in schema.properties.items()}
    if whole:
        for field in ("apiVersion", "kind"):
            fields[field] = FieldSchema(field, field, _STRING)
        fields["metadata"] = FieldSchema("metadata", "metadata", struct_shape(ObjectMeta))
    keeps = schema.preserve or schema.additional is True
    return StructSchema(name, fields, schema.map_type == "atomic", keeps)


def _field(field: str, schema: Structural, name: str) -> FieldSchema:
    shape = _shape(schema, f"{name}.{field}")
    topology = ""
    keys: tuple[str, ...] = ()
    if schema.type == "array":
        topology = schema.list_type or "atomic"
        keys = schema.list_keys
    elif schema.map_type == "atomic":
        topology = "atomic"
    default = None if schema.default is ABSENT else schema.default
    return FieldSchema(field, field, shape, topology=topology, keys=keys, default=default)


def _shape(schema: Structural, name: str) -> Shape:
    if schema.int_or_string:
        return Shape(Form.INT_OR_STRING)
    if form := _FORMS.get(schema.type):
        return Shape(form)
    if schema.type == "array":
        item = _shape(schema.items, f"{name}[]") if schema.items is not None else DEDUCED
        return Shape(Form.LIST, item=item)
    if schema.embedded or schema.properties:
        return Shape(Form.STRUCT, own=_struct(schema, name, whole=schema.embedded))
    if isinstance(schema.additional, Structural):
        return Shape(Form.MAP, item=_shape(schema.additional, f"{name}[]"))
    if schema.type == "object" and not schema.preserve and schema.additional is None:
        return Shape(Form.STRUCT, own=_struct(schema, name, whole=False))
    return DEDUCED
