"""Decides what a row of probe results means.

Pure. The prober runs the checks and feeds their results in; what changes comes back as a new state.
Source: Kubernetes, "Configure Liveness, Readiness and Startup Probes"; defaults are set by `api/` before we see them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from pinnace.kube.objects.core_v1 import Container, Probe

DEFAULT_PERIOD_S = 10
DEFAULT_TIMEOUT_S = 1
DEFAULT_SUCCESSES = 1
DEFAULT_FAILURES = 3


class ProbeKind(Enum):
    """The three probes, by the words that events use."""

    STARTUP = "Startup"
    LIVENESS = "Liveness"
    READINESS = "Readiness"


@dataclass(frozen=True, slots=True)
class ProbeState:
    """What one probe of one attempt has said so far; `passing` is None until a threshold was reached once."""

    kind: ProbeKind
    passing: bool | None = None
    successes: int = 0
    failures: int = 0

    def observe(self, success: bool, probe: Probe) -> ProbeState:
        """Return the state after one more result.

        Example: with failureThreshold 3, the third failure in a row turns `passing` to False.
        """
        if success:
            run = self.successes + 1
            passing = True if run >= (probe.success_threshold or DEFAULT_SUCCESSES) else self.passing
            return replace(self, passing=passing, successes=run, failures=0)
        run = self.failures + 1
        passing = False if run >= (probe.failure_threshold or DEFAULT_FAILURES) else self.passing
        return replace(self, passing=passing, successes=0, failures=run)


def probes_of(container: Container) -> dict[ProbeKind, Probe]:
    """Return a container's probes by kind."""
    rows = (
        (ProbeKind.STARTUP, container.startup_probe),
        (ProbeKind.LIVENESS, container.liveness_probe),
        (ProbeKind.READINESS, container.readiness_probe),
    )
    return {kind: probe for kind, probe in rows if probe is not None}


def runs_now(kind: ProbeKind, started: bool) -> bool:
    """Say whether a probe runs: the start-up probe until it has passed, the others only after."""
    return (kind is ProbeKind.STARTUP) != started
