"""Values judged by schemas and rules: kube-openapi's sentences, ratcheting, transition rules."""

from typing import Any

import pytest

from pinnace.api.cel.names import escape_name
from pinnace.api.custom.lists import judge_lists
from pinnace.api.custom.rules import build_rules, uses_old_self
from pinnace.api.custom.values import UNKNOWN, Judge
from pinnace.api.validation.problems import Problems
from pinnace.kube.structural import compile_structural


def judged(schema: dict[str, Any], value: Any, old: Any = UNKNOWN) -> list[str]:
    problems = Problems()
    Judge(schema).judge(value, "f", problems, old)
    return [f"{cause.field}: {cause.message}" for cause in problems.found]


VALUES: list[tuple[dict[str, Any], Any, list[str]]] = [
    ({"type": "integer"}, 1.0, []),
    ({"type": "number"}, 1, []),
    ({"type": "integer"}, 1.5, ['f: Invalid value: "number": f in body must be of type integer: "number"']),
    ({"type": "integer"}, True, ['f: Invalid value: "boolean": f in body must be of type integer: "boolean"']),
    ({"type": "string"}, None, ['f: Invalid value: "null": f in body must be of type string: "null"']),
    ({"type": "string", "nullable": True}, None, []),
    ({"type": "string", "enum": ["a", "b"]}, "c", ['f: Unsupported value: "c": supported values: "a", "b"']),
    ({"type": "integer", "enum": [1, 2]}, 3, ['f: Unsupported value: 3: supported values: "1", "2"']),
    ({"type": "string", "maxLength": 2}, "abc", ["f: Too long: may not be more than 2 bytes"]),
    ({"type": "string", "minLength": 2}, "a", ['f: Invalid value: "a": f in body should be at least 2 chars long']),
    ({"type": "string", "pattern": "^a+$"}, "b", ["f: Invalid value: \"b\": f in body should match '^a+$'"]),
    ({"type": "string", "format": "ipv4"}, "1.2.3.400", ['f: Invalid value: "1.2.3.400": f in body must be of type ipv4: "1.2.3.400"']),
    ({"type": "string", "format": "date-time"}, "2026-01-02T03:04:05Z", []),
    ({"type": "string", "format": "nonsense"}, "x", []),
    ({"type": "integer", "maximum": 3}, 4, ["f: Invalid value: 4: f in body should be less than or equal to 3"]),
    ({"type": "integer", "maximum": 3, "exclusiveMaximum": True}, 3, ["f: Invalid value: 3: f in body should be less than 3"]),
    ({"type": "number", "minimum": 0.5}, 0, ["f: Invalid value: 0: f in body should be greater than or equal to 0.5"]),
    ({"type": "integer", "multipleOf": 5}, 7, ["f: Invalid value: 7: f in body should be a multiple of 5"]),
    ({"type": "array", "items": {"type": "string"}, "maxItems": 1}, ["a", "b"], ["f: Too many: 2: must have at most 1 items"]),
    ({"type": "array", "items": {"type": "string"}, "minItems": 1}, [], ["f: Invalid value: 0: f in body should have at least 1 items"]),
    ({"type": "array", "items": {"type": "string"}}, ["a", 1], ['f[1]: Invalid value: "integer": f[1] in body must be of type string: "integer"']),
    ({"type": "object", "required": ["a"]}, {}, ["f.a: Required value"]),
    ({"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 1}, {"a": "b", "c": "d"}, ["f: Too many: 2: must have at most 1 items"]),
    ({"type": "object", "additionalProperties": {"type": "string"}}, {"a": 1}, ['f.a: Invalid value: "integer": f.a in body must be of type string: "integer"']),
    ({"x-kubernetes-int-or-string": True}, "80%", []),
    ({"x-kubernetes-int-or-string": True}, {}, ['f: Invalid value: "object": f in body must be of type integer,string: "object"']),
    ({"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"a": 1, "b": 2}, ['<nil>: Invalid value: "": "f" must validate one and only one schema (oneOf). Found 2 valid alternatives']),
    ({"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, {}, ['<nil>: Invalid value: "": "f" must validate at least one schema (anyOf)', "f.a: Required value"]),
    ({"type": "string", "not": {"enum": ["a"]}}, "a", ['<nil>: Invalid value: "": "f" must not validate the schema (not)']),
    ({"type": "string", "allOf": [{"minLength": 2}]}, "a", ['<nil>: Invalid value: "": "f" must validate all the schemas (allOf). None validated', 'f: Invalid value: "a": f in body should be at least 2 chars long']),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "value", "expected"), VALUES, ids=range(len(VALUES)))
def test_a_value_is_judged_in_kubernetes_words(
    schema: dict[str, Any], value: Any, expected: list[str]
) -> None:
    assert judged(schema, value) == expected


def test_a_pattern_that_would_take_for_ever_elsewhere_is_matched_at_once() -> None:
    assert judged({"type": "string", "pattern": "^(a+)+$"}, "a" * 5000 + "b") != []


def test_what_was_wrong_before_and_has_not_changed_is_let_be() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "string", "maxLength": 1},
            "b": {"type": "integer"},
            "l": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["n"],
                "items": {
                    "type": "object",
                    "properties": {"n": {"type": "string"}, "v": {"type": "integer", "maximum": 1}},
                },
            },
        },
    }
    old = {"a": "long", "b": 1, "l": [{"n": "x", "v": 9}]}
    assert judged(schema, {**old, "b": 2}, old) == []
    assert judged(schema, {**old, "l": [{"n": "y", "v": 1}, {"n": "x", "v": 9}]}, old) == []
    assert judged(schema, {**old, "a": "other"}, old) == ["f.a: Too long: may not be more than 1 bytes"]


def test_sets_and_maps_hold_nothing_twice() -> None:
    schema = compile_structural(
        {
            "type": "object",
            "properties": {
                "s": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "m": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["a", "b"],
                    "items": {"type": "object"},
                },
            },
        }
    )
    problems = Problems()
    judge_lists(
        {"s": ["x", "y", "x", "x"], "m": [{"a": 1}, {"a": 1, "b": 2}, {"a": 1, "c": 3}]}, schema, "", problems
    )
    assert [f"{cause.field}: {cause.message}" for cause in problems.found] == [
        's[2]: Duplicate value: "x"',
        'm[2]: Duplicate value: {"a":1}',
    ]


