"""Sets of paths: their algebra against Python's own sets, their order, and how they stand on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.api.apply.sets import (
    Path,
    difference,
    from_paths,
    has,
    intersection,
    parse,
    paths,
    render,
    render_path,
    union,
    without,
)

STEPS = st.sampled_from(["f:a", "f:b", "f:.", 'k:{"name":"x"}', 'k:{"name":"y"}', "v:1", 'v:"\\u003c"'])
PATHS = st.lists(STEPS, min_size=1, max_size=4).map(tuple)
SETS = st.frozensets(PATHS, max_size=12)


@given(SETS, SETS)
def test_the_algebra_is_that_of_sets_of_paths(one: frozenset[Path], other: frozenset[Path]) -> None:
    left, right = from_paths(list(one)), from_paths(list(other))
    assert set(paths(union(left, right))) == one | other
    assert set(paths(intersection(left, right))) == one & other
    assert set(paths(difference(left, right))) == one - other


@given(SETS)
def test_what_is_written_is_read_again(one: frozenset[Path]) -> None:
    fields = from_paths(list(one))
    assert parse(render(fields)) == fields
    assert set(paths(parse(render(fields)))) == one
    assert all(has(fields, path) for path in one)
    assert list(paths(fields)) == list(paths(parse(render(fields))))


@given(SETS, SETS)
def test_equal_sets_are_equal_whatever_way_they_were_made(
    one: frozenset[Path], other: frozenset[Path]
) -> None:
    together = from_paths([*one, *other])
    assert union(from_paths(list(other)), from_paths(list(one))) == together
    assert render(union(from_paths(list(one)), from_paths(list(other)))) == render(together)


def test_a_member_with_members_below_has_a_dot() -> None:
    fields = from_paths([("f:a",), ("f:a", "f:b")])
    assert render(fields) == b'{"f:a":{".":{},"f:b":{}}}'
    assert render(difference(fields, from_paths([("f:a",)]))) == b'{"f:a":{"f:b":{}}}'
    assert render(difference(fields, from_paths([("f:a", "f:b")]))) == b'{"f:a":{}}'


def test_keys_are_in_order_of_their_values_and_come_after_fields() -> None:
    wanted = b'{"f:ports":{"k:{\\"port\\":80}":{},"k:{\\"port\\":443}":{},"k:{\\"port\\":8080}":{}}}'
    scrambled = b'{"f:ports":{"k:{\\"port\\":8080}":{},"k:{\\"port\\":80}":{},"k:{\\"port\\":443}":{}}}'
    assert render(parse(scrambled)) == wanted


def test_what_others_wrote_in_another_form_becomes_ours() -> None:
    theirs = b'{ "f:p": { "k:{\\"protocol\\": \\"TCP\\", \\"port\\": 80}": {".": {}} }, "x:later": {} }'
    assert render(parse(theirs)) == b'{"f:p":{"k:{\\"port\\":80,\\"protocol\\":\\"TCP\\"}":{}}}'


@pytest.mark.parametrize(
    "bad",
    [b"[]", b"1", b'{"f:a":1}', b'{"fa":{}}', b'{"k:1":{}}', b'{"k:{":{}}', b"{", b'{"f:a":' * 2000],
    ids=range(8),
)
def test_what_is_no_set_is_refused(bad: bytes) -> None:
    with pytest.raises(ValueError, match="fieldsV1"):
        parse(bad)


def test_paths_are_shown_as_kubernetes_shows_them() -> None:
    # By hand, from structured-merge-diff's documentation of fieldpath.Path.
    path = ("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}', "f:name")
    assert render_path(path) == '.spec.ports[port=80,protocol="TCP"].name'
    assert render_path(("f:metadata", "f:finalizers", 'v:"a/b"')) == '.metadata.finalizers[="a/b"]'


def test_members_of_a_level_come_before_what_is_below_it() -> None:
    fields = from_paths([("f:a", "f:z"), ("f:b",), ("f:c", "f:a"), ("f:c",)])
    assert list(paths(fields)) == [("f:b",), ("f:c",), ("f:a", "f:z"), ("f:c", "f:a")]


def test_a_field_goes_with_all_below_it() -> None:
    fields = from_paths([("f:a", "f:b", "f:c"), ("f:a", "f:d")])
    assert without(fields, ("f:a", "f:b")) == from_paths([("f:a", "f:d")])
    assert without(fields, ("f:a",)) == {}
    assert without(fields, ("f:x", "f:y")) is fields
