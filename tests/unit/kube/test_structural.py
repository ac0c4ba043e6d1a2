"""Structural schemas: pruning and defaulting by Kubernetes' own examples, and how objects merge by them."""

from typing import Any

import pytest

from pinnace.kube.schema import Form
from pinnace.kube.structural import compile_structural
from pinnace.kube.structural.defaulting import default
from pinnace.kube.structural.pruning import prune
from pinnace.kube.structural.shape import shape_of_structural

# Source: kubernetes.io, "Custom resources", "Field pruning", and apiserver/schema/pruning/algorithm_test.go.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "known": {"type": "string"},
                "free": {
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": True,
                    "properties": {"inner": {"type": "object", "properties": {"a": {"type": "string"}}}},
                },
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "items": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"name": {"type": "string"}}},
                },
                "object": {
                    "type": "object",
                    "x-kubernetes-embedded-resource": True,
                    "x-kubernetes-preserve-unknown-fields": True,
                },
            },
        }
    },
}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"known": "a", "other": 1}, {"known": "a"}),
        ({"free": {"x": 1, "inner": {"a": "b", "c": 1}}}, {"free": {"x": 1, "inner": {"a": "b"}}}),
        ({"labels": {"any": "thing"}}, {"labels": {"any": "thing"}}),
        ({"items": [{"name": "a", "x": 1}, "odd"]}, {"items": [{"name": "a"}, "odd"]}),
        (
            {"object": {"apiVersion": "v1", "kind": "X", "metadata": {"x": 1}, "spec": {}}},
            {"object": {"apiVersion": "v1", "kind": "X", "metadata": {"x": 1}, "spec": {}}},
        ),
        ({"known": {"wrong": "type"}}, {"known": {}}),
    ],
)
def test_what_the_schema_does_not_know_goes(given: Any, kept: Any) -> None:
    schema = compile_structural(SCHEMA)
    assert prune({"metadata": {"name": "x"}, "spec": given, "junk": 1}, schema, root=True) == {
        "metadata": {"name": "x"},
        "spec": kept,
    }


def test_a_clean_value_is_returned_as_it_is() -> None:
    value = {"spec": {"known": "a", "labels": {"b": "c"}}}
    assert prune(value, compile_structural(SCHEMA), root=True) is value


# Source: kubernetes.io, "Defaulting and Nullable".
DEFAULTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "foo": {"type": "string", "nullable": False, "default": "default"},
                "bar": {"type": "string", "nullable": True},
                "baz": {"type": "string"},
                "nested": {
                    "type": "object",
                    "default": {},
                    "properties": {"deep": {"type": "integer", "default": 1}},
                },
                "items": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"port": {"type": "integer", "default": 80}}},
                },
                "map": {
                    "type": "object",
                    "additionalProperties": {
                        "type": "object",
                        "properties": {"on": {"type": "boolean", "default": True}},
                    },
                },
            },
        }
    },
}


@pytest.mark.parametrize(
    ("given", "filled"),
    [
        ({}, {"foo": "default", "nested": {"deep": 1}}),
        ({"foo": None, "bar": None}, {"foo": "default", "bar": None, "nested": {"deep": 1}}),
        ({"foo": "x", "nested": {"deep": 2}}, {"foo": "x", "nested": {"deep": 2}}),
        (
            {"items": [{}, {"port": 1}]},
            {"foo": "default", "nested": {"deep": 1}, "items": [{"port": 80}, {"port": 1}]},
        ),
        ({"map": {"a": {}}}, {"foo": "default", "nested": {"deep": 1}, "map": {"a": {"on": True}}}),
    ],
)
def test_defaults_are_filled_in_and_nulls_give_way(given: Any, filled: Any) -> None:
    assert default({"spec": given}, compile_structural(DEFAULTS)) == {"spec": filled}


def test_defaults_are_not_shared_between_objects() -> None:
    schema = compile_structural(DEFAULTS)
    one, other = default({"spec": {}}, schema), default({"spec": {}}, schema)
    one["spec"]["nested"]["deep"] = 5
    assert other["spec"]["nested"] == {"deep": 1}
    value = {"spec": {"foo": "x", "nested": {"deep": 1}}}
    assert default(value, schema) is value


def test_the_shape_says_how_parts_merge() -> None:
    raw = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                    "map": {
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["a"],
                        "items": {"type": "object", "properties": {"a": {"type": "string"}}},
                    },
                    "list": {"type": "array", "items": {"type": "string"}},
                    "whole": {
                        "type": "object",
                        "x-kubernetes-map-type": "atomic",
                        "properties": {"a": {"type": "string"}},
                    },
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                    "either": {"x-kubernetes-int-or-string": True},
                },
            }
        },
    }
    shape = shape_of_structural(compile_structural(raw), "Sample")
    assert shape.schema is not None
    assert set(shape.schema.fields) == {"apiVersion", "kind", "metadata", "spec"}
    spec = shape.schema.fields["spec"].shape.schema
    assert spec is not None
    topologies = {name: (field.shape.form, field.topology, field.keys) for name, field in spec.fields.items()}
    assert topologies == {
        "set": (Form.LIST, "set", ()),
        "map": (Form.LIST, "map", ("a",)),
        "list": (Form.LIST, "atomic", ()),
        "whole": (Form.STRUCT, "atomic", ()),
        "labels": (Form.MAP, "", ()),
        "free": (Form.FREE, "", ()),
        "either": (Form.INT_OR_STRING, "", ()),
    }
    assert spec.fields["free"].shape.deduced