# ---------------------------------------------------------------------------------------------------- rules


def ruled(schema: dict[str, Any], value: Any, old: Any = UNKNOWN) -> list[str]:
    node = build_rules(compile_structural(schema), root=True)
    assert node is not None
    problems = Problems()
    node.judge(value, old, "", problems, known=old is not UNKNOWN)
    return [f"{cause.field}: {cause.message}" for cause in problems.found]


def with_rule(type_: str = "object", properties: Any = None, **rule: Any) -> dict[str, Any]:
    inner = {"type": type_, "x-kubernetes-validations": [rule]}
    if properties is not None:
        inner["properties"] = properties
    return {"type": "object", "properties": {"spec": inner}}


RULES: list[tuple[dict[str, Any], Any, Any, list[str]]] = [
    (with_rule(rule="self.a < self.b"), {"a": 1, "b": 2}, UNKNOWN, []),
    (with_rule(rule="self.a < self.b"), {"a": 3, "b": 2}, UNKNOWN, ["spec: Invalid value: failed rule: self.a < self.b"]),
    (with_rule(rule="self.a < self.b", message="a before b"), {"a": 3, "b": 2}, UNKNOWN, ["spec: Invalid value: a before b"]),
    (with_rule("string", rule="self == 'x'", message="be x"), "y", UNKNOWN, ['spec: Invalid value: "y": be x']),
    (with_rule(rule="self.a == 1", messageExpression="'a is ' + string(self.a)"), {"a": 2}, UNKNOWN, ["spec: Invalid value: a is 2"]),
    (with_rule(rule="self.a == 1", messageExpression="self.nothing", message="plain"), {"a": 2}, UNKNOWN, ["spec: Invalid value: plain"]),
    (with_rule(rule="false", reason="FieldValueForbidden", fieldPath=".a", message="no"), {"a": 2}, UNKNOWN, ["spec.a: Forbidden: no"]),
    (with_rule(rule="self.nothing == 1"), {"a": 2}, UNKNOWN, ['spec: Invalid value: "object": no such key: nothing evaluating rule: self.nothing == 1']),
    (with_rule(rule="!has(self.a) || self.a > 0"), {}, UNKNOWN, []),
    # transition rules
    (with_rule(rule="self.a == oldSelf.a"), {"a": 1}, UNKNOWN, []),
    (with_rule(rule="self.a == oldSelf.a"), {"a": 1}, {"a": 2}, ["spec: Invalid value: failed rule: self.a == oldSelf.a"]),
    (with_rule(rule="self.a == oldSelf.a"), {"a": 1}, {"a": 1}, []),
    (with_rule(rule="!oldSelf.hasValue() || self.a >= oldSelf.value().a", optionalOldSelf=True), {"a": 1}, UNKNOWN, []),
    (with_rule(rule="oldSelf.hasValue()", optionalOldSelf=True), {"a": 1}, UNKNOWN, ["spec: Invalid value: failed rule: oldSelf.hasValue()"]),
    (with_rule(rule="!oldSelf.hasValue() || self.a >= oldSelf.value().a", optionalOldSelf=True), {"a": 1}, {"a": 2}, ["spec: Invalid value: failed rule: !oldSelf.hasValue() || self.a >= oldSelf.value().a"]),
    # a rule that fails as it did before, on what hasn't changed, is let be
    (with_rule(rule="self.a > 5"), {"a": 1}, {"a": 1}, []),
    # names that CEL can't spell
    (with_rule(properties={"x-y": {"type": "integer"}, "namespace": {"type": "string"}, "a/b": {"type": "string"}}, rule="self.x__dash__y == 1 && self.__namespace__ == 'n' && self.a__slash__b == 'c'"), {"x-y": 1, "namespace": "n", "a/b": "c"}, UNKNOWN, []),
    # numbers of type number are doubles
    (with_rule(properties={"n": {"type": "number"}}, rule="type(self.n) == double && self.n / 2.0 == 0.5"), {"n": 1}, UNKNOWN, []),
    (with_rule(rule="self.all(k, self[k] > 0)"), {"a": 1, "b": 0}, UNKNOWN, ["spec: Invalid value: failed rule: self.all(k, self[k] > 0)"]),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "value", "old", "expected"), RULES, ids=range(len(RULES)))
