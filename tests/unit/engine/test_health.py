"""When a container is healthy. Expected values: moby, daemon/health.go (behaviour); Docker's documentation, docker run."""

from __future__ import annotations

from typing import Any

import pytest

from pinnace.base.errors import UserError
from pinnace.engine.health import (
    HEALTHY,
    LOG_ENTRIES,
    STARTING,
    UNHEALTHY,
    Health,
    Result,
    clip,
    compute_argv,
    compute_timeout_s,
    compute_wait_s,
    judge,
    merge_health,
)
from pinnace.engine.request import RunRequest
from pinnace.kube.objects.pinnace_v1 import HealthProbe
from pinnace.oci.config import ContainerConfig, HealthCheck

S = 10**9
IMAGE = ContainerConfig(
    healthcheck=HealthCheck(test=("CMD-SHELL", "curl x"), interval=5 * S, retries=2),
    shell=("/bin/bash", "-c"),
)


def merged(image: ContainerConfig = ContainerConfig(), **flags: Any) -> HealthProbe | None:
    return merge_health(RunRequest(image="x", **flags), image)


def result(code: int, start: float = 100.0) -> Result:
    return Result(start, start + 1, code, "")


@pytest.mark.parametrize(
    ("image", "flags", "expected"),
    [
        (ContainerConfig(), {}, None),
        (
            IMAGE,
            {},
            HealthProbe(
                test=("CMD-SHELL", "curl x"), interval_ns=5 * S, retries=2, shell=("/bin/bash", "-c")
            ),
        ),
        (IMAGE, {"no_healthcheck": True}, HealthProbe(test=("NONE",))),
        (ContainerConfig(healthcheck=HealthCheck(test=("NONE",))), {}, HealthProbe(test=("NONE",))),
        (
            IMAGE,
            {"health_cmd": "true", "health_interval": "1m30s", "health_retries": 7},
            HealthProbe(test=("CMD-SHELL", "true"), interval_ns=90 * S, retries=7, shell=("/bin/bash", "-c")),
        ),
        (
            ContainerConfig(),
            {
                "health_cmd": "true",
                "health_timeout": "1s",
                "health_start_period": "2s",
                "health_start_interval": "3s",
            },
            HealthProbe(
                test=("CMD-SHELL", "true"), timeout_ns=S, start_period_ns=2 * S, start_interval_ns=3 * S
            ),
        ),
    ],
)
def test_flags_win_over_the_image(
    image: ContainerConfig, flags: dict[str, Any], expected: HealthProbe | None
) -> None:
    assert merged(image, **flags) == expected


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"no_healthcheck": True, "health_cmd": "x"}, "--no-healthcheck conflicts with --health-* options"),
        ({"health_cmd": "x", "health_interval": "5"}, "--health-interval: '5' is not a duration"),
        ({"health_cmd": "x", "health_timeout": "1us"}, "--health-timeout: '1us' is less than 1ms"),
        ({"health_retries": -1}, "--health-retries cannot be negative"),
        ({"health_retries": 2}, "--health-* options need a command: the image has no HEALTHCHECK"),
    ],
)
def test_flags_that_cannot_be_are_refused(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        merged(**flags)
    assert caught.value.message == message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        (None, ()),
        (HealthProbe(test=("NONE",)), ()),
        (HealthProbe(test=("CMD", "a", "b")), ("a", "b")),
        (HealthProbe(test=("CMD-SHELL", "a b")), ("/bin/sh", "-c", "a b")),
        (HealthProbe(test=("CMD-SHELL", "a"), shell=("/bin/bash", "-ec")), ("/bin/bash", "-ec", "a")),
    ],
)
def test_command_of_a_check(probe: HealthProbe | None, expected: tuple[str, ...]) -> None:
    assert compute_argv(probe) == expected


def test_defaults_are_dockers() -> None:
    probe = HealthProbe(test=("CMD", "x"))
    assert (compute_wait_s(probe, Health(), 0.0), compute_timeout_s(probe)) == (30.0, 30.0)
    assert [judge(probe, Health(streak=n), result(1), 0.0).status for n in (0, 1, 2)] == [
        STARTING,
        STARTING,
        UNHEALTHY,
    ]


def test_start_interval_is_for_the_start_period_until_it_is_healthy() -> None:
    probe = HealthProbe(test=("CMD", "x"), interval_ns=60 * S, start_period_ns=10 * S)
    assert compute_wait_s(probe, Health(), 9.9) == 5.0
    assert compute_wait_s(probe, Health(HEALTHY), 9.9) == 60.0
    assert compute_wait_s(probe, Health(), 10.0) == 60.0


def test_failures_of_the_start_period_do_not_count() -> None:
    probe = HealthProbe(test=("CMD", "x"), start_period_ns=10 * S, retries=1)
    assert judge(probe, Health(), result(1, 9.0), 0.0) == Health(STARTING, 0, (result(1, 9.0),))
    assert judge(probe, Health(), result(1, 10.0), 0.0).status == UNHEALTHY
    assert judge(probe, Health(HEALTHY), result(1, 9.0), 0.0).status == UNHEALTHY


def test_one_success_makes_it_healthy_again() -> None:
    probe = HealthProbe(test=("CMD", "x"))
    after = judge(probe, Health(UNHEALTHY, 9), result(0), 0.0)
    assert (after.status, after.streak) == (HEALTHY, 0)


def test_healthy_container_stays_so_until_its_retries_are_spent() -> None:
    probe, health = HealthProbe(test=("CMD", "x"), retries=2), Health(HEALTHY)
    first = judge(probe, health, result(1), 0.0)
    assert (first.status, first.streak) == (HEALTHY, 1)
    assert judge(probe, first, result(1), 0.0).status == UNHEALTHY


def test_last_results_are_kept() -> None:
    probe, health = HealthProbe(test=("CMD", "x")), Health()
    for start in range(9):
        health = judge(probe, health, result(0, float(start)), 0.0)
    assert [one.start for one in health.log] == [4.0, 5.0, 6.0, 7.0, 8.0]
    assert LOG_ENTRIES == 5


def test_long_output_is_clipped() -> None:
    assert clip(b"short") == "short"
    assert clip(b"x" * 5000) == "x" * 4096 + "..."
