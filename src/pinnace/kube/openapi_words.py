"""Puts our sentences (`descriptions/`) into the schemas of OpenAPI documents, where `kubectl explain` looks for them.

Pure; called by `openapi` only. What a schema says already (a custom kind's author wrote it) stays.
Invariant: the schemas that come in are not changed; they are shared by all documents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pinnace.kube import descriptions

JsonObject = dict[str, Any]

_OF_ALL = ("apiVersion", "kind", "metadata")
# Beside our structs: what published schemas refer to.
_MORE_MODULES = {
    "io.k8s.apimachinery.pkg.api.resource": "basics",
    "io.k8s.apimachinery.pkg.runtime": "basics",
    "io.k8s.apimachinery.pkg.util.intstr": "basics",
    "io.k8s.api.scheduling.v1alpha3": "scheduling_v1alpha3",
}
_LIST_METADATA = "At which version the list was read, and how to get the rest of it."


def describe_schemas(schemas: JsonObject, modules: Mapping[str, str]) -> JsonObject:
    """Return the schemas with descriptions. `modules`: the part of a schema's name before its struct -> our module."""
    described = {name: _describe(name, schema, modules) for name, schema in schemas.items()}
    for name, said in _said_of(described).items():
        # kubectl prints the field's sentence and then the struct's: the same one twice helps nobody.
        if described.get(name, {}).get("description") in said and len(said) == 1:
            del described[name]["description"]
    return described


def _said_of(schemas: JsonObject) -> dict[str, set[str]]:
    """Return schema's name -> what the fields that hold one say."""
    said: dict[str, set[str]] = {}
    for schema in schemas.values():
        for part in schema.get("properties", {}).values():
            for reference in part.get("allOf", ()):
                name = reference.get("$ref", "").removeprefix("#/components/schemas/")
                said.setdefault(name, set()).add(part.get("description", ""))
    return said


def _describe(name: str, schema: JsonObject, modules: Mapping[str, str]) -> JsonObject:
    prefix, _, struct = name.rpartition(".")
    module = modules.get(prefix) or _MORE_MODULES.get(prefix, "")
    described = dict(schema)
    sentence = descriptions.describe_struct(module, struct) or _describe_list(struct, schema)
    if sentence:
        described.setdefault("description", sentence)
    if "properties" in schema:
        described["properties"] = {
            field: _with_sentence(part, _sentence_of(module, struct, field, schema))
            for field, part in schema["properties"].items()
        }
    return described


def _sentence_of(module: str, struct: str, field: str, schema: JsonObject) -> str:
    if field == "metadata" and _describe_list(struct, schema):
        return _LIST_METADATA
    if module:
        return descriptions.describe_field(module, struct, field)
    return descriptions.describe_everywhere(field) if field in _OF_ALL else ""


def _describe_list(struct: str, schema: JsonObject) -> str:
    is_list = struct.endswith("List") and "items" in schema.get("properties", ())
    return f"A list of {struct.removesuffix('List')} objects." if is_list else ""


def _with_sentence(part: JsonObject, sentence: str) -> JsonObject:
    return {"description": sentence, **part} if sentence else part
