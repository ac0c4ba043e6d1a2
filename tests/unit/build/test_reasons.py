"""Why a step was a hit or a miss."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from pinnace.build.footprints import Footprint, Memory, merge_listings, merge_memory, take_footprint
from pinnace.build.listing import Listing, ListingMaker
from pinnace.build.progress import Keyed
from pinnace.build.reasons import Outcome, explain_outcome
from pinnace.build.steps import Copy, Place, Run, Step


def run(text: str = "RUN make", **fields: Any) -> Run:
    place = Place(line=3, text=text, stage="a")
    argv = ("/bin/sh", "-c", text.removeprefix("RUN "))
    return Run(place=place, **{"argv": argv, "env": ("A=1", "B=2"), "cwd": "/", "user": "", **fields})


def copy(**fields: Any) -> Copy:
    place = Place(line=3, text="COPY . /x/", stage="a")
    return Copy(place=place, **{"sources": (".",), "target": "/x/", **fields})


def listing(**files: str) -> Listing:
    maker = ListingMaker()
    for name, content in files.items():
        maker.add(name, content)
    return maker.finish()


def step(
    what: Step | None = None,
    key: str = "1",
    *,
    number: int = 1,
    below: tuple[str, ...] = ("base",),
    content: str = "",
    files: Listing | None = None,
    epoch: int | None = None,
) -> Footprint:
    news = Keyed(
        id=f"a/{number}",
        stage="a",
        number=number,
        key=key,
        step=what or run(),
        below=below,
        content=content,
        epoch=epoch,
    )
    return take_footprint(news, files)


MAKERS = {"base": "the base debian:12", "new": "[a 1] COPY x /"}


def why(
    now: Footprint, *before: Footprint, state: str = "done", texts: tuple[str, ...] = (), **more: Any
) -> str:
    return explain_outcome(
        Outcome(now, state, more.pop("seconds", 0.0)),
        Memory(before),
        frozenset((now.text, *texts)),
        MAKERS,
        **{"no_cache": False, "is_first": not before, **more},
    )


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        (step(run("RUN a"), "2"), step(run("RUN b")), "the line changed, it was: RUN b"),
        (step(run(env=("A=2", "B=2")), "2"), step(), "the value of A (ARG or ENV) changed"),
        (
            step(run(env=("A=1", "C=2")), "2"),
            step(),
            "C (ARG or ENV) is new; B (ARG or ENV) is no longer set",
        ),
        (
            step(run(argv=("/bin/bash", "-c", "make")), "2"),
            step(),
            "the shell or what the command expands to changed",
        ),
        (step(run(cwd="/b"), "2"), step(), "WORKDIR changed: / → /b"),
        (step(None, "2", epoch=5), step(), "SOURCE_DATE_EPOCH changed: none → 5"),
        (step(run(user="9"), "2"), step(), "USER changed: none → 9"),
        (step(run(script="x"), "2"), step(), "the text of the here-document changed"),
        (step(run(), "2", below=("new",)), step(), "the layer of [a 1] COPY x / below it changed"),
        (step(run(), "2", below=("base", "new")), step(), "the layer of [a 1] COPY x / below it changed"),
        (step(run(), "2", below=("odd",)), step(), "layer 1 below it changed"),
        (
            step(run(), "2"),
            step(below=("base", "new")),
            "the layer of [a 1] COPY x / is no longer below it",
        ),
        (
            step(copy(), "2", content="d2", files=listing(a="2", b="1", n="1")),
            step(copy(), content="d1", files=listing(a="1", b="1", o="1")),
            "a changed, n added, o removed",
        ),
        (
            step(copy(), "2", content="d2", files=listing(**{f"f{n}": "2" for n in range(8)})),
            step(copy(), content="d1", files=listing(**{f"f{n}": "1" for n in range(8)})),
            "f0, f1, f2, f3, f4 and 3 more changed",
        ),
        (step(copy(), "2", content="d2"), step(copy(), content="d1"), "what it reads changed"),
        (step(copy(chown="5"), "2"), step(copy()), "the owner changed: none → 5"),
        (step(copy(target="/y/"), "2"), step(copy()), "the target changed: /x/ → /y/"),
        (step(), step(), "nothing changed, but the cache has no longer got it (pruned?)"),
    ],
)
def test_miss_is_told_with_what_is_different(now: Footprint, before: Footprint, expected: str) -> None:
    assert why(now, before) == expected


def test_hit_is_told_with_what_it_saved() -> None:
    assert why(step(), step(), state="cached", seconds=12.34) == "nothing changed, 12.3s saved"
    assert why(step(key="2"), step(), state="cached") == "the same was done in an earlier build"


def test_step_without_a_forerunner_is_new() -> None:
    assert why(step()) == "no build of this Dockerfile is remembered"
    other = step(run("RUN other"), number=2)
    assert why(step(number=9), other) == "this step is new"


def test_no_cache_is_told_beside_what_changed() -> None:
    assert why(step(), step(), no_cache=True) == "nothing changed (--no-cache)"
    assert why(step(run("RUN b"), "2"), step(), no_cache=True).endswith("RUN make (--no-cache)")


def test_step_that_moved_is_compared_with_itself_and_not_with_its_neighbour() -> None:
    before = (step(run("RUN a"), "1"), step(run("RUN b"), "2", number=2))
    now = step(run("RUN b"), "3", number=1, below=("new",))
    assert why(now, *before, texts=("RUN a",)) == "the layer of [a 1] COPY x / below it changed"


def test_step_in_the_place_of_another_step_of_this_build_is_new() -> None:
    before = (step(run("RUN a"), "1"),)
    assert why(step(run("RUN z"), "3"), *before, texts=("RUN a",)) == "this step is new"


def test_no_value_of_a_variable_and_no_text_of_a_here_document_is_kept() -> None:
    kept = step(run(env=("TOKEN=hunter2",), script="hunter2"))
    assert "hunter2" not in repr(kept)


def test_what_a_build_did_not_come_to_stays_remembered() -> None:
    before = Memory(
        (step(key="1"), step(key="2", number=2, below=("base", "old"))), {"old": "x", "gone": "y"}
    )
    now = merge_memory(before, [step(key="9", below=("new",))], {"new": "z"})
    assert [(one.number, one.key) for one in now.steps] == [(1, "9"), (2, "2")]
    assert now.makers == {"old": "x", "new": "z"}


def test_lists_of_several_places_become_one_unless_they_are_folded() -> None:
    assert merge_listings([]) is None
    assert merge_listings([listing(a="1"), listing(b="1")]) == listing(a="1", b="1")
    assert merge_listings([listing(a="1"), replace(listing(b="1"), depth=2)]) is None