def test_rules_are_evaluated(schema: dict[str, Any], value: Any, old: Any, expected: list[str]) -> None:
    before = UNKNOWN if old is UNKNOWN else {"spec": old}
    assert ruled(schema, {"spec": value}, before) == expected


def test_items_of_maps_are_compared_by_their_keys() -> None:
    item = {
        "type": "object",
        "properties": {"n": {"type": "string"}, "v": {"type": "integer"}},
        "x-kubernetes-validations": [{"rule": "self.v >= oldSelf.v"}],
    }
    schema = {
        "type": "object",
        "properties": {
            "l": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["n"],
                "items": item,
            }
        },
    }
    old = {"l": [{"n": "a", "v": 2}, {"n": "b", "v": 2}]}
    new = {"l": [{"n": "b", "v": 1}, {"n": "a", "v": 3}, {"n": "c", "v": 0}]}
    assert ruled(schema, new, old) == ["l[0]: Invalid value: failed rule: self.v >= oldSelf.v"]


def test_a_rule_that_runs_away_is_stopped() -> None:
    schema = with_rule("array", rule="self.all(a, self.all(b, self.all(c, a + b + c >= 0)))")
    (problem,) = ruled(schema, {"spec": list(range(1000))})
    assert "actual cost limit exceeded" in problem


@pytest.mark.parametrize(
    ("name", "escaped"),
    [("a", "a"), ("x-y", "x__dash__y"), ("a.b", "a__dot__b"), ("__x", "__underscores__x"), ("in", "__in__"), ("1a", None)],
)  # fmt: skip
def test_names_are_escaped_as_kubernetes_does(name: str, escaped: str | None) -> None:
    assert escape_name(name) == escaped


def test_only_the_variable_counts_as_the_former_state() -> None:
    assert uses_old_self("self == oldSelf")
    assert not uses_old_self("self.name == 'oldSelf' && myoldSelf == 1")
