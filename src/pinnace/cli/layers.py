"""How pulls and pushes look: a line for each layer, with bars on a terminal, plain lines elsewhere, in Docker's words.

Used by `pull`, `push` and `run`. Imports next to nothing. Invariant: what is printed elsewhere than on a terminal says each
thing once, and no bar.
Source: moby, pkg/jsonmessage and pkg/streamformatter, docker pull and push (the words and the bar).
"""

from __future__ import annotations

import os
import time

from pinnace.cli.units import render_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

REDRAW_EVERY_S = 0.08
BAR_CHARACTERS = 50
SHORT_ID = 12

# What a state is called; "" is shown on terminals only, as its bar.
WORDS = {
    "waiting": "Pulling fs layer",
    "exists": "Already exists",
    "downloading": "Downloading",
    "retrying": "Retrying",
    "extracting": "Extracting",
    "pulled": "Pull complete",
    "preparing": "Preparing",
    "pushing": "Pushing",
    "mounted": "Mounted",
    "pushed": "Pushed",
}
PUSH_WORDS = {**WORDS, "exists": "Layer already exists", "waiting": "Waiting"}
MOVING = ("downloading", "extracting", "pushing")


class Layers:
    """The lines of one image's layers on a stream; `show` takes the daemon's news, `close` leaves the last state standing."""

    def __init__(self, stream: TextIO, *, push: bool = False) -> None:
        self._stream = stream
        self._words = PUSH_WORDS if push else WORDS
        self._live = stream.isatty() and os.environ.get("TERM", "") != "dumb"
        self._news: dict[str, dict[str, Any]] = {}
        self._drawn = 0
        self._due = 0.0

    def show(self, news: dict[str, Any]) -> None:
        """Show how far a layer is now."""
        before = self._news.get(news["digest"])
        self._news[news["digest"]] = news
        if self._live:
            now = time.monotonic()
            if now >= self._due or before is None or before["state"] != news["state"]:
                self._due = now + REDRAW_EVERY_S
                self._draw()
            return
        for text in self._tell(before, news):
            print(f"{short_digest(news['digest'])}: {text}", file=self._stream, flush=True)

    def close(self) -> None:
        """Draw the end; the next layers begin below."""
        if self._live and self._news:
            self._draw(whole=True)
        self._news = {}
        self._drawn = 0

    def _tell(self, before: dict[str, Any] | None, news: dict[str, Any]) -> list[str]:
        """Return what is told elsewhere than on a terminal: what became of a layer, not how it moves."""
        state = news["state"]
        if before is not None and before["state"] == state and state != "retrying":
            return []
        told = []
        if before is not None and before["state"] == "downloading" and state in ("extracting", "pulled"):
            told.append("Download complete")
        if state not in MOVING:
            told.append(self._describe(news))
        return told

    def _describe(self, news: dict[str, Any]) -> str:
        words = self._words.get(news["state"], news["state"])
        text = news.get("text", "")
        if news["state"] == "mounted" and text:
            return f"{words} from {text}"
        return f"{words}: {text}" if text else words

    def _draw(self, *, whole: bool = False) -> None:
        width, height = terminal_size(self._stream)
        rows = list(self._news.values())
        room = max(1, height - 2)
        hidden = 0
        if len(rows) > room and not whole:  # what moves is shown, and the newest of the rest
            moving = [one for one in rows if one["state"] in MOVING or one["state"] == "retrying"]
            rest = [one for one in rows if one not in moving]
            shown = (rest + moving)[-(room - 1) :] if room > 1 else moving[-1:]
            hidden, rows = len(rows) - len(shown), shown
        lines = [render_layer(one, self._describe(one), width) for one in rows]
        if hidden:
            lines.append(f"… and {hidden} more layers"[: width - 1])
        up = f"\r\x1b[{self._drawn}A" if self._drawn else ""  # an echoed ^C may stand before the cursor
        self._stream.write(up + "\x1b[J" * bool(up) + "".join(f"{line}\n" for line in lines))
        self._stream.flush()
        self._drawn = len(lines)


def render_layer(news: dict[str, Any], words: str, width: int) -> str:
    """Return one layer's line. Example: "0123456789ab: Downloading [=====>     ]  12.3MB/45.6MB"."""
    line = f"{short_digest(news['digest'])}: {words}"
    current, total = news.get("current", 0), news.get("total", 0)
    if news["state"] in MOVING and total:
        numbers = f" {render_size(min(current, total)):>8}/{render_size(total)}"
        room = min(BAR_CHARACTERS, width - len(line) - len(numbers) - 4)
        bar = f" {render_bar(current, total, room)}" if room >= 5 else ""
        line = f"{line}{bar}{numbers}"
    elif news["state"] in MOVING and current:
        line = f"{line} {render_size(current):>8}"
    return line[: max(1, width - 1)]


def render_bar(current: int, total: int, room: int) -> str:
    """Return a bar. Example: render_bar(1, 2, 10) is "[=====>    ]"."""
    full = min(room, room * current // total)
    head = ">" if full < room else ""
    return f"[{('=' * full + head).ljust(room)}]"


def short_digest(digest: str) -> str:
    """Return a digest as lines show it."""
    return digest.partition(":")[2][:SHORT_ID] or digest[:SHORT_ID]


def terminal_size(stream: TextIO) -> tuple[int, int]:
    """Return width and height of the stream's terminal."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return 80, 24
    return size.columns or 80, size.lines or 24
