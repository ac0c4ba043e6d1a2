"""Draws a recorded terminal as an animated SVG. Pure: what was written and when in, the picture's text out.

The lines stand below each other and move up past a window, as on a terminal; one CSS animation moves them, so that the
picture plays wherever an image is shown, and stands at its end where animations are off. It knows what the demo writes:
lines, and a few styles; nothing that moves the cursor.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

COLUMNS, ROWS = 118, 30
CELL_WIDTH, LINE_HEIGHT, MARGIN = 7.83, 18, 14  # of 13 px monospace
LAST_S = 4.0  # the end is shown so long before it begins again

_STYLE = re.compile(r"\x1b\[([\d;]*)m")
CLASSES = {"1": "b", "2": "d", "31": "r", "32": "g", "36": "c"}


@dataclass(frozen=True, slots=True)
class Chunk:
    """What was written at once. Units: seconds since the start."""

    at_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line on the screen: runs of (classes, text), and when it appeared."""

    at_s: float
    runs: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.runs)


def read_lines(chunks: Iterable[Chunk], columns: int = COLUMNS) -> list[Line]:
    """Return the lines that were written, long ones folded."""
    lines: list[Line] = []
    rest = ""
    for chunk in chunks:
        *whole, rest = (rest + chunk.text.replace("\r", "")).split("\n")
        for text in whole:
            lines += [Line(chunk.at_s, runs) for runs in _fold(_read_runs(text), columns)]
    return lines


def shorten_pauses(lines: Iterable[Line], *, longest_s: float, speed: float) -> list[Line]:
    """Return the lines with their times made `speed` times faster and no pause longer than `longest_s`."""
    shown, before, now = [], 0.0, 0.0
    for line in lines:
        now += min((line.at_s - before) / speed, longest_s)
        before = line.at_s
        shown.append(Line(now, line.runs))
    return shown


def render_svg(lines: list[Line], title: str, *, columns: int = COLUMNS, rows: int = ROWS) -> str:
    """Return the picture."""
    width = round(columns * CELL_WIDTH) + 2 * MARGIN
    height = rows * LINE_HEIGHT + 3 * MARGIN + LINE_HEIGHT
    top = 2 * MARGIN + LINE_HEIGHT
    total_s = (lines[-1].at_s if lines else 0.0) + LAST_S
    body = "\n".join(
        f'<text y="{(number + 1) * LINE_HEIGHT - 4}">{_render_runs(line.runs)}</text>'
        for number, line in enumerate(lines)
        if line.text.strip()
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" xml:space="preserve">
<title>{escape(title)}</title>
<style>
text {{ font: 13px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #d8dee9; white-space: pre }}
.b {{ font-weight: bold }} .d {{ fill: #7b8494 }} .r {{ fill: #ef7780 }} .g {{ fill: #8fce73 }} .c {{ fill: #6cc4d6 }}
.lines {{ transform: translateY({_shift(len(lines), rows)}px); animation: scroll {total_s:.1f}s step-end infinite }}
@keyframes scroll {{ {_keyframes(lines, rows, total_s)} }}
@media (prefers-reduced-motion: reduce) {{ .lines {{ animation: none }} }}
</style>
<rect width="{width}" height="{height}" rx="8" fill="#1d222b"/>
<text x="{width / 2:.0f}" y="{MARGIN + LINE_HEIGHT - 6}" text-anchor="middle" class="d">{escape(title)}</text>
<svg x="{MARGIN}" y="{top}" width="{width - 2 * MARGIN}" height="{rows * LINE_HEIGHT}">
<g class="lines">
{body}
</g>
</svg>
</svg>
"""


def _shift(count: int, rows: int) -> int:
    """Return how far the lines are moved when `count` of them are there: the last one stands at the bottom."""
    return (rows - count) * LINE_HEIGHT


def _keyframes(lines: list[Line], rows: int, total_s: float) -> str:
    counts: dict[str, int] = {"0%": 0}
    for number, line in enumerate(lines, 1):
        counts[f"{100 * line.at_s / total_s:.2f}%"] = number
    return " ".join(
        f"{share}{{transform:translateY({_shift(count, rows)}px)}}" for share, count in counts.items()
    )


def _read_runs(text: str) -> list[tuple[str, str]]:
    runs, classes, start = [], "", 0
    for found in [*_STYLE.finditer(text), None]:
        end = found.start() if found else len(text)
        if end > start:
            runs.append((classes, text[start:end]))
        if found:
            classes = " ".join(CLASSES[code] for code in found[1].split(";") if code in CLASSES)
            start = found.end()
    return runs


def _fold(runs: list[tuple[str, str]], columns: int) -> list[tuple[tuple[str, str], ...]]:
    folded: list[list[tuple[str, str]]] = [[]]
    left = columns
    for classes, text in runs:
        while text:
            if not left:
                folded.append([])
                left = columns
            folded[-1].append((classes, text[:left]))
            text, left = text[left:], left - len(text[:left])
    return [tuple(one) for one in folded]


def _render_runs(runs: Iterable[tuple[str, str]]) -> str:
    return "".join(
        f'<tspan class="{classes}">{escape(text, quote=False)}</tspan>'
        if classes
        else escape(text, quote=False)
        for classes, text in runs
    )
