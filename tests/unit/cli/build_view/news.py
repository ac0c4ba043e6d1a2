"""Builders of news for the tests of the view."""

from __future__ import annotations

from typing import Any

from pinnace.cli.build_view.model import Model


def plan(**stages: list[str]) -> dict[str, Any]:
    return {"type": "plan", "stages": [{"name": name, "steps": steps} for name, steps in stages.items()]}


def step(stage: str, number: int, state: str, *, text: str = "RUN x", **more: Any) -> dict[str, Any]:
    return {
        "type": "step",
        "id": f"{stage}/{number}",
        "stage": stage,
        "number": number,
        "total": 3,
        "text": text,
        "state": state,
        "seconds": 0.0,
        "bytes": 0,
        **more,
    }


def output(stage: str, number: int, text: str) -> dict[str, Any]:
    return {"type": "output", "id": f"{stage}/{number}", "text": text}


def base(reference: str, state: str, /, **layer: Any) -> dict[str, Any]:
    return {"type": "base", "reference": reference, "state": state, "layer": layer or None, "seconds": 0.0}


def model(*news: tuple[float, dict[str, Any]] | dict[str, Any], title: str = "x:v1") -> Model:
    """Return what is known after some news, each at its time (0 when none is given)."""
    known = Model(title, 0.0)
    for one in news:
        at, what = one if isinstance(one, tuple) else (0.0, one)
        known.apply(what, at)
    return known
