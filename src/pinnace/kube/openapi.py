"""OpenAPI v3 documents, one per group and version, made from the table of kinds and the published schemas.

Served by the Kubernetes API's edge: `kubectl apply`, `create`, `explain` and `diff` insist on them. A document is built
on first demand and only its bytes are kept; the parsed schemas are not.

Invariant: every `$ref` in a document is answered by the same document.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from pinnace.kube import openapi_paths
from pinnace.kube.kind_table import BUILT_IN, KindTable
from pinnace.kube.kinds import Kind
from pinnace.kube.openapi_words import describe_schemas
from pinnace.kube.schema import Form, Shape, schema_of
from pinnace.kube.structural.openapi import component_name, component_schemas, fingerprint

JsonObject = dict[str, Any]

_DATA = resources.files("pinnace.kube") / "openapi.json.gz"
_SOURCES = ("openapi.json.gz", "openapi.py", "openapi_paths.py", "openapi_words.py", "kinds.py")
_SCHEMAS = "#/components/schemas/"
# Groups whose definitions are not published; their schemas follow from our structs.
_OWN_PREFIXES = {
    "metrics_v1beta1": "io.k8s.metrics.pkg.apis.metrics.v1beta1",
    "pinnace_v1": "dev.pinnace.v1",
}


def openapi_v3_index(kinds: KindTable = BUILT_IN) -> bytes:
    """Return the answer to GET /openapi/v3: where each document is, with a hash that changes when it does."""
    paths = {_url_of(*pair): {"serverRelativeURL": document_url(*pair, kinds)} for pair in kinds.routes}
    return msgspec.json.encode({"paths": paths})


def document_url(group: str, version: str, kinds: KindTable = BUILT_IN) -> str:
    """Return where a document is; the hash at its end changes when the document does."""
    return f"/openapi/v3/{_url_of(group, version)}?hash={_hash_of(group, version, kinds)}"


@cache
def openapi_v3_hash() -> str:
    """Return what documents are known by to clients that cache them; it follows from all that they are made from."""
    digest = hashlib.sha256()
    folder = resources.files("pinnace.kube")
    sentences = (file for file in (folder / "descriptions").iterdir() if file.name.endswith(".txt"))
    for file in (*(folder / name for name in _SOURCES), *sorted(sentences, key=lambda file: file.name)):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:32].upper()


def _hash_of(group: str, version: str, kinds: KindTable) -> str:
    custom = [kind for kind in kinds.in_version(group, version) if kind.custom is not None]
    return fingerprint(custom) if custom else openapi_v3_hash()


def openapi_v3(group: str, version: str, kinds: KindTable = BUILT_IN) -> bytes:
    """Return the document of a group and version; "" is the core group.

    Raises: KeyError if it is not served.
    """
    rows = kinds.in_version(group, version)
    if not rows:
        raise KeyError(_url_of(group, version))
    if all(kind.custom is None for kind in rows):
        return _built_in(group, version)
    published = _basics() if all(kind.custom is not None for kind in rows) else _published()
    return msgspec.json.encode(_build(rows, published))


@cache
def _built_in(group: str, version: str) -> bytes:
    return msgspec.json.encode(_build(BUILT_IN.in_version(group, version), _published()))


def _published() -> JsonObject:
    published: JsonObject = msgspec.json.decode(gzip.decompress(_DATA.read_bytes()))
    return published


@cache
def _basics() -> JsonObject:
    """Return of what is published only what documents of custom kinds refer to."""
    published = _published()
    schemas: JsonObject = published["schemas"]
    meta = openapi_paths.META
    names = [f"{meta}.{name}" for name in ("DeleteOptions", "ListMeta", "ObjectMeta", "Patch", "Status")]
    wanted = [*names, "io.k8s.api.autoscaling.v1.Scale"]
    paths = {"": [{"$ref": _SCHEMAS + name} for name in wanted if name in schemas]}
    return {**published, "schemas": _closure(paths, schemas)}


def _url_of(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _build(rows: Sequence[Kind[Any]], published: JsonObject) -> JsonObject:
    schemas: JsonObject = dict(published["schemas"])
    for kind in rows:
        if kind.custom is not None:
            schemas |= component_schemas(kind)
            continue
        if (name := _name_of(kind, published)) not in schemas:
            schemas |= _own_schemas(kind, name)
    by_kind = {
        (row["group"], row["version"], row["kind"]): name
        for name, schema in schemas.items()
        for row in schema.get("x-kubernetes-group-version-kind", ())
    }

    def component(group: str, version: str, kind: str) -> str:
        # What exec, attach and portforward take are query parameters, not a body: any schema serves.
        return str(by_kind.get((group, version, kind), f"{openapi_paths.META}.Status"))

    paths = {path: item for kind in rows for path, item in openapi_paths.paths_of(kind, component)}
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": published["version"]},
        "paths": paths,
        "components": {"schemas": describe_schemas(_closure(paths, schemas), _modules(published))},
    }


def _modules(published: JsonObject) -> dict[str, str]:
    """Return how schemas' names begin -> the module of our structs."""
    return {prefix: module for module, prefix in (published["modules"] | _OWN_PREFIXES).items()}


