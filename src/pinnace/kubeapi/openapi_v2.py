"""The OpenAPI v2 document: all that the v3 documents say, in one, in the older form. Pure.

Old clients need it (kubectl before 1.27 reads it as protobuf, for explain, validation and dry runs), new ones fall back to it
for a kind that v3 doesn't know. Source: kube-openapi, pkg/schemaconv and pkg/builder3/util/util.go, for what differs.
"""

from typing import Any

import msgspec

from pinnace.kube import openapi
from pinnace.kube.kind_table import BUILT_IN, KindTable
from pinnace.kubeapi.openapi_v2_protobuf import encode_document

# What clients ask for has an "@", which no media type may have, so that the answer's has a dot instead.
# Source: kube-openapi, pkg/handler/handler.go, mimePb and mimePbGz.
ACCEPTED = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

JsonObject = dict[str, Any]

_JSON = ["application/json", "application/yaml"]
_PRESERVES = "x-kubernetes-preserve-unknown-fields"
_INT_OR_STRING = "x-kubernetes-int-or-string"
_V3_ONLY = frozenset(
    {"oneOf", "anyOf", "not", "allOf", "nullable", "$ref", "properties", "items", "additionalProperties"}
)


def render_json(version: str, kinds: KindTable = BUILT_IN) -> bytes:
    """Return the document as JSON."""
    return msgspec.json.encode(build_document(version, kinds))


def render_protobuf(version: str, kinds: KindTable = BUILT_IN) -> bytes:
    """Return the document as protobuf."""
    return encode_document(build_document(version, kinds))


def build_document(version: str, kinds: KindTable = BUILT_IN) -> JsonObject:
    """Return the document. Shape: every `$ref` is answered by its definitions."""
    definitions: JsonObject = {}
    paths: JsonObject = {}
    for group, served in kinds.routes:
        document = msgspec.json.decode(openapi.openapi_v3(group, served, kinds))
        for name, schema in document["components"]["schemas"].items():
            definitions.setdefault(name, convert_schema(schema))
        paths |= {path: convert_path(item) for path, item in document["paths"].items()}
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": version},
        "paths": dict(sorted(paths.items())),
        "definitions": dict(sorted(definitions.items())),
    }


def convert_schema(schema: JsonObject) -> JsonObject:
    """Return a v3 schema in v2's words; what v2 can't say is left out."""
    if schema.get(_PRESERVES) or schema.get(_INT_OR_STRING):
        # Old clients would refuse what the schema allows: they are told nothing of it.
        return {
            name: value for name, value in schema.items() if name == "description" or name.startswith("x-")
        }
    kept = {name: value for name, value in schema.items() if name not in _V3_ONLY}
    if reference := _reference(schema):
        kept["$ref"] = reference.replace("#/components/schemas/", "#/definitions/")
    if "oneOf" in schema and "type" not in schema:
        kept["type"] = "string"  # a quantity, or a number or text: both can be written as text
    if "properties" in schema:
        kept["properties"] = {name: convert_schema(part) for name, part in schema["properties"].items()}
    if isinstance(schema.get("items"), dict):
        kept["items"] = convert_schema(schema["items"])
    if (inner := schema.get("additionalProperties")) is not None:
        kept["additionalProperties"] = convert_schema(inner) if isinstance(inner, dict) else inner
    return kept


def _reference(schema: JsonObject) -> str:
    if "$ref" in schema:
        return str(schema["$ref"])
    parts = schema.get("allOf", ())
    return str(parts[0].get("$ref", "")) if len(parts) == 1 else ""


def convert_path(item: JsonObject) -> JsonObject:
    """Return a v3 path item in v2's words."""
    converted: JsonObject = {}
    for name, value in item.items():
        if name == "parameters":
            converted[name] = [_convert_parameter(parameter) for parameter in value]
        else:
            converted[name] = _convert_operation(value)
    return converted


def _convert_parameter(parameter: JsonObject) -> JsonObject:
    schema: JsonObject = parameter.get("schema", {})
    return {name: value for name, value in parameter.items() if name != "schema"} | schema


def _convert_operation(operation: JsonObject) -> JsonObject:
    converted = {
        name: value
        for name, value in operation.items()
        if name not in ("parameters", "requestBody", "responses")
    }
    body = operation.get("requestBody", {})
    content = body.get("content", {})
    parameters = [_convert_parameter(parameter) for parameter in operation.get("parameters", ())]
    if content:
        schema = convert_schema(next(iter(content.values()))["schema"])
        given = {"in": "body", "name": "body", "schema": schema}
        parameters.insert(0, given | ({"required": True} if body.get("required") else {}))
    if parameters:
        converted["parameters"] = parameters
    converted["consumes"] = list(content) or ["*/*"]
    converted["produces"] = _JSON
    converted["responses"] = {
        code: _convert_response(response) for code, response in operation.get("responses", {}).items()
    }
    return converted


def _convert_response(response: JsonObject) -> JsonObject:
    converted: JsonObject = {"description": response.get("description", "OK")}
    content = response.get("content", {})
    if content:
        converted["schema"] = convert_schema(next(iter(content.values()))["schema"])
    return converted
