"""Taking fields out: worked out by hand from remove.go and set.go."""

from typing import Any

import pytest

from pinnace.api.apply.removing import remove, with_named_fields
from pinnace.api.apply.schema_changes import reconcile
from pinnace.api.apply.sets import Fields, parse, render
from tests.unit.api.apply.shapes import ROOT, item, items


@pytest.mark.parametrize(
    ("document", "gone", "left"),
    [
        ({"name": "a", "number": 1}, b'{"f:name":{}}', {"number": 1}),
        ({"struct": {"a": "1", "b": "2"}}, b'{"f:struct":{"f:a":{}}}', {"struct": {"b": "2"}}),
        ({"struct": {"a": "1"}}, b'{"f:struct":{"f:a":{}}}', {"struct": None}),
        ({"struct": {"a": "1"}, "name": "x"}, b'{"f:struct":{".":{},"f:a":{}}}', {"name": "x"}),
        ({"map": {"a": "1", "b": "2"}}, b'{"f:map":{"f:b":{}}}', {"map": {"a": "1"}}),
        ({"set": ["a", "b"]}, b'{"f:set":{"v:\\"a\\"":{}}}', {"set": ["b"]}),
        (
            {"items": [item("a", "1"), item("b", "2")]},
            b'{"f:items":{"k:{\\"name\\":\\"a\\"}":{"f:value":{}},"k:{\\"name\\":\\"b\\"}":{}}}',
            {"items": [item("a")]},
        ),
        ({"items": items("a")}, b'{"f:items":{"k:{\\"name\\":\\"a\\"}":{}}}', {"items": None}),
        ({"name": "a"}, b'{"f:number":{}}', {"name": "a"}),
        ({"name": "a"}, b'{"f:name":{}}', {}),
    ],
)
def test_what_is_left(document: dict[str, Any], gone: bytes, left: dict[str, Any]) -> None:
    assert remove(document, parse(gone), ROOT) == left


def test_named_fields_are_members_and_keys_of_maps_are_not() -> None:
    fields = parse(
        b'{"f:struct":{"f:a":{}},"f:structs":{"f:k":{"f:a":{}}},"f:items":{"k:{\\"name\\":\\"a\\"}":{"f:map":{"f:x":{}}}}}'
    )
    assert render(with_named_fields(fields, ROOT)) == (
        b'{"f:items":{".":{},"k:{\\"name\\":\\"a\\"}":{"f:map":{".":{},"f:x":{}}}},'
        b'"f:struct":{".":{},"f:a":{}},"f:structs":{".":{},"f:k":{"f:a":{}}}}'
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"f:atomic":{"f:x":{}}}', b'{"f:atomic":{}}'),
        (b'{"f:list":{"k:{\\"a\\":\\"1\\"}":{".":{},"f:b":{}}}}', b'{"f:list":{}}'),
        (b'{"f:struct":{"f:a":{}},"f:atomic":{}}', b'{"f:struct":{"f:a":{}},"f:atomic":{}}'),
    ],
)
def test_what_has_become_atomic_is_owned_as_a_whole(before: bytes, after: bytes) -> None:
    fields: Fields = parse(before)
    changed = reconcile(fields, ROOT)
    assert render(changed) == render(parse(after))
    assert (changed is fields) == (before == after)
