"""Manifests. What a word means is what kubectl makes of it (`kubectl create --dry-run=client -o json`)."""

import json
import time
from typing import Any

import pytest

from pinnace.base.errors import ApiError, Reason, UserError
from pinnace.kube.manifests import parse_manifests, yaml_to_json


def read(text: str) -> Any:
    return json.loads(yaml_to_json(text.encode()))


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("yes", True),
        ("y", True),
        ("off", False),
        ("True", True),
        ("'y'", "y"),
        ("~", None),
        ("", None),
        ("null", None),
        ("0644", 420),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b11", 3),
        ("08", 8),
        ("1_000", 1000),
        ("-5", -5),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000),
        ("12:30", "12:30"),
        ("80:8080", "80:8080"),
        ("2026-01-02", "2026-01-02"),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("100m", "100m"),
        ("1Gi", "1Gi"),
        ("1.2.3", "1.2.3"),
        ("-", [None]),
        ("!!str 5", "5"),
        ("!!int '5'", 5),
        ("='", "='"),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_a_word_means_what_kubernetes_takes_it_for(word: str, value: object) -> None:
    found = read(f"a: {word}") if word != "-" else read("a:\n-")
    assert found == {"a": value}
    assert type(found["a"]) is type(value)


def test_keys_become_text() -> None:
    assert read("1: a\ntrue: b\n1.5: c\nx: d") == {"1": "a", "true": "b", "1.5": "c", "x": "d"}


def test_anchors_and_merges_are_expanded() -> None:
    text = "base: &b {a: 1, b: 2}\nx: {<<: *b, b: 3}\nw: {<<: [*b, {a: 9, c: 4}]}\nz: *b"
    expanded = read(text)
    assert expanded["x"] == {"a": 1, "b": 3}
    assert expanded["w"] == {"a": 1, "b": 2, "c": 4}
    assert expanded["z"] == {"a": 1, "b": 2}


def test_a_file_has_several_documents_and_empty_ones_do_not_count() -> None:
    found = parse_manifests("# comment\n---\nkind: A\n---\n---\n# nothing\n---\nkind: B\n")
    assert [(m.value, m.line) for m in found] == [({"kind": "A"}, 3), ({"kind": "B"}, 8)]
    assert parse_manifests("") == ()


def test_json_is_yaml_too() -> None:
    assert parse_manifests('{"kind":"A","spec":{"replicas":3,"x":null}}')[0].value == {
        "kind": "A",
        "spec": {"replicas": 3, "x": None},
    }


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: [", 3, "did not find expected node content"),
        ("a: 1\n\tb: 2", 2, "found a tab character that violates indentation"),
        ("a: 1\nspec:\n  x: 1\n  x: 2", 4, 'key "x" already set in map'),
        ("- a", 1, "a manifest is a mapping of fields (apiVersion, kind, metadata, ...)"),
        ("a: 1\nb: !custom x", 2, "!custom is no type that JSON has"),
        ("a: 1\nb: !!int x", 2, "'x' is no int"),
        ("? [a]\n: 1", 1, "unsupported map key: a key is text"),
        ("a: &a [*a]", 1, "anchor 'a' value contains itself"),
        ("a: *b", 1, "unknown anchor 'b' referenced"),
        ("a: {<<: 1}", 1, "map merge requires map or sequence of maps as the value"),
    ],
)
def test_what_can_not_be_read_is_named_by_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(UserError) as error:
        parse_manifests(text, "web.yaml")
    assert (error.value.message, error.value.where) == (message, f"web.yaml:{line}")


def test_a_wrong_body_is_a_bad_request() -> None:
    for body in (b"a: [", b"\xff\xfe\xff", b"a: \x00", b"[" * 100_000, b"a: .inf\nb: !!float .inf"):
        with pytest.raises(ApiError) as error:
            yaml_to_json(body)
        assert error.value.reason is Reason.BAD_REQUEST


@pytest.mark.parametrize("form", ["[{refs}]", "{{<<: [{refs}]}}"])
def test_aliases_that_multiply_the_text_are_refused_at_once(form: str) -> None:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} " + form.format(refs=",".join([f"*a{n - 1}"] * 10)) for n in range(1, 30)]
    start = time.process_time()
    with pytest.raises(ApiError, match="aliasing"):
        yaml_to_json("\n".join(lines).encode())
    assert time.process_time() - start < 5


def test_nesting_is_bounded() -> None:
    with pytest.raises(ApiError, match="depth"):
        yaml_to_json(("a: " + "[" * 500 + "]" * 500).encode())
