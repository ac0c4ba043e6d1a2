"""What fields a document speaks of, and what doesn't fit: worked out by hand from tofieldset.go and validate.go."""

from typing import Any

import pytest

from pinnace.api.apply.collecting import Faults, collect, fields_of
from pinnace.api.apply.sets import render
from tests.unit.api.apply.shapes import ROOT, item, items


@pytest.mark.parametrize(
    ("document", "fields"),
    [
        ({}, "{}"),
        ({"name": "a", "number": None}, '{"f:name":{},"f:number":{}}'),
        ({"struct": {"a": "1"}}, '{"f:struct":{"f:a":{}}}'),
        ({"struct": {}}, '{"f:struct":{}}'),
        ({"struct": None}, '{"f:struct":{}}'),
        ({"struct": {"items": []}}, "{}"),
        ({"atomic": {"x": "1"}}, '{"f:atomic":{}}'),
        ({"map": {"a": "1", "b": "2"}}, '{"f:map":{"f:a":{},"f:b":{}}}'),
        ({"structs": {"k": {"a": "1"}}}, '{"f:structs":{"f:k":{".":{},"f:a":{}}}}'),
        ({"list": [{"a": "1"}]}, '{"f:list":{}}'),
        ({"list": []}, '{"f:list":{}}'),
        ({"set": ["b", "a"]}, '{"f:set":{"v:\\"a\\"":{},"v:\\"b\\"":{}}}'),
        ({"set": []}, "{}"),
        ({"items": items("a")}, '{"f:items":{"k:{\\"name\\":\\"a\\"}":{".":{},"f:name":{}}}}'),
        (
            {"ports": [{"port": 80}]},
            '{"f:ports":{"k:{\\"port\\":80,\\"protocol\\":\\"TCP\\"}":{".":{},"f:port":{}}}}',
        ),
        ({"free": {"a": {"b": [1]}}}, '{"f:free":{"f:a":{".":{},"f:b":{}}}}'),
        ({"opaque": {"a": 1}}, '{"f:opaque":{}}'),
    ],
)
def test_fields_of_a_document(document: dict[str, Any], fields: str) -> None:
    faults = Faults()
    assert render(collect(document, ROOT, faults)).decode() == fields
    assert faults == []
    assert render(fields_of(document, ROOT)).decode() == fields


def test_an_item_that_is_stored_twice_is_owned_without_its_parts() -> None:
    fields = fields_of({"items": [item("a", "1"), item("a", "2"), item("b")]}, ROOT)
    assert render(fields) == (
        b'{"f:items":{"k:{\\"name\\":\\"a\\"}":{},"k:{\\"name\\":\\"b\\"}":{".":{},"f:name":{}}}}'
    )


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"nome": 1}, ".nome: field not declared in schema"),
        (
            {"name": 1},
            ".name: expected string, got &value.valueUnstructured{Value:1}",
        ),
        ({"number": "1"}, ".number: expected numeric (int or float), got string"),
        ({"number": True}, ".number: expected numeric (int or float), got bool"),
        ({"flag": "yes"}, ".flag: expected boolean, got &{yes}"),
        ({"struct": []}, ".struct: expected map, got &{[]}"),
        ({"items": {"a": 1}}, ".items: expected list, got &{map[a:1]}"),
        ({"items": items("aa")}, '.items: duplicate entries for key [name="a"]'),
        ({"set": ["a", "a"]}, '.set: duplicate entries for key [="a"]'),
        (
            {"ports": [{"port": 1}, {"port": 1, "protocol": "TCP"}]},
            '.ports: duplicate entries for key [port=1,protocol="TCP"]',
        ),
        (
            {"items": [{"value": "x"}]},
            '.items: element 0: associative list with keys has an element that omits all key fields ["name"]'
            " (and doesn't have default values for any key fields)",
        ),
        ({"items": [{"name": "a", "colour": 1}]}, '.items[name="a"].colour: field not declared in schema'),
        ({"list": [{"a": 1}]}, ".list[0].a: expected string, got &value.valueUnstructured{Value:1}"),
        (
            {"name": {"a": [1]}, "number": []},
            "errors:\n"
            '  .name: expected string, got &value.valueUnstructured{Value:map[string]interface {}{"a":[]interface {}{1}}}\n'
            "  .number: expected numeric (int or float), got []interface {}",
        ),
    ],
)
def test_what_does_not_fit_is_named(document: dict[str, Any], message: str) -> None:
    faults = Faults()
    collect(document, ROOT, faults)
    assert faults.render() == message
