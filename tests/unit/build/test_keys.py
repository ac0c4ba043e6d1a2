"""What changes a step's cache key and what doesn't."""

from __future__ import annotations

from msgspec.structs import replace

from pinnace.build.keys import compute_key, compute_selection_key
from pinnace.build.steps import Copy, Inline, MakeDirectory, Place, Run

PLACE = Place(line=3, text="RUN x", stage="a")
RUN = Run(place=PLACE, argv=("/bin/sh", "-c", "x"), env=("A=1",), cwd="/", user="")
COPY = Copy(place=PLACE, sources=("a",), target="/x")
MKDIR = MakeDirectory(place=PLACE, path="/w", user="")


def test_where_a_step_stands_is_no_part_of_its_key() -> None:
    elsewhere = Place(line=99, text="RUN  x", stage="other")
    for step in (RUN, COPY, MKDIR):
        assert compute_key(replace(step, place=elsewhere), ["l"]) == compute_key(step, ["l"])


def test_layers_below_and_their_order_are_part_of_it() -> None:
    keys = {compute_key(RUN, below) for below in ([], ["a"], ["b"], ["a", "b"], ["b", "a"])}
    assert len(keys) == 5


def test_everything_that_a_commands_result_depends_on_is_part_of_its_key() -> None:
    changed = [
        RUN,
        replace(RUN, argv=("/bin/sh", "-c", "y")),
        replace(RUN, argv=("/bin/sh", "-c x")),
        replace(RUN, env=("A=2",)),
        replace(RUN, env=()),
        replace(RUN, cwd="/w"),
        replace(RUN, user="app"),
        replace(RUN, network="none"),
        replace(RUN, script="#!x"),
    ]
    assert len({compute_key(step, []) for step in changed}) == len(changed)


def test_proxies_are_no_part_of_it() -> None:
    # Source: Dockerfile reference, "Predefined ARGs": they don't invalidate the cache
    assert compute_key(replace(RUN, proxies=("HTTP_PROXY=x",)), []) == compute_key(RUN, [])


def test_contents_and_the_way_of_copying_are_part_of_a_copys_key() -> None:
    changed = [
        COPY,
        replace(COPY, target="/y"),
        replace(COPY, target="/x/"),
        replace(COPY, chown="1"),
        replace(COPY, chmod="700"),
        replace(COPY, unpack=True),
        replace(COPY, inline=(Inline(name="a", data="1"),)),
        replace(COPY, inline=(Inline(name="a", data="2"),)),
    ]
    assert len({compute_key(step, [], "content") for step in changed}) == len(changed)
    assert compute_key(COPY, [], "content") != compute_key(COPY, [], "other")


def test_names_of_a_copys_sources_count_only_by_what_they_hold() -> None:
    assert compute_key(replace(COPY, sources=("b",), stage=2), [], "c") == compute_key(COPY, [], "c")


def test_digest_of_files_from_layers_depends_on_these_and_on_what_is_taken() -> None:
    changed = [
        (["a"], COPY),
        (["b"], COPY),
        (["a"], replace(COPY, sources=("b",))),
        (["a"], replace(COPY, exclude=("x",))),
    ]
    assert len({compute_selection_key(layers, step) for layers, step in changed}) == len(changed)
    assert compute_selection_key(["a"], replace(COPY, target="/y")) == compute_selection_key(["a"], COPY)
