"""The short list of what a COPY took, and what is different between two."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace.build import listing
from pinnace.build.listing import ENTRIES_MAX, Listing, ListingMaker, compare_listings


def listed(files: dict[str, str]) -> Listing:
    maker = ListingMaker()
    for path, content in files.items():
        maker.add(path, content)
    return maker.finish()


def test_changed_added_and_removed_files_are_named() -> None:
    before = listed({"a": "1", "b/c": "1", "d": "1"})
    now = listed({"e": "1", "a": "2", "b/c": "1"})
    assert compare_listings(before, now) == {"changed": ["a"], "added": ["e"], "removed": ["d"]}


def test_mode_is_a_change_too() -> None:
    one, two = ListingMaker(), ListingMaker()
    one.add("a", "100644", "x")
    two.add("a", "100755", "x")
    assert compare_listings(one.finish(), two.finish())["changed"] == ["a"]


def test_order_does_not_matter() -> None:
    assert listed({"a": "1", "b": "2"}) == listed({"b": "2", "a": "1"})


def test_of_many_files_folders_are_named_and_the_list_stays_short() -> None:
    files = {f"data/{i % 50}/x/y/{i}": "1" for i in range(3 * ENTRIES_MAX)}
    before = listed({**files, "top": "1"})
    assert len(before.marks) <= ENTRIES_MAX
    assert before.depth == 4
    now = listed({**files, "top": "2", "data/7/x/y/7": "2", "data/7/x/z": "new"})
    assert compare_listings(before, now) == {
        "changed": ["data/7/x/y/…", "top"],
        "added": ["data/7/x/z/…"],
        "removed": [],
    }


def test_lists_of_different_depth_are_compared_at_the_higher_one() -> None:
    many = {f"data/{i}/x/y/z/{j}": "1" for i in range(60) for j in range(40)}
    found = compare_listings(listed({**many, "src/a": "1"}), listed({"src/a": "2"}))
    assert found["changed"] == ["src/a"]
    assert len(found["removed"]) == 60


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.text("ab/", min_size=1, max_size=9), st.sampled_from("12"), max_size=40),
    st.dictionaries(st.text("ab/", min_size=1, max_size=9), st.sampled_from("12"), max_size=40),
    st.sampled_from((5, 20, 2000)),
)
def test_lists_are_equal_if_and_only_if_the_files_are(
    one: dict[str, str], two: dict[str, str], limit: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "ENTRIES_MAX", limit)
        found = compare_listings(listed(one), listed(two))
    assert any(found.values()) == (one != two)
