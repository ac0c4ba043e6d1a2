"""What `pinnace build` prints where nobody looks at a terminal: as `docker build --progress=plain`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pinnace.base.errors import UserError
from pinnace.cli.build_view import plain
from pinnace.cli.build_view.show import show_build


def step(state: str, *, id: str = "a/1", bytes: int = 0, seconds: float = 0.0) -> dict[str, Any]:
    return {
        "type": "step",
        "id": id,
        "stage": id.split("/")[0],
        "number": 1,
        "total": 2,
        "text": "RUN make \\\n   all",
        "state": state,
        "bytes": bytes,
        "seconds": seconds,
    }


def output(text: str, id: str = "a/1") -> dict[str, Any]:
    return {"type": "output", "id": id, "text": text}


BUILT = {
    "type": "built",
    "image": "sha256:1",
    "names": ["x:v1"],
    "seconds": 1.25,
    "stages": [{"name": "a", "size": 2_000_000, "layers": 2}],
    "cached": 1,
    "steps": 2,
}


def shown(capsys: pytest.CaptureFixture[str], *news: dict[str, Any], mode: str = "plain") -> tuple[str, str]:
    show_build(news, mode, "x:v1", {})
    said = capsys.readouterr()
    return said.out, said.err


def test_steps_side_by_side_keep_their_numbers_and_their_lines_apart(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, err = shown(
        capsys,
        step("running"),
        step("running", id="b/1"),
        output("one\ntw"),
        output("other\n", "b/1"),
        output("o\nlast"),
        step("done", bytes=3_000, seconds=1.5),
        step("failed", id="b/1"),
    )
    assert err.splitlines() == [
        "#1 [a 1/2] RUN make \\ all",
        "#2 [b 1/2] RUN make \\ all",
        "#1 one",
        "#2 other",
        "#1 two",
        "#1 last",
        "#1 DONE 1.5s, 3kB",
        "#2 ERROR",
    ]


def test_cached_step_and_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = shown(capsys, step("cached"), {"type": "warning", "text": "careful"}, BUILT)
    assert out == ""
    assert err.splitlines() == [
        "#1 [a 1/2] RUN make \\ all",
        "#1 CACHED",
        "careful",
        "stage a: 2MB in 2 layers",
        "built sha256:1 (x:v1) in 1.2s, 1 of 2 steps cached",
    ]


def test_stage_of_one_layer_is_told_in_the_singular(capsys: pytest.CaptureFixture[str]) -> None:
    _, err = shown(capsys, {**BUILT, "stages": [{"name": "a", "size": 1, "layers": 1}]})
    assert err.splitlines()[0] == "stage a: 1B in 1 layer"


def test_quiet_says_the_id_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, step("running"), output("x\n"), step("done"), BUILT, mode="quiet") == (
        "sha256:1\n",
        "",
    )


def test_long_copy_says_now_and_then_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0.0, 1.0, 2.5, 3.0, 4.6])
    monkeypatch.setattr(plain.time, "monotonic", lambda: next(times))
    sizes = (1_000_000, 2_000_000, 3_000_000, 4_000_000, 5_000_000)
    states = ("reading", "reading", "reading", "running", "running")
    _, err = shown(capsys, *(step(state, bytes=size) for state, size in zip(states, sizes, strict=True)))
    assert err.splitlines()[1:] == ["#1 reading 3MB", "#1 copying 5MB"]


def layer(digest: str, state: str, current: int = 0, total: int = 0, text: str = "") -> dict[str, Any]:
    news = {"type": "layer", "digest": digest, "state": state, "current": current, "total": total}
    return {"type": "base", "reference": "python:3", "state": "pulling", "layer": {**news, "text": text}}


def test_base_that_is_pulled_is_told_with_its_bytes_and_what_the_registry_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0.0, 3.0, 3.1])
    monkeypatch.setattr(plain.time, "monotonic", lambda: next(times))
    base = {"type": "base", "reference": "python:3"}
    _, err = shown(
        capsys,
        {**base, "state": "resolving"},
        layer("a", "downloading", 1_000_000, 4_000_000),
        layer("b", "retrying", text="503 Service Unavailable, again in 2s"),
        layer("b", "downloading", 500_000, 2_000_000),
        layer("a", "extracting"),
        {**base, "state": "done", "seconds": 4.0},
    )
    assert err.splitlines() == [
        "#1 [base] python:3",
        "#1 503 Service Unavailable, again in 2s",
        "#1 pulling 1.5MB of 6MB",
        "#1 DONE 4.0s, 6MB",
    ]


def test_explanation_is_data_and_takes_the_place_of_the_weights(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = shown(capsys, {"type": "explained", "lines": ["why", "so"]}, BUILT)
    assert out == "why\nso\n"
    assert err.splitlines() == ["built sha256:1 (x:v1) in 1.2s, 1 of 2 steps cached"]


def test_each_piece_of_news_can_be_read_by_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = shown(capsys, step("cached"), BUILT, mode="rawjson")
    assert out == ""
    assert [json.loads(line) for line in err.splitlines()] == [step("cached"), BUILT]


def test_failure_is_raised_as_what_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    error = {"type": "error", "reason": "UserError", "message": "no", "where": "Dockerfile:2: RUN x"}
    with pytest.raises(UserError, match="no") as caught:
        shown(capsys, step("failed"), error)
    assert caught.value.where == "Dockerfile:2: RUN x"
