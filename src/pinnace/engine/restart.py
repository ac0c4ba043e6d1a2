"""Decides whether and when a container that has ended is started again. Pure.

Source: Docker's documentation, "Start containers automatically"; moby, internal/restartmanager (the numbers).
"""

from __future__ import annotations

from dataclasses import dataclass

from pinnace.base.errors import UserError
from pinnace.kube.objects.pinnace_v1 import RestartPolicy

BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 60.0
RAN_WELL_S = 10.0  # a container that ran this long starts the back-off anew
POLICIES = ("no", "on-failure", "always", "unless-stopped")


@dataclass(frozen=True, slots=True)
class Ended:
    """What is known of an end. `failures` counts the restarts since it last ran well, `restarts` all of them."""

    exit_code: int
    ran_s: float
    failures: int
    restarts: int
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Again:
    """Start it again after `wait_s`; `failures` is the count from then on."""

    wait_s: float
    failures: int


def parse_restart(text: str) -> RestartPolicy:
    """Return the policy. Example: "on-failure:3". Raises: UserError."""
    name, colon, count = (text or "no").partition(":")
    if name not in POLICIES:
        raise UserError(
            f"invalid restart policy: unknown policy {name!r}", "no, on-failure[:N], always or unless-stopped"
        )
    if colon and (name != "on-failure" or not count.isdecimal()):
        raise UserError(
            f"invalid restart policy: maximum retry count in {text!r}",
            "only on-failure has one: on-failure:3",
        )
    return RestartPolicy(name=name, maximum_retry_count=int(count or 0))


def decide_restart(policy: RestartPolicy, end: Ended) -> Again | None:
    """Return how the container goes on; None when it stays ended.

    Example: the fourth end within 10 s of its start waits 0.1 * 2 ** 3 = 0.8 s.
    """
    if end.stopped or policy.name == "no":
        return None
    spent = 0 < policy.maximum_retry_count <= end.restarts
    if policy.name == "on-failure" and (end.exit_code == 0 or spent):
        return None
    failures = 0 if end.ran_s >= RAN_WELL_S else end.failures
    return Again(min(BACKOFF_FIRST_S * 2.0 ** min(failures, 32), BACKOFF_MAX_S), failures + 1)


def comes_back(policy: RestartPolicy, *, stopped: bool) -> bool:
    """Say whether a container that was ended with the instance, or with the machine, starts with the next `up`.

    `always` comes back even when a person had stopped it.
    """
    return policy.name == "always" or (policy.name == "unless-stopped" and not stopped)
