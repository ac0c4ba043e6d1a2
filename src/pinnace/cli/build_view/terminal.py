"""Draws the live plan on a terminal: a region below what was printed before, drawn anew where it changed. A doer.

A thread draws, so that times go on while a command is silent. What stays is printed above the region.
Invariants: one write for each picture; each line is overwritten, never erased first, so that nothing flickers; however it
ends (done, error, Ctrl-C, SIGTERM, Ctrl-Z), the cursor is visible and stands at the start of a line of its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, TextIO

from pinnace.cli.build_view.lines import Style, render_lines
from pinnace.cli.build_view.model import Model
from pinnace.cli.build_view.text import width_of

FRAME_S = 0.1
LEAST_WIDTH, LEAST_HEIGHT = 20, 3
UNKNOWN_SIZE = os.terminal_size((80, 24))  # of a terminal that was never told its own
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
# Source: "Synchronized Output" (terminal-wg): a terminal that doesn't know it passes over it.
BEGIN_PICTURE, END_PICTURE = "\x1b[?2026h", "\x1b[?2026l"
ERASE_LINE_REST, ERASE_BELOW = "\x1b[K", "\x1b[J"


class LiveView:
    """The live plan on `stream`; use it as a context manager, and `show` it the news."""

    def __init__(
        self,
        stream: TextIO,
        title: str,
        style: Style,
        *,
        get_size: Callable[[], os.terminal_size] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._style = style
        self._get_size = get_size or (lambda: os.get_terminal_size(stream.fileno()))
        self._now = monotonic
        self._model = Model(title, monotonic())
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_drawing, name="build-view", daemon=True)
        self._drawn: list[str] = []
        self._former: dict[int, Any] = {}

    def __enter__(self) -> LiveView:
        self._write(HIDE_CURSOR)
        self._catch(signal.SIGTERM, self._end_by_signal)
        self._catch(signal.SIGHUP, self._end_by_signal)
        self._catch(signal.SIGTSTP, self._suspend)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._model.stop(self._now())
        with contextlib.suppress(OSError):
            self.draw(final=True)
            self._write(SHOW_CURSOR)

    def show(self, news: dict[str, Any]) -> None:
        """Take in one piece of news; it is seen with the next picture."""
        with self._lock:
            self._model.apply(news, self._now())
            if news["type"] == "warning":
                self.say(news["text"])

    def say(self, text: str) -> None:
        """Print something that stays, above the region."""
        with self._lock:
            self._write(self._to_top() + ERASE_BELOW + text.rstrip("\n").replace("\n", "\r\n") + "\r\n")
            self._drawn = []
            self.draw()

    def draw(self, *, final: bool = False) -> None:
        """Draw the picture of now, if it differs from what is there."""
        with self._lock:
            size = self._size()
            width = size.columns - 1  # the last column is left alone: terminals differ in when they wrap
            lines = render_lines(
                self._model,
                width=width,
                height=size.lines - 1,
                now=self._now(),
                style=self._style,
                final=final,
            )
            if lines != self._drawn or final:
                self._write(self._picture(lines))
                self._drawn = lines

    def _picture(self, lines: list[str]) -> str:
        body = "".join(f"{line}{ERASE_LINE_REST}\r\n" for line in lines)
        return f"{BEGIN_PICTURE}{self._to_top()}{body}{ERASE_BELOW}{END_PICTURE}"

    def _to_top(self) -> str:
        """Return the way to the region's first line. Lines that a narrower terminal has wrapped count as often as they show."""
        columns = max(self._size().columns, 1)
        rows = sum(max(1, -(-width_of(_bare(line)) // columns)) for line in self._drawn)
        return f"\x1b[{rows}A\r" if rows else "\r"

    def _size(self) -> os.terminal_size:
        try:
            size = self._get_size()
        except OSError:
            return UNKNOWN_SIZE
        columns, rows = size.columns or UNKNOWN_SIZE.columns, size.lines or UNKNOWN_SIZE.lines
        return os.terminal_size((max(columns, LEAST_WIDTH), max(rows, LEAST_HEIGHT)))

    def _keep_drawing(self) -> None:
        while not self._stop.wait(FRAME_S):
            try:
                self.draw()
            except OSError:
                return  # the terminal is gone

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    # --- signals -----------------------------------------------------------------------------------------------------

    def _catch(self, number: signal.Signals, handler: Callable[[int, FrameType | None], None]) -> None:
        if threading.current_thread() is threading.main_thread():
            self._former[number] = signal.signal(number, handler)

    def _end_by_signal(self, number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-Z: leave the terminal as it should be, stop, and go on with a new region when continued."""
        with self._lock:
            self.draw()
            self._write(SHOW_CURSOR)
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTSTP)
            # Stopped here until somebody continues.
            signal.signal(signal.SIGTSTP, self._suspend)
            self._drawn = []
            self._write(HIDE_CURSOR)
            self.draw()


def _bare(line: str) -> str:
    """Return a drawn line without its colours."""
    while "\x1b" in line:
        before, _, after = line.partition("\x1b[")
        line = before + after.partition("m")[2]
    return line