def _name_of(kind: Kind[Any], published: JsonObject) -> str:
    if kind.custom is not None:
        return component_name(kind)
    module, _, name = kind.struct.partition(".")
    prefix = published["modules"].get(module) or _OWN_PREFIXES[module]
    return f"{prefix}.{name}"


def _closure(paths: JsonObject, schemas: JsonObject) -> JsonObject:
    """Return the schemas that paths name, and those that these name, and so on."""
    wanted = dict.fromkeys(_references(paths))
    queue = list(wanted)
    while queue:
        for name in _references(schemas[queue.pop()]):
            if name not in wanted and name in schemas:
                wanted[name] = None
                queue.append(name)
    return {name: schemas[name] for name in sorted(wanted)}


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(reference := value.get("$ref"), str):
            yield reference.removeprefix(_SCHEMAS)
        for part in value.values():
            yield from _references(part)
    elif isinstance(value, list):
        for part in value:
            yield from _references(part)


# --- schemas of groups that are not published ---

_PLAIN: dict[Form, JsonObject] = {
    Form.STRING: {"type": "string"},
    Form.INTEGER: {"type": "integer", "format": "int64"},
    Form.BOOLEAN: {"type": "boolean"},
    Form.NUMBER: {"type": "number", "format": "double"},
    Form.QUANTITY: {"allOf": [{"$ref": f"{_SCHEMAS}io.k8s.apimachinery.pkg.api.resource.Quantity"}]},
    Form.INT_OR_STRING: {"allOf": [{"$ref": f"{_SCHEMAS}io.k8s.apimachinery.pkg.util.intstr.IntOrString"}]},
    Form.FREE: {"type": "object"},
}


def _own_schemas(kind: Kind[Any], name: str) -> JsonObject:
    """Return the schemas of a kind, of its list and of the parts of its own module."""
    prefix = name.rpartition(".")[0]
    schemas: JsonObject = {}
    _add_struct(kind.type, prefix, schemas)
    schemas[name]["x-kubernetes-group-version-kind"] = [
        {"group": kind.group, "version": kind.version, "kind": kind.kind}
    ]
    schemas[f"{name}List"] = {
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"allOf": [{"$ref": f"{_SCHEMAS}{openapi_paths.META}.ListMeta"}]},
            "items": {"type": "array", "items": {"allOf": [{"$ref": _SCHEMAS + name}]}},
        },
        "x-kubernetes-group-version-kind": [
            {"group": kind.group, "version": kind.version, "kind": kind.list_kind}
        ],
    }
    return schemas


def _add_struct(struct: type[msgspec.Struct], prefix: str, schemas: JsonObject) -> str:
    if struct.__module__.endswith(".meta_v1"):
        return f"{openapi_paths.META}.{struct.__name__}"
    name = f"{prefix}.{struct.__name__}"
    if name not in schemas:
        schemas[name] = {"type": "object"}
        fields = schema_of(struct).fields.values()
        schemas[name]["properties"] = {f.wire: _render_shape(f.shape, prefix, schemas) for f in fields}
    return name


def _render_shape(shape: Shape, prefix: str, schemas: JsonObject) -> JsonObject:
    if shape.struct is not None:
        return {"allOf": [{"$ref": _SCHEMAS + _add_struct(shape.struct, prefix, schemas)}]}
    if shape.item is not None:
        item = _render_shape(shape.item, prefix, schemas)
        return (
            {"type": "array", "items": item}
            if shape.form is Form.LIST
            else {"type": "object", "additionalProperties": item}
        )
    return _PLAIN[shape.form]
