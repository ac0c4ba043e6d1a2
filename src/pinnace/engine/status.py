"""Decides what a container's status is after each thing that happens to it. Pure: a status in, a status out.

States and what leads from one to the next (`stop` and `kill` lead on only through the end of the process):

    created ──started──▶ running ──ended──▶ exited ──started──▶ running
                            ▲                  │ a restart is due
                            └──── started ── restarting
    any ──removing──▶ removing

Invariant: only `running` has a pid; `exited` and `restarting` have an exit code and a time of the end.
"""

from __future__ import annotations

from msgspec.structs import replace

from pinnace.base.times import parse_time, render_micro_time
from pinnace.container.exits import ExitFact
from pinnace.engine.restart import Again, Ended
from pinnace.kube.objects.pinnace_v1 import ContainerStatus, PortBinding

UNHEALTHY = "unhealthy"
LOST_EXIT_CODE = 255  # Source: moby, daemon/daemon.go, restore: what ended while nobody looked
CREATED, RUNNING, RESTARTING, EXITED, REMOVING = "created", "running", "restarting", "exited", "removing"


def is_running(status: ContainerStatus) -> bool:
    """Say whether the container runs or is about to run again; Docker counts both."""
    return status.state in (RUNNING, RESTARTING)


def started(
    status: ContainerStatus,
    *,
    pid: int,
    now: float,
    ip: str = "",
    gateway: str = "",
    mac: str = "",
    ports: tuple[PortBinding, ...] = (),
    health: str = "",
) -> ContainerStatus:
    """Return the status of a container whose process has begun."""
    return replace(
        status,
        state=RUNNING,
        pid=pid,
        error="",
        exit_code=0,
        oom_killed=False,
        started_at=render_micro_time(now),
        finished_at="",
        stopped=False,
        starting=False,
        ip=ip,
        gateway=gateway,
        mac=mac,
        ports=ports,
        health=health,
        failed_checks=0,
    )


def failed_to_start(status: ContainerStatus, *, exit_code: int, error: str) -> ContainerStatus:
    """Return the status of a container whose process could not begin; one that never ran stays "created"."""
    state = CREATED if not status.started_at else EXITED
    return replace(status, state=state, pid=0, exit_code=exit_code, error=error, starting=False)


def ended(status: ContainerStatus, fact: ExitFact, again: Again | None) -> ContainerStatus:
    """Return the status after the process has ended."""
    after = replace(
        status,
        state=EXITED,
        pid=0,
        exit_code=fact.exit_code if fact.known else LOST_EXIT_CODE,
        oom_killed=fact.oom_killed,
        finished_at=render_micro_time(fact.finished_at),
        ip="",
        gateway="",
        mac="",
        ports=(),
        health=UNHEALTHY if status.health else "",  # Source: moby, container/health.go, CloseMonitorChannel
    )
    if again is None:
        return replace(after, failures=0)
    return replace(after, state=RESTARTING, restart_count=status.restart_count + 1, failures=again.failures)


def describe_end(status: ContainerStatus, fact: ExitFact) -> Ended:
    """Return the facts that the restart policy decides by."""
    ran_s = fact.finished_at - parse_time(status.started_at) if status.started_at else 0.0
    return Ended(
        exit_code=fact.exit_code if fact.known else LOST_EXIT_CODE,
        ran_s=ran_s,
        failures=status.failures,
        restarts=status.restart_count,
        stopped=status.stopped,
    )


def lost(container_id: str, now: float) -> ExitFact:
    """Return the fact of an end that nobody saw."""
    return ExitFact(container_id=container_id, exit_code=LOST_EXIT_CODE, finished_at=now, known=False)
