"""Splitting into words and taking flags. Source: BuildKit, parser/line_parsers.go and split_command.go (behaviour)."""

from __future__ import annotations

import pytest

from pinnace.dockerfile.words import split_blanks, split_words, take_flags


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("a b", ["a", "b"]),
        ('a "b c" d', ["a", '"b c"', "d"]),
        ("a 'b c' d", ["a", "'b c'", "d"]),
        (r"a\ b c", [r"a\ b", "c"]),
        (r'a "b\" c" d', ["a", r'"b\" c"', "d"]),
        ("a 'b\\' c", ["a", "'b\\'", "c"]),  # nothing is escaped between single quotes
        ('a=""', ['a=""']),
        ("a \\", ["a"]),
    ],
)
def test_words_end_at_blanks_outside_quotes(text: str, expected: list[str]) -> None:
    assert split_words(text) == expected


def test_blanks_split_whatever_the_quotes() -> None:
    assert split_blanks('"a b"\tc') == ['"a', 'b"', "c"]
    assert split_blanks("a  b c", 1) == ["a", "b c"]


@pytest.mark.parametrize(
    ("text", "flags", "rest"),
    [
        ("x y", [], "x y"),
        ("--from=a x", ["--from=a"], "x"),
        ('--chown="a b" --chmod=1 x', ["--chown=a b", "--chmod=1"], "x"),
        (r"--x=a\ b c", ["--x=a b"], "c"),
        ("-- --x y", [], "--x y"),
        ("-x --y", [], "-x --y"),
        ("--link", ["--link"], ""),
    ],
)
def test_flags_come_first_and_lose_their_quotes(text: str, flags: list[str], rest: str) -> None:
    assert take_flags(text) == (flags, rest)
