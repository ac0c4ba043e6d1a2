"""How a build is shown."""

from __future__ import annotations

import pytest

from pinnace.base.errors import UserError
from pinnace.cli.build_view.choose import choose_mode, wants_colour


@pytest.mark.parametrize(
    ("flag", "environ", "is_terminal", "is_quiet", "expected"),
    [
        ("", {"TERM": "xterm"}, True, False, "tty"),
        ("auto", {"TERM": "xterm", "NO_COLOR": "1"}, True, False, "tty"),
        ("", {"TERM": "dumb"}, True, False, "plain"),
        ("", {}, True, False, "plain"),
        ("", {"TERM": "xterm"}, False, False, "plain"),
        ("plain", {"TERM": "xterm"}, True, False, "plain"),
        ("tty", {"TERM": "dumb"}, True, False, "tty"),
        ("rawjson", {}, False, False, "rawjson"),
        ("quiet", {"TERM": "xterm"}, True, False, "quiet"),
        ("plain", {}, False, True, "quiet"),
        ("", {"TERM": "xterm", "BUILDKIT_PROGRESS": "plain"}, True, False, "plain"),
        ("tty", {"TERM": "xterm", "BUILDKIT_PROGRESS": "plain"}, True, False, "tty"),
    ],
)
def test_way_of_showing(
    flag: str, environ: dict[str, str], is_terminal: bool, is_quiet: bool, expected: str
) -> None:
    assert choose_mode(flag, environ, is_terminal=is_terminal, is_quiet=is_quiet) == expected


@pytest.mark.parametrize(("flag", "words"), [("pretty", "unknown"), ("tty", "no terminal")])
def test_way_that_there_is_not_is_refused(flag: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        choose_mode(flag, {}, is_terminal=False, is_quiet=False)


def test_no_color_of_any_value_takes_colours_away() -> None:
    assert [wants_colour(env) for env in ({}, {"NO_COLOR": ""}, {"NO_COLOR": "0"})] == [True, True, False]
