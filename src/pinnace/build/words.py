"""Words for people: bytes, instructions in one line, counts. Pure."""

from __future__ import annotations

import re

TEXT_WIDTH = 60


def render_bytes(size: float) -> str:
    """Return bytes in decimal units with three digits. Example: 188_200_000 → "188 MB"; 1_214_000_000 → "1.21 GB"."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 999.5 or unit == "TB":
            return f"{size:.3g} {unit}" if unit != "B" else f"{size:.0f} B"
        size /= 1000
    raise AssertionError


def shorten(text: str, width: int = TEXT_WIDTH) -> str:
    """Return an instruction in one line of at most so many characters."""
    line = " ".join(re.sub(r"\\\s*\n", " ", text).split())
    return line if len(line) <= width else line[: width - 1] + "…"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
