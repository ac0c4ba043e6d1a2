"""Decides which lines a person sees of a build, for a width and a height. Pure.

What doesn't fit is told with less: first the commands' output, then steps that are done or to come, then whole stages.
Invariant: no line is wider than the width; while the build goes on, there are at most `height` lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pinnace.cli.build_view.model import Base, Model, Stage, Step
from pinnace.cli.build_view.text import fit, one_line, width_of
from pinnace.cli.units import render_size

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
TURNS_PER_S = 10.0
MARKS = {"done": "✔", "cached": "✔", "failed": "✘", "waiting": "·", "stopped": "–"}
ASCII = {"✔": "+", "✘": "x", "·": ".", "–": "-", "…": "~", **dict.fromkeys(SPINNER, "*")}
COLOURS = {"done": "32", "cached": "36", "failed": "31", "waiting": "2", "stopped": "33", "active": "1"}
DIM = "2"


@dataclass(frozen=True, slots=True)
class Style:
    """How lines look: with colours, with more than ASCII."""

    colour: bool = True
    unicode: bool = True

    def paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code and text else text

    def spell(self, text: str) -> str:
        """Return a text in the characters that the terminal has."""
        if self.unicode:
            return text
        return "".join(char if char.isascii() else ASCII.get(char, "?") for char in text)


@dataclass(frozen=True, slots=True)
class Detail:
    """How much is told: lines of output of each running step; steps that are done, and to come, one by one; all stages."""

    tail: int
    done: bool
    waiting: bool
    stages: bool


DETAILS = (
    Detail(6, done=True, waiting=True, stages=True),
    Detail(3, done=True, waiting=True, stages=True),
    Detail(3, done=True, waiting=False, stages=True),
    Detail(3, done=False, waiting=False, stages=True),
    Detail(1, done=False, waiting=False, stages=False),
    Detail(0, done=False, waiting=False, stages=False),
)
FINAL = Detail(0, done=True, waiting=False, stages=True)


@dataclass(frozen=True, slots=True)
class Row:
    """One line before it is laid out: what stands at its left and right, how it is coloured, its rank when rows are cut."""

    left: str
    right: str = ""
    colour: str = ""
    urgent: bool = False


def render_lines(
    model: Model, *, width: int, height: int, now: float, style: Style = Style(), final: bool = False
) -> list[str]:
    """Return the lines; when `final`, as many as there are."""
    if final:
        rows = list(_rows(model, FINAL, now))
    else:
        rows = _fitting(model, height, now)
    return [_lay_out(row, width, style) for row in rows]


def _fitting(model: Model, height: int, now: float) -> list[Row]:
    rows: list[Row] = []
    for detail in DETAILS:
        rows = list(_rows(model, detail, now))
        if len(rows) <= height:
            return rows
    urgent = [row for row in rows if row.urgent]
    kept = urgent[: max(height - 1, 1)]
    left = len(urgent) - len(kept)
    return [*kept, Row(f"   … {left} more going on", colour=DIM)][:height] if left else kept[:height]


def _rows(model: Model, detail: Detail, now: float) -> Iterator[Row]:
    yield _header(model, now)
    transfers = list(model.bases.values())
    for base in transfers:
        if not base.is_push and (detail.stages or base.is_active):
            yield from _base_rows(base, now)
    finished = [stage for stage in model.stages.values() if stage.is_finished]
    if not detail.stages and finished:
        yield Row(f" ✔ {_count(len(finished), 'stage')} done", colour=COLOURS["done"])
    for stage in model.stages.values():
        if detail.stages or not stage.is_finished:
            yield from _stage_rows(stage, detail, now)
    for base in transfers:
        if base.is_push:
            yield from _base_rows(base, now)


def _header(model: Model, now: float) -> Row:
    steps = model.steps
    ready = sum(step.state in ("done", "cached") for step in steps)
    cached = sum(step.state == "cached" for step in steps)
    word = {"": "building", "built": "built", "failed": "failed", "stopped": "stopped"}[model.ended]
    counts = f"{ready} of {_count(len(steps), 'step')}" + (f", {cached} cached" if cached else "")
    left = f"{word} {model.title}".rstrip()
    return Row(f"{left}: {counts}" if steps else left, render_seconds(now - model.began), "1", urgent=True)


def _base_rows(base: Base, now: float) -> Iterator[Row]:
    mark, colour = _mark(base.state, base.is_active, now)
    right = render_seconds(base.seconds_at(now))
    if base.layers and base.state != "failed":
        size = base.size
        amount = (
            f"{render_size(base.received)} of {render_size(size)}" if base.is_active else render_size(size)
        )
        right = f"{amount}  {right}"
    what = "looking up" if base.state == "resolving" else ("pushing" if base.is_push else "pulling")
    what = what.replace("ing", "ed") if base.state == "done" and (base.layers or base.is_push) else what
    what = "looked up" if base.state == "done" and not base.layers and not base.is_push else what
    layers = (
        f", {base.ready} of {_count(len(base.layers), 'layer')}" if base.layers and base.is_active else ""
    )
    yield Row(f" {mark} {what} {base.reference}{layers}", right, colour, urgent=base.is_active)
    if base.is_active and base.note:
        yield Row(f"     {base.note}", colour=DIM)


def _stage_rows(stage: Stage, detail: Detail, now: float) -> Iterator[Row]:
    """Steps in order; those next to each other that are told together become one row."""
    group: list[Step] = []
    for step in sorted(stage.steps.values(), key=lambda one: one.number):
        if group and _group_of(group[0], detail) != _group_of(step, detail):
            yield _group_row(stage, group)
            group = []
        if _group_of(step, detail):
            group.append(step)
        else:
            yield from _step_rows(stage, step, detail, now)
    if group:
        yield _group_row(stage, group)


def _group_of(step: Step, detail: Detail) -> str:
    """Return with which others a step is told; "" when it is told alone."""
    if step.state == "cached":
        return "ready" if not detail.done else "cached"
    if step.state == "done" and not detail.done:
        return "ready"
    return "waiting" if step.state == "waiting" and not detail.waiting else ""


def _group_row(stage: Stage, group: list[Step]) -> Row:
    states = {step.state for step in group}
    if len(group) == 1:
        return _step_row(stage, group[0], 0.0)
    count = _count(len(group), "step")
    if states == {"waiting"}:
        return Row(f" · [{stage.name}] {count} to come", colour=COLOURS["waiting"])
    if states == {"cached"}:
        return Row(f" ✔ [{stage.name}] {count} cached", colour=COLOURS["cached"])
    seconds = sum(step.seconds for step in group)
    return Row(f" ✔ [{stage.name}] {count} done", render_seconds(seconds), COLOURS["done"])


def _step_rows(stage: Stage, step: Step, detail: Detail, now: float) -> Iterator[Row]:
    yield _step_row(stage, step, now)
    if step.is_active:
        for line in step.last_lines(detail.tail):
            yield Row(f"     {line}", colour=DIM)


def _step_row(stage: Stage, step: Step, now: float) -> Row:
    mark, colour = _mark(step.state, step.is_active, now)
    left = f" {mark} [{stage.name} {step.number}/{stage.total}] {one_line(step.text)}"
    return Row(left, _step_right(step, now), colour, urgent=step.is_active or step.state == "failed")


def _step_right(step: Step, now: float) -> str:
    if step.state == "waiting":
        return ""
    if step.state == "cached":
        return "cached"
    size = render_size(step.bytes) if step.bytes else ""
    if step.state == "reading" and size:
        size = f"read {size}"
    return "  ".join(part for part in (size, render_seconds(step.seconds_at(now))) if part)


def _mark(state: str, is_active: bool, now: float) -> tuple[str, str]:
    if is_active:
        return SPINNER[int(now * TURNS_PER_S) % len(SPINNER)], COLOURS["active"]
    return MARKS.get(state, " "), COLOURS.get(state, "")


def _lay_out(row: Row, width: int, style: Style) -> str:
    """Put the right part at the right edge; the left part gets what is left."""
    left, right = style.spell(row.left), style.spell(row.right)
    if right and width_of(right) + 12 > width:
        right = ""  # a very narrow terminal: what is done matters more than its numbers
    room = width - (width_of(right) + 2 if right else 0)
    left = fit(left, room) if style.unicode else fit(left, room).replace("…", "~")
    if not right:
        return style.paint(left, row.colour)
    gap = " " * (width - width_of(left) - width_of(right))
    return style.paint(left, row.colour) + gap + style.paint(right, DIM)


def render_seconds(seconds: float) -> str:
    """Return a duration as people read it. Example: 75.2 → "1m15s"; 3.25 → "3.2s"."""
    if seconds < 60:
        return f"{max(seconds, 0):.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    return f"{minutes // 60}h{minutes % 60:02}m"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
