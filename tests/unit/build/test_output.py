"""Two streams become one text with whole lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pinnace.build.output import WAITING_MAX, Joiner


def join(*pieces: tuple[str, str]) -> list[str]:
    joiner = Joiner()
    shown = [joiner.feed(is_error=name == "err", data=text.encode()) for name, text in pieces]
    return [*shown, joiner.finish()]


def test_line_that_comes_in_pieces_is_not_broken_by_the_other_stream() -> None:
    assert join(("err", "+ "), ("out", "hi\n"), ("err", "echo hi\n")) == ["+ ", "", "echo hi\nhi\n", ""]


def test_whole_lines_come_as_they_are_written() -> None:
    assert join(("out", "a\n"), ("err", "b\n"), ("out", "c")) == ["a\n", "b\n", "c", ""]


def test_what_waits_comes_at_the_end() -> None:
    assert join(("out", "progress 10%"), ("err", "x\n")) == ["progress 10%", "", "x\n"]


def test_line_that_does_not_end_is_broken_when_much_waits() -> None:
    long = "y" * (WAITING_MAX + 1)
    assert join(("out", "..."), ("err", long)) == ["...", "\n" + long, ""]


def test_character_in_two_pieces_is_one() -> None:
    joiner = Joiner()
    assert joiner.feed(is_error=False, data=b"\xc3") == ""
    assert joiner.feed(is_error=True, data=b"e\n") == "e\n"
    assert joiner.feed(is_error=False, data=b"\xa9\n") == "é\n"


@given(st.lists(st.tuples(st.sampled_from(["out", "err"]), st.text("ab\n", max_size=9))))
def test_every_character_comes_out_once(pieces: list[tuple[str, str]]) -> None:
    shown = "".join(join(*pieces))
    assert sorted(shown) == sorted("".join(text for _, text in pieces))
