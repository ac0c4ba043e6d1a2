"""Merging by type. Expected orders are worked out by hand from the description of Merge in structured-merge-diff."""

from typing import Any

import pytest

from pinnace.api.apply.items import BadItem
from pinnace.api.apply.merging import merge
from pinnace.api.apply.types import MAP, SET, Record, Sequence
from tests.unit.api.apply.shapes import ROOT, STRING, item, items, names_of


@pytest.mark.parametrize(
    ("live", "applied", "merged"),
    [
        ("abc", "abc", "abc"),
        ("abc", "b", "abc"),
        ("abc", "d", "abcd"),
        ("", "ba", "ba"),
        ("ab", "", "ab"),
        ("abc", "cba", "cba"),
        ("abc", "ca", "bca"),
        ("abcd", "db", "acdb"),
        ("abc", "dc", "abdc"),
        ("abc", "ad", "abcd"),
        ("abcde", "xcy", "abxcdey"),
    ],
)
def test_lists_with_keys_take_the_applied_order_and_keep_the_others_between(
    live: str, applied: str, merged: str
) -> None:
    result = merge({"items": items(live)}, {"items": items(applied)}, ROOT)
    assert names_of(result["items"]) == merged


def test_items_are_merged_by_key_and_sets_by_value() -> None:
    live = {"items": [item("a", "1"), {"name": "b", "map": {"x": "1"}}], "set": ["p", "q"]}
    applied = {"items": [{"name": "b", "map": {"y": "2"}, "list": ["l"]}], "set": ["r", "q"]}
    assert merge(live, applied, ROOT) == {
        "items": [item("a", "1"), {"name": "b", "map": {"x": "1", "y": "2"}, "list": ["l"]}],
        "set": ["p", "r", "q"],
    }


def test_a_missing_key_has_its_default() -> None:
    live = {"ports": [{"port": 80, "protocol": "TCP", "name": "a"}, {"port": 80, "protocol": "UDP"}]}
    merged = merge(live, {"ports": [{"port": 80, "name": "b"}]}, ROOT)
    assert merged["ports"] == [
        {"port": 80, "protocol": "TCP", "name": "b"},
        {"port": 80, "protocol": "UDP"},
    ]


def test_atomic_values_are_replaced_as_a_whole() -> None:
    live = {"atomic": {"x": "1", "y": "2"}, "list": [{"a": "1"}], "opaque": {"k": {"v": 1}}}
    applied = {"atomic": {"x": "3"}, "list": [{"b": "2"}], "opaque": {"k": {}}}
    assert merge(live, applied, ROOT) == applied


def test_without_a_schema_maps_merge_and_lists_dont() -> None:
    live = {"free": {"a": {"b": 1, "c": [1, 2]}, "d": 1}}
    applied = {"free": {"a": {"c": [3]}, "d": {"e": 2}}}
    assert merge(live, applied, ROOT) == {"free": {"a": {"b": 1, "c": [3]}, "d": {"e": 2}}}


@pytest.mark.parametrize(
    ("live", "applied", "merged"),
    [
        ({"map": {"a": "1"}}, {"map": None}, {"map": {"a": "1"}}),
        ({"map": {"a": "1"}}, {"map": {}}, {"map": {"a": "1"}}),
        ({"map": {}}, {"map": None}, {"map": None}),
        ({"items": items("a")}, {"items": None}, {"items": items("a")}),
        ({"items": items("a")}, {"items": []}, {"items": items("a")}),
        ({"set": None}, {"set": ["a"]}, {"set": ["a"]}),
        ({"number": 1}, {"number": None}, {"number": None}),
        ({"atomic": {"x": "1"}}, {"atomic": None}, {"atomic": None}),
        ({"list": [{"a": "1"}]}, {"list": []}, {"list": []}),
    ],
)
def test_nothing_empties_scalars_and_atomic_values_only(
    live: dict[str, Any], applied: dict[str, Any], merged: dict[str, Any]
) -> None:
    assert merge(live, applied, ROOT) == merged


def test_nothing_that_was_given_is_changed() -> None:
    live = {"items": [item("a", "1")], "map": {"a": "1"}, "struct": {"a": "1"}}
    applied = {"items": [item("a", "2")], "map": {"b": "1"}, "struct": {"b": "1"}}
    merged = merge(live, applied, ROOT)
    merged["map"]["c"] = "3"
    assert live == {"items": [item("a", "1")], "map": {"a": "1"}, "struct": {"a": "1"}}
    assert applied == {"items": [item("a", "2")], "map": {"b": "1"}, "struct": {"b": "1"}}


def test_an_item_that_is_there_twice_is_replaced_by_the_applied_one() -> None:
    live = {"items": [item("a", "1"), item("b"), item("a", "2")]}
    merged = merge(live, {"items": [item("a", "3")]}, ROOT)
    assert merged["items"] == [item("a", "3"), item("b")]


@pytest.mark.parametrize(
    ("of", "bad", "why"),
    [
        (Sequence(STRING, SET), {"a": 1}, "has an element that's a map type"),
        (Sequence(STRING, SET), [1], "lists as elements"),
        (Sequence(STRING, SET), None, "explicit null"),
        (Sequence(Record(), MAP, ("name",)), "a", "non-map elements"),
        (Sequence(Record(), MAP, ("name",)), None, "null element"),
        (Sequence(Record(), MAP, ("name", "x")), {"y": 1}, r'omits all key fields \["name" "x"\]'),
    ],
)
def test_items_that_cant_be_told_apart_are_refused(of: Sequence, bad: Any, why: str) -> None:
    root = Record({"l": of})
    with pytest.raises(BadItem, match=why):
        merge({"l": [bad]}, {"l": [bad, bad]}, root)
