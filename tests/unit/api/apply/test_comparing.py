"""How two documents differ: worked out by hand from compare.go."""

from typing import Any

import pytest

from pinnace.api.apply.comparing import compare, created
from pinnace.api.apply.sets import render
from pinnace.api.apply.types import MAP, Record, Sequence
from tests.unit.api.apply.shapes import ROOT, STRING, item, items

A, B = 'k:{\\"name\\":\\"a\\"}', 'k:{\\"name\\":\\"b\\"}'


@pytest.mark.parametrize(
    ("old", "new", "added", "modified", "removed"),
    [
        ({"name": "a"}, {"name": "a"}, "{}", "{}", "{}"),
        ({"name": "a"}, {"name": "b"}, "{}", '{"f:name":{}}', "{}"),
        ({}, {"name": "b"}, '{"f:name":{}}', "{}", "{}"),
        ({"name": "b"}, {}, "{}", "{}", '{"f:name":{}}'),
        ({}, {"struct": {"a": "1"}}, '{"f:struct":{".":{},"f:a":{}}}', "{}", "{}"),
        ({"struct": {}}, {"struct": {"a": "1"}}, '{"f:struct":{"f:a":{}}}', "{}", "{}"),
        ({"struct": None}, {"struct": {"a": "1"}}, '{"f:struct":{"f:a":{}}}', "{}", "{}"),
        ({"struct": {}}, {"struct": None}, "{}", '{"f:struct":{}}', "{}"),
        ({"struct": {"a": "1"}}, {"struct": {}}, "{}", "{}", '{"f:struct":{"f:a":{}}}'),
        ({"atomic": {"x": "1"}}, {"atomic": {"x": "2"}}, "{}", '{"f:atomic":{}}', "{}"),
        ({"list": [{"a": "1"}]}, {"list": []}, "{}", '{"f:list":{}}', "{}"),
        (
            {"map": {"a": "1", "b": "1"}},
            {"map": {"b": "2", "c": "1"}},
            '{"f:map":{"f:c":{}}}',
            '{"f:map":{"f:b":{}}}',
            '{"f:map":{"f:a":{}}}',
        ),
        (
            {"items": [item("a", "1")]},
            {"items": [item("a", "2"), item("b")]},
            f'{{"f:items":{{"{B}":{{".":{{}},"f:name":{{}}}}}}}}',
            f'{{"f:items":{{"{A}":{{"f:value":{{}}}}}}}}',
            "{}",
        ),
        ({"items": items("ab")}, {"items": items("ba")}, "{}", "{}", "{}"),
        ({"set": ["a"]}, {"set": ["b"]}, '{"f:set":{"v:\\"b\\"":{}}}', "{}", '{"f:set":{"v:\\"a\\"":{}}}'),
        (
            {"items": [item("a", "1"), item("a", "2")]},
            {"items": [item("a", "1"), item("a", "3")]},
            "{}",
            f'{{"f:items":{{"{A}":{{}}}}}}',
            "{}",
        ),
        (
            {"items": [item("a"), item("a")]},
            {"items": [item("a")]},
            f'{{"f:items":{{"{A}":{{".":{{}},"f:name":{{}}}}}}}}',
            "{}",
            f'{{"f:items":{{"{A}":{{}}}}}}',
        ),
        (
            {"free": {"a": {"b": 1}}},
            {"free": {"a": 2}},
            "{}",
            '{"f:free":{"f:a":{}}}',
            '{"f:free":{"f:a":{"f:b":{}}}}',
        ),
    ],
)
def test_what_is_more_other_and_less(
    old: dict[str, Any], new: dict[str, Any], added: str, modified: str, removed: str
) -> None:
    found = compare(old, new, ROOT)
    assert [render(one).decode() for one in found] == [added, modified, removed]


def test_a_new_object_owns_no_struct_that_an_empty_one_has_too() -> None:
    spec = Record({"list": Sequence(Record({"name": STRING}), MAP, ("name",)), "map": Record(rest=STRING)})
    spec.zero = {"list": []}
    root = Record({"spec": spec, "other": spec})
    root.zero = {"spec": {}}
    document = {"spec": {"list": items("a"), "map": {"k": "v"}}, "other": {"list": []}}
    assert render(created(document, root)).decode() == (
        '{"f:other":{".":{},"f:list":{}},'
        f'"f:spec":{{"f:list":{{"{A}":{{".":{{}},"f:name":{{}}}}}},"f:map":{{".":{{}},"f:k":{{}}}}}}}}'
    )
