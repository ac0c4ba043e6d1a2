"""The section about the autoscaler: load makes it add pods; when the load ends, it takes them away."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from examples.demo.stage import DEPLOYMENT, Stage
from examples.load import Load

RATE_PER_S = 20.0
BURN_MS = 25  # of CPU for each request: together half a CPU, where three pods have asked for 0.3
UP_S = 75.0
DOWN_S = 120.0
POLL_S = 0.5


async def scale(stage: Stage) -> None:
    """Up under load, and back."""
    stage.report.section(
        "Autoscaling",
        f"Each request costs {BURN_MS} ms of CPU now. Pods have asked for 100m each; 70 % of that is the target.",
    )
    first = (await _read(stage))["status"].get("currentReplicas", 0)
    load = Load(f"{stage.url}?burn_ms={BURN_MS}", rate_per_s=RATE_PER_S, workers=32).start()
    highest, ready = await _watch(stage, UP_S, lambda hpa, ready: ready > first and ready >= _desired(hpa))
    await load.wait_for(int(RATE_PER_S))
    tally = await load.stop()
    stage.report.claim(f"load makes {first} pods {highest}, {ready} of them ready", ready > first)
    stage.report.claim(tally.describe(), tally.failed == 0)
    stage.report.note("The load has ended.")
    await _watch(stage, DOWN_S, lambda hpa, ready: _desired(hpa) == 2 and ready == 2)
    last = (await stage.get("deployment", DEPLOYMENT))["status"].get("readyReplicas", 0)
    stage.report.claim(
        f"without load, {highest} pods become {last}, the least that the manifest allows", last == 2
    )
    done = await stage.kubectl(
        "get", "events", "--field-selector=reason=SuccessfulRescale", "-o=custom-columns=MESSAGE:.message"
    )
    stage.report.claim(
        "the autoscaler says why, in events", "above target" in done.out and "below target" in done.out
    )


async def _watch(stage: Stage, timeout_s: float, holds: Any) -> tuple[int, int]:
    """Print each change until `holds`; returns the highest number of wanted pods, and the ready ones at the end."""
    began, said, highest, ready = time.monotonic(), "", 0, 0
    while (now := time.monotonic() - began) < timeout_s:
        hpa = await _read(stage)
        ready = (await stage.get("deployment", DEPLOYMENT))["status"].get("readyReplicas", 0)
        highest = max(highest, _desired(hpa))
        line = f"cpu {_utilization(hpa)}   pods wanted {_desired(hpa) or '?'}, ready {ready}"
        if line != said:
            stage.report.note(f"   {now:5.1f} s   {line}")
            said = line
        if holds(hpa, ready):
            break
        await asyncio.sleep(POLL_S)
    return highest, ready


async def _read(stage: Stage) -> dict[str, Any]:
    return await stage.get("hpa", "ml-inference-hpa")


def _desired(hpa: dict[str, Any]) -> int:
    return int(hpa["status"].get("desiredReplicas", 0))


def _utilization(hpa: dict[str, Any]) -> str:
    metrics = hpa["status"].get("currentMetrics") or []
    used = [
        one["resource"]["current"].get("averageUtilization")
        for one in metrics
        if one.get("type") == "Resource"
    ]
    return f"{used[0]}% of 70%" if used and used[0] is not None else "not known yet"
