"""Which lines a person sees of a build, for a width and a height."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace.cli.build_view.lines import Style, render_lines, render_seconds
from pinnace.cli.build_view.model import Model
from pinnace.cli.build_view.text import width_of
from tests.unit.cli.build_view.news import base, model, output, plan, step

PLAIN = Style(colour=False)


def seen(known: Model, *, width: int = 50, height: int = 24, now: float = 4.0, **more: Any) -> list[str]:
    return render_lines(known, width=width, height=height, now=now, **{"style": PLAIN, **more})


GOING_ON = (
    plan(build=["RUN a", "RUN b", "COPY c", "RUN d", "RUN e"], run=["COPY --from=build x y"]),
    step("build", 1, "cached", text="RUN a", total=5),
    step("build", 2, "cached", text="RUN b", total=5),
    (1.0, step("build", 3, "reading", text="COPY c", total=5, bytes=2_000)),
    (1.5, step("build", 3, "done", text="COPY c", total=5, bytes=3_000, seconds=0.5)),
    (2.0, step("build", 4, "running", text="RUN d", total=5)),
    (3.0, output("build", 4, "one\ntwo\nthr")),
)


def test_plan_shows_what_is_done_what_goes_on_with_its_output_and_what_is_to_come() -> None:
    assert seen(model(*GOING_ON)) == [
        "building x:v1: 3 of 6 steps, 2 cached         4.0s",
        " ✔ [build] 2 steps cached",
        " ✔ [build 3/5] COPY c                    3kB  0.5s",
        " ⠋ [build 4/5] RUN d                          2.0s",
        "     one",
        "     two",
        "     thr",
        " · [build 5/5] RUN e",
        " · [run 1/1] COPY --from=build x y",
    ]


@pytest.mark.parametrize(
    ("height", "expected"),
    [
        (
            3,
            [
                "building x:v1: 3 of 6 steps, 2 cached         4.0s",
                " ⠋ [build 4/5] RUN d                          2.0s",
            ],
        ),
        (
            5,
            [
                "building x:v1: 3 of 6 steps, 2 cached         4.0s",
                " ✔ [build] 3 steps done                       0.5s",
                " ⠋ [build 4/5] RUN d                          2.0s",
                " · [build 5/5] RUN e",
                " · [run 1/1] COPY --from=build x y",
            ],
        ),
        (
            7,
            [
                "building x:v1: 3 of 6 steps, 2 cached         4.0s",
                " ✔ [build] 3 steps done                       0.5s",
                " ⠋ [build 4/5] RUN d                          2.0s",
                "     thr",
                " · [build 5/5] RUN e",
                " · [run 1/1] COPY --from=build x y",
            ],
        ),
    ],
)
def test_small_terminal_is_told_less(height: int, expected: list[str]) -> None:
    assert seen(model(*GOING_ON), height=height) == expected


def test_last_picture_has_every_step_and_no_output() -> None:
    known = model(
        *GOING_ON,
        (5.0, step("build", 4, "done", text="RUN d", total=5, seconds=3.0)),
        (6.0, step("build", 5, "failed", text="RUN e", total=5)),
    )
    known.stop(7.0)
    assert seen(known, final=True, now=7.0, height=3) == [
        "stopped x:v1: 4 of 6 steps, 2 cached          7.0s",
        " ✔ [build] 2 steps cached",
        " ✔ [build 3/5] COPY c                    3kB  0.5s",
        " ✔ [build 4/5] RUN d                          3.0s",
        " ✘ [build 5/5] RUN e                          0.0s",
        " · [run 1/1] COPY --from=build x y",
    ]


def test_steps_that_were_going_on_when_nobody_listens_any_longer_are_no_successes() -> None:
    known = model(*GOING_ON)
    known.stop(4.0)
    assert " – [build 4/5] RUN d                          2.0s" in seen(known, final=True)


def test_pull_of_a_base_is_told_with_its_layers_and_bytes() -> None:
    known = model(
        base("python:3", "resolving"),
        base("python:3", "pulling", digest="a", state="downloading", current=1_000_000, total=4_000_000),
        base("python:3", "pulling", digest="b", state="extracting", current=0, total=2_000_000),
        base("python:3", "pulling", digest="b", state="pulled"),
        base("python:3", "pulling", digest="c", state="retrying", text="503 from the registry"),
    )
    assert seen(known, width=60) == [
        "building x:v1                                           4.0s",
        " ⠋ pulling python:3, 1 of 3 layers          3MB of 6MB  4.0s",
        "     503 from the registry",
    ]
    known.apply({"type": "base", "reference": "python:3", "state": "done", "seconds": 5.0}, 5.0)
    assert seen(known, width=60)[1] == " ✔ pulled python:3                                 6MB  5.0s"


def test_push_is_told_below_the_stages() -> None:
    push = {"type": "push", "reference": "r/x:v1"}
    layer = {"digest": "a", "current": 1_000_000, "total": 2_000_000}
    known = model(plan(a=["RUN a"]), {**push, "state": "pushing", "layer": {**layer, "state": "pushing"}})
    assert seen(known)[2] == " ⠋ pushing r/x:v1, 0 of 1 layer   1MB of 2MB  4.0s"
    known.apply({**push, "state": "pushing", "layer": {**layer, "state": "pushed"}}, 5.0)
    known.apply({**push, "state": "done", "seconds": 5.0}, 5.0)
    assert seen(known)[2] == " ✔ pushed r/x:v1                         2MB  5.0s"


def test_colours_and_letters_beyond_ascii_are_used_only_where_they_may() -> None:
    known = model(plan(a=["RUN é"]), step("a", 1, "done", text="RUN é", total=1, seconds=1.0))
    line = seen(known, width=30, style=Style())[1]
    assert line == "\x1b[32m ✔ [a 1/1] RUN é\x1b[0m          \x1b[2m1.0s\x1b[0m"
    assert seen(known, width=30, style=Style(colour=False, unicode=False))[1] == (
        " + [a 1/1] RUN ?          1.0s"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0s"), (3.25, "3.2s"), (59.94, "59.9s"), (75.2, "1m15s"), (3600, "1h00m"), (-1, "0.0s")],
)
def test_durations(seconds: float, text: str) -> None:
    assert render_seconds(seconds) == text


def any_news() -> st.SearchStrategy[dict[str, Any]]:
    stage, number = st.sampled_from("ab"), st.integers(1, 4)
    states = st.sampled_from(("reading", "running", "cached", "done", "failed", "new"))
    text = st.text(max_size=60)
    return st.one_of(
        st.builds(lambda s, n, state, t: step(s, n, state, text=t), stage, number, states, text),
        st.builds(output, stage, number, text),
        st.builds(
            lambda state, inner, n: base("b", state, digest=str(n), state=inner, total=n),
            st.sampled_from(("resolving", "pulling", "done", "failed")),
            st.sampled_from(("downloading", "extracting", "pulled", "retrying")),
            number,
        ),
        st.just(plan(a=["RUN 1", "RUN 2"], c=[])),
        st.just({"type": "unheard-of"}),
        st.just({"type": "built"}),
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(any_news(), max_size=12), st.integers(20, 90), st.integers(2, 12), st.booleans())
def test_no_line_is_too_wide_and_there_are_not_too_many(
    news: list[dict[str, Any]], width: int, height: int, final: bool
) -> None:
    known = model(*news)
    lines = seen(known, width=width, height=height, final=final)
    assert all(width_of(line) <= width for line in lines)
    assert all(char.isprintable() for line in lines for char in line)
    assert final or 0 < len(lines) <= height
