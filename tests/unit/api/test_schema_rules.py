"""Schemas of custom kinds: structural or not, with defaults and rules that hold; by Kubernetes' validation tests."""

from typing import Any

import pytest

from pinnace.api.custom.schema_rules import SchemaJudge, clean_schema
from pinnace.api.validation.problems import Problems


def problems_of(schema: dict[str, Any], *, has_status: bool = False) -> list[str]:
    problems = Problems()
    SchemaJudge(schema, "s", problems).judge(has_status=has_status)
    return [f"{cause.field}: {cause.message}" for cause in problems.found]


def whole(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def spec(**properties: Any) -> dict[str, Any]:
    return whole(spec={"type": "object", "properties": properties})


A = "s.properties[spec].properties[a]"

CASES: list[tuple[dict[str, Any], list[str]]] = [
    (spec(a={"type": "string"}), []),
    ({"type": "string"}, ['s.type: Invalid value: "string": must be object at the root']),
    ({"properties": {}}, ["s.type: Required value: must not be empty at the root"]),
    (spec(a={}), [f"{A}.type: Required value: must not be empty for specified object fields"]),
    (spec(a={"type": "array"}), [f"{A}.items: Required value: must be specified"]),
    (spec(a={"type": "array", "items": {}}), [f"{A}.items.type: Required value: must not be empty for specified array items"]),
    (spec(a={"type": "text"}), [f'{A}.type: Unsupported value: "text": supported values: "array", "boolean", "integer", "number", "object", "string"']),
    (spec(a={"type": "null"}), [f"{A}.type: Forbidden: type cannot be set to null, use nullable as an alternative"]),
    ({"type": "object", "additionalProperties": {"type": "string"}}, ["s.additionalProperties: Forbidden: must not be used at the root"]),
    (spec(a={"type": "array", "items": {"type": "string"}, "uniqueItems": True}), [f"{A}.uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic"]),
    (spec(a={"type": "object", "properties": {"b": {"type": "string"}}, "additionalProperties": False}), [f"{A}.additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"]),
    (spec(a={"type": "string", "$ref": "#/x"}), [f"{A}.$ref: Forbidden: $ref is not supported"]),
    (spec(a={"type": "string", "pattern": "["}), [f'{A}.pattern: Invalid value: "[": must be a valid regular expression, but isn\'t: error parsing regexp: invalid regular expression: missing ]: [']),
    (spec(a={"type": "string", "x-kubernetes-preserve-unknown-fields": False}), [f"{A}.x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined"]),
    # x-kubernetes-int-or-string
    (spec(a={"x-kubernetes-int-or-string": True}), []),
    (spec(a={"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}), []),
    (spec(a={"x-kubernetes-int-or-string": True, "x-kubernetes-preserve-unknown-fields": True}), [f"{A}.x-kubernetes-preserve-unknown-fields: Invalid value: true: must be false if x-kubernetes-int-or-string is true"]),
    # x-kubernetes-embedded-resource
    (spec(a={"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}), []),
    (spec(a={"type": "object", "x-kubernetes-embedded-resource": True}), [f"{A}.properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"]),
    # metadata
    (whole(metadata={"type": "object", "properties": {"name": {"type": "string", "pattern": "^a"}}}), []),
    (whole(metadata={"type": "object", "properties": {"labels": {"type": "object"}}}), ["s.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified"]),
    # junctors
    (spec(a={"type": "string", "anyOf": [{"pattern": "^a"}, {"pattern": "^b"}]}), []),
    (spec(a={"type": "string", "anyOf": [{"type": "string"}]}), [f"{A}.anyOf[0].type: Forbidden: must be empty to be structural"]),
    ({**whole(x={"type": "string"}), "oneOf": [{"required": ["x"]}, {"properties": {"y": {"minLength": 1}}}]}, ["s.properties[y]: Required value: because it is defined in s.oneOf[1].properties[y]"]),
    (spec(a={"type": "string", "not": {"enum": ["x"], "default": "y"}}), [f"{A}.not.default: Forbidden: must be undefined to be structural"]),
    # list types
    (spec(a={"type": "string", "x-kubernetes-list-type": "set"}), [f'{A}.type: Invalid value: "string": must be array if x-kubernetes-list-type is specified']),
    (spec(a={"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "bag"}), [f'{A}.x-kubernetes-list-type: Unsupported value: "bag": supported values: "atomic", "set", "map"']),
    (spec(a={"type": "array", "items": {"type": "object", "properties": {"k": {"type": "string"}}, "required": ["k"]}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}), []),
    (spec(a={"type": "array", "items": {"type": "object", "properties": {"k": {"type": "string"}}}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}), [f"{A}.items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"]),
    (spec(a={"type": "array", "items": {"type": "object", "properties": {}}, "x-kubernetes-list-type": "map"}), [f"{A}.x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map"]),
    (spec(a={"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "set"}), [f'{A}.items.x-kubernetes-map-type: Invalid value: "null": must be atomic as item of a list with x-kubernetes-list-type=set']),
    # defaults
    (spec(a={"type": "integer", "default": "x"}), [f'{A}.default: Invalid value: "string": {A}.default in body must be of type integer: "string"']),
    (spec(a={"type": "object", "properties": {"b": {"type": "string"}}, "default": {"c": 1}}), [f'{A}.default: Invalid value: {{"c":1}}: must not have unknown fields']),
    (whole(metadata={"type": "object", "default": {}}), ["s.properties[metadata].default: Forbidden: must not be set in top-level metadata"]),
    # rules
    (spec(a={"type": "string", "x-kubernetes-validations": [{"rule": "self.startsWith('a')"}]}), []),
    (spec(a={"type": "string", "x-kubernetes-validations": [{"rule": " "}]}), [f"{A}.x-kubernetes-validations[0].rule: Required value: rule is not specified"]),
    (spec(a={"type": "string", "x-kubernetes-validations": [{"rule": "self == 'a'", "message": "a\nb"}]}), [f'{A}.x-kubernetes-validations[0].message: Invalid value: "a\\nb": must not contain line breaks']),
    (spec(a={"type": "string", "x-kubernetes-validations": [{"rule": "self == 'a'", "reason": "Nope"}]}), [f'{A}.x-kubernetes-validations[0].reason: Unsupported value: "Nope": supported values: "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"']),
    (spec(a={"type": "string", "x-kubernetes-validations": [{"rule": "self == 'a'", "optionalOldSelf": True}]}), [f"{A}.x-kubernetes-validations[0].optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule"]),
    (spec(a={"type": "object", "properties": {"b": {"type": "string"}}, "x-kubernetes-validations": [{"rule": "true", "fieldPath": ".c"}]}), [f'{A}.x-kubernetes-validations[0].fieldPath: Invalid value: ".c": must be a valid path']),
    (spec(a={"type": "array", "items": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}}), [f'{A}.items.x-kubernetes-validations[0].rule: Invalid value: "self == oldSelf": oldSelf cannot be used on the uncorrelatable portion of the schema within {A}']),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "expected"), CASES, ids=range(len(CASES)))
def test_a_schema_is_judged_in_kubernetes_words(schema: dict[str, Any], expected: list[str]) -> None:
    assert problems_of(schema) == expected


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("self.b == nothing", "undeclared reference to 'nothing'"),
        ("self.b ==", "Syntax error"),
        ("'text'", "cel expression must evaluate to a bool"),
        ("1 == 'a'", "found no matching overload for '_==_'"),
        ("self.c == 'x'", "ERROR: <input>:1:5: undefined field 'c'\n | self.c == 'x'\n | ....^"),
        ("has(self.c)", "undefined field 'c'"),
        ("self.b == 1", "found no matching overload for '_==_' applied to '(string, int)'"),
        ("self.b.length > 3", "type 'string' does not support field selection"),
        ("self.l.all(i, i.nope == 1)", "undefined field 'nope'"),
        ("self.l[0].n == 'x'", "applied to '(int, string)'"),
        ("self.m['k'] == 2", "applied to '(string, int)'"),
        ("true && oldSelf.c == 1", "undefined field 'c'"),
    ],
)
def test_a_rule_that_cannot_be_compiled_is_refused(rule: str, why: str) -> None:
    schema = spec(
        a={
            "type": "object",
            "properties": {
                "b": {"type": "string"},
                "l": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}},
                "m": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "x-kubernetes-validations": [{"rule": rule}],
        }
    )
    (problem,) = problems_of(schema)
    assert problem.startswith(f"{A}.x-kubernetes-validations[0].rule: Invalid value: ")
    assert why in problem


def test_beside_a_status_subresource_the_root_is_plain() -> None:
    schema = {**spec(a={"type": "string"}), "oneOf": [{"required": ["spec"]}]}
    assert problems_of(schema) == []
    (problem,) = problems_of(schema, has_status=True)
    assert "fields are allowed at the root of the schema if the status subresource is enabled" in problem


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": 3}, "s.type: Invalid value: 3: must be of type string"),
        (
            {"type": "object", "properties": {"a": "string"}},
            's.properties[a]: Invalid value: "string": must be a schema object',
        ),
        ({"type": "object", "required": "a"}, 's.required: Invalid value: "a": must be of type strings'),
    ],
)
def test_keywords_of_a_wrong_form_are_named(schema: dict[str, Any], problem: str) -> None:
    assert problems_of(schema) == [problem]


def test_a_bottomless_schema_is_refused() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(300):
        schema = {"type": "object", "properties": {"a": schema}}
    (problem,) = problems_of(schema)
    assert "must not be nested more than 100 levels deep" in problem


def test_keywords_that_there_are_not_are_left_out() -> None:
    schema = {
        "type": "object",
        "nope": 1,
        "properties": {"nope": {"type": "string", "nope": 2}},
        "default": {"nope": 3},
    }
    assert clean_schema(schema) == {
        "type": "object",
        "properties": {"nope": {"type": "string"}},
        "default": {"nope": 3},
    }


@pytest.mark.parametrize(
    "rule",
    [
        "self.metadata.name.startsWith('a') && self.kind == 'X'",
        "!has(self.spec.when) || timestamp(self.spec.when) > timestamp('2026-01-01T00:00:00Z')",
        "self.spec.either == 3 || self.spec.either == 'x'",
        "self.spec.x__dash__y > 1.5 && self.spec.x__dash__y > 1",
        "self.spec.maybe == null || self.spec.maybe == 'x'",
        "self.spec.free.anything.goes == 1",
        "self.spec.?missing.orValue(1) == 1",
        "self.spec.l.map(i, i.n).sum() < 10 && self.spec.l.exists(i, i.n == 1)",
        "size(self.spec.l) == 0 || self.spec.l[0].n in [1, 2]",
    ],
)
def test_a_rule_that_fits_its_schema_is_taken(rule: str) -> None:
    schema = spec(
        **{
            "when": {"type": "string", "format": "date-time"},
            "either": {"x-kubernetes-int-or-string": True},
            "x-y": {"type": "number"},
            "maybe": {"type": "string", "nullable": True},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "l": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}},
        }
    )
    assert problems_of({**schema, "x-kubernetes-validations": [{"rule": rule}]}) == []
