"""HEALTHCHECK and --health-* with real containers: `ps`, `inspect`, filters; stopping, and the next daemon."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.engine import inspect, state, wait_for
from tests.product.instance import Product

_numbers = itertools.count()


@pytest.fixture
def name(product: Product) -> Iterator[str]:
    one = f"health-{next(_numbers)}"
    yield one
    product.try_pinnace("rm", "-f", "-v", one)


FAST = ("--health-interval", "100ms", "--health-retries", "2")


def health(product: Product, name: str) -> str:
    return str(state(product, name).get("Health", {}).get("Status", ""))


def listed(product: Product, name: str) -> str:
    return product.pinnace("ps", "-a", "--filter", f"name={name}", "--format", "{{.Status}}").strip()


def test_container_becomes_healthy_and_unhealthy_and_is_unhealthy_once_it_has_ended(
    product: Product, name: str
) -> None:
    check = "echo looked; test -f /ok"
    product.pinnace("run", "-d", "--name", name, *FAST, "--health-cmd", check, "tiny:v1", "sleep", "600")
    assert listed(product, name).endswith("(health: starting)") or "health" in listed(product, name)
    wait_for("unhealthy", lambda: health(product, name) == "unhealthy")
    assert listed(product, name).endswith("(unhealthy)")
    assert name in product.pinnace("ps", "--filter", "health=unhealthy", "--format", "{{.Names}}")
    product.pinnace("exec", name, "touch", "/ok")
    wait_for("healthy", lambda: health(product, name) == "healthy")
    assert listed(product, name).endswith("(healthy)")
    told = state(product, name)["Health"]
    assert told["FailingStreak"] == 0
    assert told["Log"][-1]["ExitCode"] == 0
    assert told["Log"][-1]["Output"] == "looked\n"
    assert inspect(product, name)["Config"]["Healthcheck"] == {
        "Test": ["CMD-SHELL", check],
        "Interval": 100_000_000,
        "Retries": 2,
    }
    product.pinnace("stop", "-t", "0", name)
    assert health(product, name) == "unhealthy"
    product.pinnace("start", name)
    wait_for("healthy again", lambda: health(product, name) == "healthy")


def test_check_that_hangs_or_is_not_there_fails(product: Product, name: str) -> None:
    product.pinnace(
        *("run", "-d", "--name", name, *FAST, "--health-timeout", "200ms"),
        *("--health-cmd", "sleep 600", "tiny:v1", "sleep", "600"),
    )
    wait_for("unhealthy", lambda: health(product, name) == "unhealthy")
    last = state(product, name)["Health"]["Log"][-1]
    assert (last["ExitCode"], last["Output"]) == (-1, "Health check exceeded timeout (0.2s)")


def test_check_of_an_image_is_done_and_can_be_left_out(product: Product, name: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        'FROM tiny:v1\nHEALTHCHECK --interval=100ms --retries=1 CMD ["true"]\nCMD ["sleep", "600"]\n'
    )
    product.pinnace("build", "-q", "-t", "checked:v1", str(tmp_path))
    product.pinnace("run", "-d", "--name", name, "checked:v1")
    wait_for("healthy", lambda: health(product, name) == "healthy")
    product.pinnace("rm", "-f", name)
    product.pinnace("run", "-d", "--name", name, "--no-healthcheck", "checked:v1")
    assert "Health" not in state(product, name)
    assert inspect(product, name)["Config"]["Healthcheck"] == {"Test": ["NONE"]}
    assert name in product.pinnace("ps", "--filter", "health=none", "--format", "{{.Names}}")


def test_next_daemon_goes_on_checking(own: Product) -> None:
    name = "checked"
    own.pinnace(
        *("run", "-d", "--name", name, *FAST, "--health-cmd", "test -f /ok", "tiny:v1", "sleep", "600")
    )
    wait_for("unhealthy", lambda: health(own, name) == "unhealthy")
    own.kill_daemon()
    own.up()
    wait_for("unhealthy", lambda: health(own, name) == "unhealthy")
    own.pinnace("exec", name, "touch", "/ok")
    wait_for("healthy", lambda: health(own, name) == "healthy")
