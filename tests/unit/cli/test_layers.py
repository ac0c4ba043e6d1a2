"""How layers look: Docker's lines where nobody watches, bars on a terminal."""

import io
from typing import Any

import pytest

from pinnace.cli.layers import Layers, render_bar, render_layer
from pinnace.cli.pulling import describe_status

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def news(digest: str, state: str, current: int = 0, total: int = 0, text: str = "") -> dict[str, Any]:
    return {"digest": digest, "state": state, "current": current, "total": total, "text": text}


def test_elsewhere_than_on_a_terminal_each_thing_is_said_once_in_dockers_words() -> None:
    out = io.StringIO()
    layers = Layers(out)
    for one in (
        news(A, "waiting"),
        news(B, "exists"),
        news(A, "downloading", 1, 3),
        news(A, "downloading", 2, 3),
        news(A, "retrying", 2, 3, "connection reset"),
        news(A, "downloading", 3, 3),
        news(A, "extracting", 0, 9),
        news(A, "extracting", 9, 9),
        news(A, "pulled"),
    ):
        layers.show(one)
    layers.close()
    assert out.getvalue().splitlines() == [
        "aaaaaaaaaaaa: Pulling fs layer",
        "bbbbbbbbbbbb: Already exists",
        "aaaaaaaaaaaa: Retrying: connection reset",
        "aaaaaaaaaaaa: Download complete",
        "aaaaaaaaaaaa: Pull complete",
    ]


def test_pushes_have_words_of_their_own() -> None:
    out = io.StringIO()
    layers = Layers(out, push=True)
    for one in (
        news(A, "preparing"),
        news(A, "pushing", 1, 3),
        news(A, "pushed"),
        news(B, "mounted", text="team/bb"),
        news(B, "exists"),
    ):
        layers.show(one)
    assert out.getvalue().splitlines() == [
        "aaaaaaaaaaaa: Preparing",
        "aaaaaaaaaaaa: Pushed",
        "bbbbbbbbbbbb: Mounted from team/bb",
        "bbbbbbbbbbbb: Layer already exists",
    ]


def test_a_terminal_is_drawn_over_and_ends_with_the_last_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    layers = Layers(out)
    layers.show(news(A, "waiting"))
    layers.show(news(B, "downloading", 5_000_000, 10_000_000))
    layers.show(news(A, "exists"))
    layers.close()
    *_, last = out.getvalue().split("\r\x1b[2A\x1b[J")
    assert last.splitlines()[0] == "aaaaaaaaaaaa: Already exists"
    assert last.splitlines()[1].startswith("bbbbbbbbbbbb: Downloading [====")
    assert last.splitlines()[1].endswith("     5MB/10MB")


def test_a_line_never_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    for width in (1, 10, 40, 80, 200):
        line = render_layer(news(A, "downloading", 5_000_000, 10_000_000), "Downloading", width)
        assert len(line) <= max(1, width - 1)


@pytest.mark.parametrize(
    ("current", "total", "bar"),
    [(0, 10, "[>         ]"), (5, 10, "[=====>    ]"), (10, 10, "[==========]"), (99, 10, "[==========]")],
)
def test_bars_grow_from_nothing_to_full(current: int, total: int, bar: str) -> None:
    assert render_bar(current, total, 10) == bar


def test_the_status_says_whether_anything_was_new() -> None:
    old = {"reference": "ghcr.io/a:v1", "is_new": False}
    new = {"reference": "ghcr.io/a:v2", "is_new": True}
    assert describe_status([old], "") == "Image is up to date for ghcr.io/a:v1"
    assert describe_status([new], "") == "Downloaded newer image for ghcr.io/a:v2"
    assert describe_status([new, old], "ghcr.io/a") == "Downloaded newer image for ghcr.io/a"


def test_more_layers_than_lines_show_what_moves_and_end_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    layers = Layers(out)
    digests = [f"sha256:{number:064x}" for number in range(100, 140)]
    for digest in digests:
        layers.show(news(digest, "waiting"))
    layers.show(news(digests[0], "downloading", 1, 2))
    frame = out.getvalue().split("\x1b[J")[-1].splitlines()
    assert len(frame) == 22  # of 24 lines
    assert frame[-2].endswith("1B/2B") and frame[-1] == "… and 19 more layers"
    layers.close()
    assert len(out.getvalue().split("\x1b[J")[-1].splitlines()) == 40
