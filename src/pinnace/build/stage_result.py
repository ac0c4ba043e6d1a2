"""What a stage is while it is done: its layers, its history, when its newest step was done. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from pinnace.base.times import render_micro_time
from pinnace.build.plies import Plies, Ply
from pinnace.build.steps import Planned, Run
from pinnace.oci.config import History


@dataclass(frozen=True, slots=True)
class StageResult:
    """The layers that a stage ended with, bottom first; when its newest step was done; how many came from the cache."""

    layers: Plies
    history: tuple[History, ...]
    created: float
    cached: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a step, and when it was first done."""

    layer: Ply
    created: float
    cached: bool = False


def add_step(before: StageResult, planned: Planned, done: Done | None) -> StageResult:
    """Return what a stage is after a step: an empty layer is left out, but stands in the history."""
    layer = done.layer if done is not None and not done.layer.is_empty else None
    created = max(before.created, done.created) if done is not None else before.created
    history = History(
        created=render_micro_time(created), created_by=_describe(planned), empty_layer=layer is None
    )
    return StageResult(
        layers=before.layers if layer is None else (*before.layers, layer),
        history=(*before.history, history),
        created=created,
        cached=before.cached + (done is not None and done.cached),
    )


def _describe(planned: Planned) -> str:
    """Return the history's line of a step, in the words of `docker history`."""
    step = planned.step
    return f"RUN {' '.join(step.argv)} # pinnace" if isinstance(step, Run) else step.place.text
