"""Makes what commands write fit to be shown in one row of a terminal. Pure.

Invariant: no control character and no escape sequence of a command's output comes through.
"""

from __future__ import annotations

import re
import unicodedata

TAB = 4
# Source: ECMA-48: control sequences (CSI), strings (OSC, DCS, APC, PM, SOS) up to their end, and two-character escapes.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)"
    r"|\x1b[ -/]*[0-~]"
    r"|[\x80-\x9f]",
    re.DOTALL,
)


def clean_line(text: str) -> str:
    """Return what a terminal would show of a line: after the last carriage return, without colours and controls.

    Example: "10%\\r50%\\r\\x1b[32m100%\\x1b[0m" → "100%".
    """
    plain = _ESCAPES.sub("", text).rstrip("\r")
    plain = plain.rpartition("\r")[2].expandtabs(TAB)
    return "".join(char for char in plain if char.isprintable()).rstrip()


def one_line(text: str) -> str:
    """Return an instruction in one line, without the marks of continuation. Example: "RUN a \\\\\\n  b" → "RUN a b"."""
    joined = re.sub(r"\\[ \t]*\n", " ", text)
    return " ".join(clean_line(line) for line in joined.split() if line)


def width_of(text: str) -> int:
    """Return how many columns a text takes."""
    if text.isascii():
        return len(text)
    return sum(_width(char) for char in text)


def fit(text: str, width: int) -> str:
    """Return a text that takes at most so many columns; one that is cut ends with "…". Example: ("abcdef", 4) → "abc…"."""
    if width_of(text) <= width:
        return text
    if width <= 0:
        return ""
    kept, used = "", 0
    for char in text:
        used += _width(char)
        if used > width - 1:
            break
        kept += char
    return kept + "…"


def _width(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Cf", "Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
