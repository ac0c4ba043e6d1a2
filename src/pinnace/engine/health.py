"""Decides whether a container is healthy: which check it has, when it is done next, what its results mean. Pure.

`prober` does the checks. Source: moby, daemon/health.go (numbers, words and behaviour); Docker's documentation, docker run,
HEALTHCHECK; Dockerfile reference, HEALTHCHECK.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pinnace.base.errors import UserError
from pinnace.engine.request import RunRequest
from pinnace.kube.objects.pinnace_v1 import HealthProbe
from pinnace.oci.config import ContainerConfig, HealthCheck
from pinnace.oci.durations import parse_nanoseconds

STARTING, HEALTHY, UNHEALTHY, NONE = "starting", "healthy", "unhealthy", "none"
INTERVAL_S, TIMEOUT_S, START_INTERVAL_S, RETRIES = 30.0, 30.0, 5.0, 3
LOG_ENTRIES, OUTPUT_MAX_BYTES = 5, 4096
DEFAULT_SHELL = ("/bin/sh", "-c")
NO_RESULT = -1  # the exit code of a check that was not done, or not to its end
DISABLED = ("NONE",)


@dataclass(frozen=True, slots=True)
class Result:
    """What one check gave. Units: unix seconds."""

    start: float
    end: float
    exit_code: int
    output: str


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of a container's health: its status, how often the check has failed in a row, the last results."""

    status: str = STARTING
    streak: int = 0
    log: tuple[Result, ...] = ()


def merge_health(request: RunRequest, image: ContainerConfig) -> HealthProbe | None:
    """Return a container's check: the flags, and where they are silent the image's. Raises: UserError.

    Example: an image that checks every 5 s and --health-retries 1 check every 5 s and give up at once.
    """
    given = _read_flags(request)
    base = image.healthcheck or HealthCheck()
    if request.no_healthcheck:
        if given != HealthProbe():
            raise UserError("--no-healthcheck conflicts with --health-* options", "leave one of them out")
        return HealthProbe(test=DISABLED)
    test = given.test or tuple(base.test or ())
    if not test or test == ("",):
        if given != HealthProbe():
            raise UserError(
                "--health-* options need a command: the image has no HEALTHCHECK", "--health-cmd COMMAND"
            )
        return None
    return HealthProbe(
        test=test,
        interval_ns=given.interval_ns or base.interval,
        timeout_ns=given.timeout_ns or base.timeout,
        start_period_ns=given.start_period_ns or base.start_period,
        start_interval_ns=given.start_interval_ns or base.start_interval,
        retries=given.retries or base.retries,
        shell=tuple(image.shell or ()),
    )


def _read_flags(request: RunRequest) -> HealthProbe:
    if request.health_retries < 0:
        raise UserError("--health-retries cannot be negative", "--health-retries 3")
    test = ("CMD-SHELL", request.health_cmd) if request.health_cmd else ()
    return HealthProbe(
        test=test,
        interval_ns=_read_time("--health-interval", request.health_interval),
        timeout_ns=_read_time("--health-timeout", request.health_timeout),
        start_period_ns=_read_time("--health-start-period", request.health_start_period),
        start_interval_ns=_read_time("--health-start-interval", request.health_start_interval),
        retries=request.health_retries,
    )


def _read_time(flag: str, text: str) -> int:
    try:
        return parse_nanoseconds(text)
    except ValueError as error:
        raise UserError(f"{flag}: {error}", f"a time of at least 1ms: {flag} 30s") from None


def compute_argv(probe: HealthProbe | None) -> tuple[str, ...]:
    """Return the command of a check; () when there is none."""
    if probe is None or not probe.test or probe.test[0] not in ("CMD", "CMD-SHELL"):
        return ()
    words = probe.test[1:]
    return words if probe.test[0] == "CMD" else (*(probe.shell or DEFAULT_SHELL), *words)


def compute_wait_s(probe: HealthProbe, health: Health, ran_s: float) -> float:
    """Return how long to wait for the next check, of a container that has run for so long.

    Example: in its first minute (start period) one that was never healthy is checked every 5 s, else every 30 s.
    """
    if ran_s < probe.start_period_ns / 1e9 and health.status == STARTING:
        return probe.start_interval_ns / 1e9 or START_INTERVAL_S
    return probe.interval_ns / 1e9 or INTERVAL_S


def compute_timeout_s(probe: HealthProbe) -> float:
    """Return how long a check may take."""
    return probe.timeout_ns / 1e9 or TIMEOUT_S


def judge(probe: HealthProbe, health: Health, result: Result, started: float) -> Health:
    """Return the health after a check. `started` is when the container began.

    Example: three failures in a row make it unhealthy; those of the start period don't count.
    """
    after = replace(health, log=(*health.log, result)[-LOG_ENTRIES:])
    if result.exit_code == 0:
        return replace(after, status=HEALTHY, streak=0)
    if health.status == STARTING and result.start - started < probe.start_period_ns / 1e9:
        return after
    streak = health.streak + 1
    spent = streak >= (probe.retries or RETRIES)
    return replace(after, streak=streak, status=UNHEALTHY if spent else health.status)


def clip(output: bytes) -> str:
    """Return what is kept of a check's output."""
    text = output[:OUTPUT_MAX_BYTES].decode(errors="replace")
    return text + "..." if len(output) > OUTPUT_MAX_BYTES else text
