"""Writes src/pinnace/kube/openapi.json.gz: the published schemas of our object modules, as OpenAPI v3 components.

Development time only, like generate_objects.py, from the same definitions: names, types, formats, required, merge keys
and list types are kept, prose is dropped. Run `python tools/generate_openapi.py`; a test renders again and compares.
"""

from __future__ import annotations

import gzip
import json
from typing import Any

import generate_objects

TARGET = generate_objects.ROOT / "src" / "pinnace" / "kube" / "openapi.json.gz"

# What OpenAPI says of the definitions that are no structs. Source: GET /openapi/v3/api/v1 of Kubernetes v1.36
SCALARS: dict[str, dict[str, Any]] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
        "format": "int-or-string",
        "oneOf": [{"type": "integer"}, {"type": "string"}],
    },
}


def render_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return one definition in OpenAPI's words: no "null" types, no prose, no constants, references by component."""
    out: dict[str, Any] = {}
    for key, value in schema.items():
        match key:
            case "$ref":
                reference = f"#/components/schemas/{str(value).rpartition('/')[2]}"
                return {
                    **render_schema({k: v for k, v in schema.items() if k != "$ref"}),
                    "allOf": [{"$ref": reference}],
                }
            case "type":
                out["type"] = generate_objects.type_of(schema)
            case "properties":
                out["properties"] = {name: render_schema(part) for name, part in value.items()}
            case "items" | "additionalProperties":
                out[key] = render_schema(value) if isinstance(value, dict) else value
            case "description" | "enum":
                continue
            case _:
                out[key] = value
    return out


def render() -> bytes:
    """Return the file's content before compression."""
    version, definitions = generate_objects.read_definitions()
    wanted = [name for name in definitions if name.rpartition(".")[0] in generate_objects.MODULES.values()]
    names = sorted({*wanted, *generate_objects.SCALARS})
    for name in names:  # what alpha groups add is served as it is published
        names += sorted(references(definitions[name]) - set(names))
    document = {
        "version": version,
        "modules": generate_objects.MODULES,
        "schemas": {name: SCALARS.get(name) or render_schema(definitions[name]) for name in sorted(names)},
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def references(schema: Any) -> set[str]:
    """Return the definitions that a definition names."""
    if isinstance(schema, dict):
        own = {schema["$ref"].rpartition("/")[2]} if isinstance(schema.get("$ref"), str) else set()
        return own.union(*map(references, schema.values()))
    return set().union(*map(references, schema)) if isinstance(schema, list) else set()


if __name__ == "__main__":
    TARGET.write_bytes(gzip.compress(render(), 9, mtime=0))
