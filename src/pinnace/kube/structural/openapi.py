"""Shows a custom kind's schema to clients: the components of OpenAPI documents, made of what the definition says.

Source: Kubernetes v1.37, apiextensions-apiserver/pkg/controller/openapi/builder/builder.go
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from pinnace.kube.kinds import Kind

JsonObject = dict[str, Any]

_META = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1"
_HEADER: JsonObject = {
    "apiVersion": {"type": "string", "description": "The group and version of the object's kind."},
    "kind": {"type": "string", "description": "The kind of the object."},
}


def component_name(kind: Kind[Any]) -> str:
    """Return the name of a kind's schema. Example: "com.example.stable.v1.CronTab"."""
    return ".".join((*reversed(kind.group.split(".")), kind.version, kind.kind))


def component_schemas(kind: Kind[Any]) -> JsonObject:
    """Return the schemas of a custom kind and of its list."""
    assert kind.custom is not None
    name = component_name(kind)
    schema = dict(kind.custom.schema)
    schema["properties"] = {
        **(schema.get("properties") or {}),
        **_HEADER,
        "metadata": {"allOf": [{"$ref": f"{_META}.ObjectMeta"}], "description": "The object's metadata."},
    }
    schema.setdefault("type", "object")
    schema["x-kubernetes-group-version-kind"] = [_gvk(kind, kind.kind)]
    listed = {
        "type": "object",
        "description": f"{kind.list_kind} is a list of {kind.kind}",
        "required": ["items"],
        "properties": {
            **_HEADER,
            "metadata": {"allOf": [{"$ref": f"{_META}.ListMeta"}], "description": "The list's metadata."},
            "items": {
                "type": "array",
                "description": "The objects.",
                "items": {"$ref": f"#/components/schemas/{name}"},
            },
        },
        "x-kubernetes-group-version-kind": [_gvk(kind, kind.list_kind)],
    }
    return {name: schema, f"{name}List": listed}


def _gvk(kind: Kind[Any], name: str) -> JsonObject:
    return {"group": kind.group, "version": kind.version, "kind": name}


def fingerprint(kinds: Iterable[Kind[Any]]) -> str:
    """Return what changes whenever the documents of these custom kinds do."""
    digest = hashlib.sha256()
    for kind in kinds:
        assert kind.custom is not None
        said = (kind.plural, kind.kind, kind.list_kind, kind.namespaced, [p.name for p in kind.subresources])
        digest.update(msgspec.json.encode((said, kind.custom.schema)))
    return digest.hexdigest()[:32].upper()
