"""The live plan on a terminal: what stands on its screen, and how it is left."""

from __future__ import annotations

import io
import os
import re
import signal

import pytest

from pinnace.cli.build_view.lines import Style
from pinnace.cli.build_view.terminal import LiveView
from tests.unit.cli.build_view.news import output, plan, step


class Screen(io.StringIO):
    """A terminal that knows what the view uses: lines that wrap, the way up, erasing, the cursor's visibility."""

    def __init__(self, columns: int = 60, rows: int = 12) -> None:
        super().__init__()
        self.size = os.terminal_size((columns, rows))
        self.lines = [""]
        self.row = self.column = 0
        self.has_cursor = True
        self.writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        for part in re.findall(r"\x1b\[\??[\d;]*[A-Za-z]|.", text, re.DOTALL):
            self._take(part)
        return len(text)

    def _take(self, part: str) -> None:
        if part == "\n":
            self.row += 1
            self.lines += [""] * (self.row + 1 - len(self.lines))
        elif part == "\r":
            self.column = 0
        elif part in ("\x1b[?25l", "\x1b[?25h"):
            self.has_cursor = part.endswith("h")
        elif part.endswith("A") and part.startswith("\x1b"):
            self.row = max(self.row - int(part[2:-1]), 0)
        elif part == "\x1b[K":
            self.lines[self.row] = self.lines[self.row][: self.column]
        elif part == "\x1b[J":
            self.lines[self.row] = self.lines[self.row][: self.column]
            del self.lines[self.row + 1 :]
        elif not part.startswith("\x1b"):
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + part + line[self.column + 1 :]
            self.column += 1


class Now:
    at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def screen() -> Screen:
    return Screen()


def view_on(screen: Screen, now: Now | None = None) -> LiveView:
    return LiveView(screen, "x:v1", Style(colour=False), get_size=lambda: screen.size, monotonic=now or Now())


def test_each_picture_takes_the_place_of_the_one_before_and_what_is_said_stays_above(screen: Screen) -> None:
    now = Now()
    with view_on(screen, now) as view:
        view.show(plan(a=["RUN one", "RUN two"]))
        view.show(step("a", 1, "running", text="RUN one", total=2))
        view.show(output("a", 1, "hello\nworld\n"))
        view.draw()
        assert screen.lines[-4:] == [
            "     hello",
            "     world",
            " · [a 2/2] RUN two",
            "",
        ]
        assert not screen.has_cursor
        view.show({"type": "warning", "text": "careful\nplease"})
        now.at = 1.0
        view.show(step("a", 1, "done", text="RUN one", total=2, seconds=1.0))
        view.show({"type": "built"})
    assert screen.lines == [
        "careful",
        "please",
        "built x:v1: 1 of 2 steps                               1.0s",
        " ✔ [a 1/2] RUN one                                     1.0s",
        " · [a 2/2] RUN two",
        "",
    ]
    assert screen.has_cursor
    assert (screen.row, screen.column) == (5, 0)


def test_picture_that_is_the_same_is_not_drawn_again(screen: Screen) -> None:
    view = view_on(screen)
    view.draw()
    writes = screen.writes
    view.draw()
    assert screen.writes == writes


def test_narrower_terminal_has_wrapped_the_last_picture_and_all_of_it_is_replaced(screen: Screen) -> None:
    view = view_on(screen)
    view.show(plan(a=["RUN " + "x" * 50]))
    view.draw()
    old = screen.lines[:2]
    screen.size = os.terminal_size((30, 12))
    screen.lines = [piece for line in old for piece in (line[:30], line[30:])] + [""]
    screen.row = len(screen.lines) - 1
    view.draw()
    assert screen.lines == [*view._drawn, ""]
    assert all(len(line) < 30 for line in screen.lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_leaves_a_clean_terminal(screen: Screen, number: signal.Signals) -> None:
    former = signal.getsignal(number)
    with pytest.raises(SystemExit) as caught, view_on(screen) as view:
        view.show(step("a", 1, "running"))
        signal.raise_signal(number)
    assert caught.value.code == 128 + number
    assert screen.has_cursor
    assert screen.lines[-1] == ""
    assert signal.getsignal(number) is former


def test_ctrl_c_leaves_a_clean_terminal_that_says_what_was_going_on(screen: Screen) -> None:
    with pytest.raises(KeyboardInterrupt), view_on(screen) as view:
        view.show(step("a", 1, "running"))
        raise KeyboardInterrupt
    assert screen.has_cursor
    assert screen.lines[-3].startswith("stopped x:v1")
    assert screen.lines[-2].startswith(" – [a 1/3] RUN x")


def test_terminal_that_does_not_know_its_size_has_the_usual_one(screen: Screen) -> None:
    screen.size = os.terminal_size((0, 0))
    view = view_on(screen)
    view.show(plan(a=["RUN " + "x" * 90]))
    view.draw()
    assert len(screen.lines[1]) == 79
