"""The keywords of schemas in CustomResourceDefinitions, and the form of each one's value.

Read by the rules for schemas, and by `kube.schema`, so that strict checking finds keywords that there aren't, and
server-side apply knows what a schema is made of. Source: Kubernetes v1.37, apiextensions/v1, JSONSchemaProps.
"""

from collections.abc import Mapping

NUMBER, TEXT, FLAG, SCHEMA, SCHEMAS, NAMED = "number", "string", "boolean", "schema", "schemas", "named"

# Keyword -> what its value must be; "" is anything.
KEYWORDS: Mapping[str, str] = {
    "$ref": TEXT, "$schema": TEXT, "additionalItems": "schema or boolean", "additionalProperties": "schema or boolean",
    "allOf": SCHEMAS, "anyOf": SCHEMAS, "default": "", "definitions": NAMED, "dependencies": "object",
    "description": TEXT, "enum": "array", "example": "", "exclusiveMaximum": FLAG, "exclusiveMinimum": FLAG,
    "externalDocs": "object", "format": TEXT, "id": TEXT, "items": "schema or array", "maxItems": "integer",
    "maxLength": "integer", "maxProperties": "integer", "maximum": NUMBER, "minItems": "integer",
    "minLength": "integer", "minProperties": "integer", "minimum": NUMBER, "multipleOf": NUMBER, "not": SCHEMA,
    "nullable": FLAG, "oneOf": SCHEMAS, "pattern": TEXT, "patternProperties": NAMED, "properties": NAMED,
    "required": "strings", "title": TEXT, "type": TEXT, "uniqueItems": FLAG,
    "x-kubernetes-embedded-resource": FLAG, "x-kubernetes-int-or-string": FLAG,
    "x-kubernetes-list-map-keys": "strings", "x-kubernetes-list-type": TEXT, "x-kubernetes-map-type": TEXT,
    "x-kubernetes-preserve-unknown-fields": FLAG, "x-kubernetes-validations": "objects",
}  # fmt: skip
