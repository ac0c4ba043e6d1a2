"""Runs the probes of running containers, each on its own beat, and reports what changes.

One task for each container attempt that has probes. What a result means is decided in `probes`.
It must never touch facts itself: it reports through `Report` and the agent does the rest.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from pinnace.base.chance import Chance
from pinnace.base.clock import Clock
from pinnace.base.tasks import Tasks
from pinnace.kube.objects.core_v1 import Container, Probe
from pinnace.node.checks import CheckResult, Exec, run_probe
from pinnace.node.probes import DEFAULT_PERIOD_S, ProbeKind, ProbeState, probes_of, runs_now

# A container that isn't ready yet is also looked at between its beats, after 0.1, 0.2, 0.4 … s, so that it serves as soon as
# it can. Only a success counts there: a failure between beats must not eat up the failureThreshold.
EAGER_FIRST_S = 0.1
HELD_S = 0.25  # how often a probe that waits for the start-up probe looks whether that has passed


@dataclass(frozen=True, slots=True)
class ProbeChange:
    """A probe crossed a threshold, or failed: `passing` is its verdict, `result` the check that led to it."""

    pod_uid: str
    container: str
    attempt: int
    kind: ProbeKind
    passing: bool | None
    result: CheckResult
    changed: bool


class Report(Protocol):
    """Where changes go."""

    def __call__(self, change: ProbeChange) -> None: ...


class Prober:
    """The probes of one node."""

    def __init__(self, clock: Clock, chance: Chance, tasks: Tasks, report: Report) -> None:
        self._clock = clock
        self._chance = chance
        self._tasks = tasks
        self._report = report
        self._running: dict[tuple[str, str], list[asyncio.Task[None]]] = {}

    def watch(
        self,
        pod_uid: str,
        container: Container,
        attempt: int,
        pod_ip: str,
        execute: Exec,
        *,
        started: bool = False,
    ) -> None:
        """Begin to probe one attempt of a container; what watched an earlier attempt ends.

        `started` says that the start-up probe has passed already (an adopted container).
        """
        self.forget(pod_uid, container.name)
        state = {"started": started or ProbeKind.STARTUP not in probes_of(container)}
        self._running[pod_uid, container.name] = [
            self._tasks.spawn(
                self._beat(pod_uid, container, attempt, kind, probe, pod_ip, execute, state),
                f"probe {kind.value} {pod_uid}/{container.name}",
            )
            for kind, probe in probes_of(container).items()
        ]

    def forget(self, pod_uid: str, container: str) -> None:
        """End the probes of a container."""
        for task in self._running.pop((pod_uid, container), ()):
            task.cancel()

    async def _beat(
        self,
        pod_uid: str,
        container: Container,
        attempt: int,
        kind: ProbeKind,
        probe: Probe,
        pod_ip: str,
        execute: Exec,
        shared: dict[str, bool],
    ) -> None:
        if kind is ProbeKind.STARTUP and shared["started"]:
            return  # an earlier daemon saw it pass
        period_s = float(probe.period_seconds or DEFAULT_PERIOD_S)
        state = ProbeState(kind)
        await self._clock.sleep(float(probe.initial_delay_seconds or 0))
        # A process needs a moment before it listens: what fails at once says nothing about readiness yet.
        due = self._clock.monotonic() + (period_s if kind is ProbeKind.READINESS else 0.0)
        pause_s = EAGER_FIRST_S
        while True:
            if not runs_now(kind, shared["started"]):
                await self._clock.sleep(min(period_s, HELD_S))
                due = self._clock.monotonic()
                continue
            result = await run_probe(probe, container, pod_ip, execute)
            counts = result.success or self._clock.monotonic() >= due
            if counts:
                before = state.passing
                state = state.observe(result.success, probe)
                due = self._clock.monotonic() + period_s
                changed = state.passing != before
                if changed or not result.success:
                    self._report(
                        ProbeChange(pod_uid, container.name, attempt, kind, state.passing, result, changed)
                    )
            if kind is ProbeKind.STARTUP and state.passing:
                shared["started"] = True
                return
            if state.passing is False and kind is not ProbeKind.READINESS:
                return  # the container is told to end; its next attempt gets probes of its own
            # A success that must be followed by more of them (successThreshold) waits for its beat like any other.
            eager = kind is not ProbeKind.LIVENESS and not state.passing and not state.successes
            await self._clock.sleep(
                min(pause_s, max(0.0, due - self._clock.monotonic())) if eager else period_s
            )
            pause_s *= 2
