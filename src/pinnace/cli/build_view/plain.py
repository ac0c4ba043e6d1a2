"""Prints a build's news as lines, as `docker build --progress=plain` does: for files, pipes and plain terminals."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from pinnace.cli.output import say
from pinnace.cli.units import render_size

PROGRESS_EVERY_S = 2.0  # how often a long COPY, and a pull, say how far they are


class Printer:
    """Prints news as lines: `#3 [builder 2/5] RUN …`, output with its step's number, `#3 DONE 1.2s`."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._rest: dict[str, str] = {}
        self._next: dict[str, float] = {}
        self._layers: dict[str, dict[str, tuple[int, int]]] = {}

    def show(self, news: dict[str, Any]) -> None:
        match news["type"]:
            case "step":
                self._show_step(news)
            case "base" | "push":
                self._show_base(news)
            case "output":
                self._show_output(news["id"], news["text"])
            case "warning":
                say(news["text"])
            case _:
                pass

    def _number(self, key: str, title: str) -> int:
        known = key in self._numbers
        number = self._numbers.setdefault(key, len(self._numbers) + 1)
        if not known:
            say(f"#{number} {title}")
        return number

    def _show_step(self, news: dict[str, Any]) -> None:
        words = " ".join(news["text"].split())
        number = self._number(news["id"], f"[{news['stage']} {news['number']}/{news['total']}] {words}")
        self._flush(news["id"])
        if news["state"] == "cached":
            say(f"#{number} CACHED")
        elif news["state"] == "done":
            weight = f", {render_size(news['bytes'])}" if news["bytes"] else ""
            say(f"#{number} DONE {news['seconds']:.1f}s{weight}")
        elif news["state"] == "failed":
            say(f"#{number} ERROR")
        elif news["bytes"] and self._is_time(news["id"]):
            what = "reading" if news["state"] == "reading" else "copying"
            say(f"#{number} {what} {render_size(news['bytes'])}")

    def _show_base(self, news: dict[str, Any]) -> None:
        kind = news["type"]
        key = f"{kind} {news['reference']}"
        number = self._number(key, f"[{kind}] {news['reference']}")
        layers = self._layers.setdefault(key, {})
        layer = news.get("layer")
        if layer:
            before = layers.get(layer["digest"], (0, 0))
            total = layer.get("total", 0) or before[1]
            is_here = layer["state"] in ("extracting", "pulled", "exists", "mounted", "pushed")
            layers[layer["digest"]] = (total if is_here else layer.get("current", 0), total)
        received, size = (sum(column) for column in zip(*layers.values(), strict=True)) if layers else (0, 0)
        if news["state"] == "done":
            say(
                f"#{number} DONE {news.get('seconds', 0.0):.1f}s" + (f", {render_size(size)}" if size else "")
            )
        elif news["state"] == "failed":
            say(f"#{number} ERROR")
        elif layer and layer["state"] == "retrying":
            say(f"#{number} {layer.get('text', '')}")
        elif layers and self._is_time(key):
            say(
                f"#{number} {'pushing' if kind == 'push' else 'pulling'} {render_size(received)} of {render_size(size)}"
            )

    def _is_time(self, key: str) -> bool:
        now = time.monotonic()
        if now < self._next.setdefault(key, now + PROGRESS_EVERY_S):
            return False
        self._next[key] = now + PROGRESS_EVERY_S
        return True

    def _show_output(self, step: str, text: str) -> None:
        *lines, rest = (self._rest.get(step, "") + text).split("\n")
        self._rest[step] = rest
        for line in lines:
            say(f"#{self._numbers[step]} {line.rstrip()}")

    def _flush(self, step: str) -> None:
        rest = self._rest.pop(step, "")
        if rest:
            say(f"#{self._numbers[step]} {rest}")


class QuietPrinter:
    """Says only what is worth a warning."""

    def show(self, news: dict[str, Any]) -> None:
        if news["type"] == "warning":
            say(news["text"])


class JsonPrinter:
    """Prints each piece of news as one JSON document a line, on standard error, as `docker build --progress=rawjson`."""

    def show(self, news: dict[str, Any]) -> None:
        print(json.dumps(news, ensure_ascii=False), file=sys.stderr, flush=True)
