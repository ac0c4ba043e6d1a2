"""What is known of a build, from its news. Pure: news and the time in, a changed model out; `lines` shows it.

Invariant: news of a kind or a state that is not known here changes nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from pinnace.cli.build_view.text import clean_line

TAIL_LINES = 8  # how many of a command's last lines are kept
ACTIVE = ("reading", "running")
LAYER_READY = ("pulled", "exists", "mounted", "pushed")


@dataclass(slots=True)
class Step:
    """One step. `began` is None until something of it is heard. Units: seconds, bytes."""

    number: int
    text: str
    state: str = "waiting"
    began: float | None = None
    seconds: float = 0.0
    bytes: int = 0
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    rest: str = ""

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    def seconds_at(self, now: float) -> float:
        """Return how long it took, or has been going on."""
        return now - self.began if self.is_active and self.began is not None else self.seconds

    def hear(self, text: str) -> None:
        *lines, self.rest = (self.rest + text).split("\n")
        self.tail.extend(line for line in map(clean_line, lines) if line)

    def last_lines(self, count: int) -> list[str]:
        """Return the last lines that it wrote, the unfinished one too."""
        rest = clean_line(self.rest)
        lines = [*self.tail, rest] if rest else list(self.tail)
        return lines[-count:] if count else []


@dataclass(slots=True)
class Stage:
    """One stage; its steps by number."""

    name: str
    total: int = 0
    steps: dict[int, Step] = field(default_factory=dict)

    def step(self, number: int, text: str) -> Step:
        return self.steps.setdefault(number, Step(number, text))

    @property
    def is_finished(self) -> bool:
        return bool(self.steps) and all(step.state in ("done", "cached") for step in self.steps.values())


@dataclass(slots=True)
class Base:
    """One image that comes from a registry, or goes to one (`is_push`); its layers' (state, current, total) by digest."""

    reference: str
    state: str
    began: float
    seconds: float = 0.0
    note: str = ""
    is_push: bool = False
    layers: dict[str, tuple[str, int, int]] = field(default_factory=dict)

    @property
    def is_active(self) -> bool:
        return self.state in ("resolving", "pulling", "pushing")

    def seconds_at(self, now: float) -> float:
        return now - self.began if self.is_active else self.seconds

    @property
    def received(self) -> int:
        return sum(current for _, current, _ in self.layers.values())

    @property
    def size(self) -> int:
        """How many bytes are to come in all, as far as is known."""
        return sum(max(current, total) for _, current, total in self.layers.values())

    @property
    def ready(self) -> int:
        return sum(state in LAYER_READY for state, _, _ in self.layers.values())


@dataclass(slots=True)
class Model:
    """One build, as far as it is known."""

    title: str
    began: float
    stages: dict[str, Stage] = field(default_factory=dict)
    bases: dict[str, Base] = field(default_factory=dict)
    ended: str = ""  # "", "built", "failed", "stopped"
    _by_id: dict[str, Step] = field(default_factory=dict)

    def apply(self, news: dict[str, Any], now: float) -> None:
        """Take in one piece of news."""
        match news["type"]:
            case "plan":
                self._take_plan(news)
            case "step":
                self._take_step(news, now)
            case "base" | "push":
                self._take_base(news, now)
            case "output":
                if (step := self._by_id.get(news["id"])) is not None:
                    step.hear(news["text"])
            case "built":
                self.ended = "built"
            case "error":
                self.ended = "failed"

    def _take_plan(self, news: dict[str, Any]) -> None:
        for planned in news["stages"]:
            stage = Stage(planned["name"], len(planned["steps"]))
            for number, text in enumerate(planned["steps"], 1):
                stage.step(number, text)
            self.stages[stage.name] = stage

    def _take_step(self, news: dict[str, Any], now: float) -> None:
        stage = self.stages.setdefault(news["stage"], Stage(news["stage"]))
        stage.total = max(stage.total, news["total"])
        step = stage.step(news["number"], news["text"])
        self._by_id[news["id"]] = step
        if step.began is None or (news["state"] == "running" and step.state == "reading"):
            step.began = step.began if step.began is not None else now
        step.state = news["state"]
        step.bytes = news.get("bytes", 0) or step.bytes
        if not step.is_active:
            step.seconds = news.get("seconds", 0.0) or (now - step.began if step.state != "cached" else 0.0)

    def _take_base(self, news: dict[str, Any], now: float) -> None:
        is_push = news["type"] == "push"
        base = self.bases.setdefault(
            f"{news['type']} {news['reference']}",
            Base(news["reference"], news["state"], now, is_push=is_push),
        )
        base.state = news["state"]
        if not base.is_active:
            base.seconds = news.get("seconds", 0.0) or now - base.began
        layer = news.get("layer")
        if layer:
            self._take_layer(base, layer)

    def _take_layer(self, base: Base, layer: dict[str, Any]) -> None:
        before = base.layers.get(layer["digest"], ("", 0, 0))
        total = layer.get("total", 0) or before[2]
        current = layer.get("current", 0)
        if layer["state"] in ("extracting", *LAYER_READY):
            current = max(before[1], total)  # what is unpacked was received
        base.layers[layer["digest"]] = (layer["state"], current, total)
        base.note = layer.get("text", "") if layer["state"] == "retrying" else ""

    @property
    def steps(self) -> list[Step]:
        return [step for stage in self.stages.values() for step in stage.steps.values()]

    def stop(self, now: float) -> None:
        """Nobody listens any longer: what was going on is marked as that."""
        self.ended = self.ended or "stopped"
        for step in self.steps:
            if step.is_active:
                step.seconds, step.state = step.seconds_at(now), "stopped"
        for base in self.bases.values():
            if base.is_active:
                base.seconds, base.state = base.seconds_at(now), "stopped"
