"""What commands write, made fit for one row of a terminal."""

from __future__ import annotations

import pytest

from pinnace.cli.build_view.text import clean_line, fit, one_line, width_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("10%\r50%\r100%", "100%"),
        ("windows\r", "windows"),
        ("\x1b[1;32mok\x1b[0m", "ok"),
        ("\x1b[2K\x1b[1Ax", "x"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b(Bx\x1b7", "x"),
        ("a\tb", "a   b"),
        ("bell\x07\x00\x7f", "bell"),
        ("한글 ü  ", "한글 ü"),
    ],
)
def test_line_is_what_a_terminal_would_show_of_it(text: str, expected: str) -> None:
    assert clean_line(text) == expected


def test_instruction_becomes_one_line() -> None:
    assert one_line("RUN a \\\n    && b \\\n\tc") == "RUN a && b c"


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("한글입", 5, "한글…"),
        ("a", 0, ""),
        ("ab", 1, "…"),
        ("é", 9, "é"),
    ],
)
def test_text_is_cut_to_columns(text: str, width: int, expected: str) -> None:
    assert fit(text, width) == expected
    assert width_of(fit(text, width)) <= width
