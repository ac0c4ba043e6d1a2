"""The life of real containers: stop, kill, restart policies, removal, and what the next daemon makes of them."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
import urllib.request
from collections.abc import Iterator

import pytest

from tests.host.engine import inspect, run, started, state, wait_for
from tests.product.instance import Product

_numbers = itertools.count()

# As process 1 a shell gets only the signals that it traps.
OBEDIENT = ("tiny:v1", "sh", "-c", "trap 'exit 3' TERM; trap 'exit 4' USR1; while :; do sleep 0.1; done")
STUBBORN = ("tiny:v1", "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")


@pytest.fixture
def name(product: Product) -> Iterator[str]:
    one = f"life-{next(_numbers)}"
    yield one
    product.try_pinnace("rm", "-f", "-v", one)


def test_stop_sends_the_stop_signal_and_the_end_is_seen(product: Product, name: str) -> None:
    product.pinnace("run", "-d", "--name", name, *OBEDIENT)
    assert product.pinnace("stop", name) == f"{name}\n"
    found = state(product, name)
    assert (found["Status"], found["ExitCode"], found["Pid"]) == ("exited", 3, 0)
    assert inspect(product, name)["NetworkSettings"]["IPAddress"] == ""


def test_stop_with_another_signal(product: Product, name: str) -> None:
    product.pinnace("run", "-d", "--name", name, "--stop-signal", "USR1", *OBEDIENT)
    product.pinnace("stop", name)
    assert state(product, name)["ExitCode"] == 4


def test_stop_kills_what_does_not_end(product: Product, name: str) -> None:
    product.pinnace("run", "-d", "--name", name, *STUBBORN)
    product.pinnace("stop", "-t", "1", name)
    assert state(product, name)["ExitCode"] == 137


def test_kill_and_wait(product: Product, name: str) -> None:
    product.pinnace("run", "-d", "--name", name, *OBEDIENT)
    product.pinnace("kill", "-s", "USR1", name)
    assert product.pinnace("wait", name) == "4\n"
    code, _, talk = run(product, "kill", name)
    assert code == 1
    assert "is not running" in talk


def test_start_goes_on_with_the_same_files_and_log(product: Product, name: str) -> None:
    product.pinnace("run", "--name", name, "tiny:v1", "sh", "-c", "echo x >> /n; wc -l < /n")
    assert run(product, "start", "-a", name)[:2] == (0, "2\n")
    assert product.pinnace("logs", name) == "1\n2\n"


def test_restart(product: Product, name: str) -> None:
    product.pinnace("run", "-d", "--name", name, *OBEDIENT)
    before = state(product, name)["Pid"]
    product.pinnace("restart", name)
    found = state(product, name)
    assert found["Running"] is True
    assert found["Pid"] != before


def test_restart_keeps_a_container_that_is_removed_at_its_end(product: Product, name: str) -> None:
    product.pinnace("run", "-d", "--rm", "--name", name, *OBEDIENT)
    product.pinnace("restart", name)
    assert state(product, name)["Running"] is True
    product.pinnace("stop", name)
    assert run(product, "inspect", name)[0] == 1


def test_a_created_container_waits_to_be_started(product: Product, name: str) -> None:
    product.pinnace("create", "--name", name, "tiny:v1", "echo", "hi")
    assert "Created" in product.pinnace("ps", "-a", "--filter", f"name={name}")
    code, _, talk = run(product, "rmi", "tiny:v1")
    assert (code, run(product, "start", "-a", name)[:2]) == (1, (0, "hi\n")), talk


def test_a_running_container_is_removed_only_by_force(product: Product, name: str) -> None:
    product.pinnace("run", "-d", "--name", name, *OBEDIENT)
    code, _, talk = run(product, "rm", name)
    assert code == 1
    assert "container is running: stop the container before removing or force remove" in talk
    product.pinnace("rm", "-f", name)
    assert run(product, "inspect", name)[0] == 1


def test_on_failure_restarts_up_to_its_count(product: Product, name: str) -> None:
    product.pinnace(
        "run",
        "-d",
        "--name",
        name,
        "--restart",
        "on-failure:2",
        "tiny:v1",
        "sh",
        "-c",
        "echo x >> /n; wc -l < /n; exit 5",
    )
    wait_for("two restarts", lambda: state(product, name)["Status"] == "exited")
    document = inspect(product, name)
    assert (document["RestartCount"], document["State"]["ExitCode"]) == (2, 5)
    assert product.pinnace("logs", name) == "1\n2\n3\n"


def test_always_restarts_until_it_is_stopped(product: Product, name: str) -> None:
    product.pinnace("run", "-d", "--name", name, "--restart", "always", *OBEDIENT)
    product.pinnace("exec", name, "kill", "-USR1", "1")
    wait_for(
        "a restart",
        lambda: inspect(product, name)["RestartCount"] == 1 and state(product, name)["Status"] == "running",
    )
    product.pinnace("stop", name)
    assert state(product, name)["Status"] == "exited"


def test_a_restart_that_waits_is_ended_by_stop_and_rm(product: Product, name: str) -> None:
    product.pinnace("run", "-d", "--name", name, "--restart", "always", "tiny:v1", "false")
    wait_for("a long wait", lambda: inspect(product, name)["RestartCount"] >= 3)
    product.pinnace("stop", name)
    assert state(product, name)["Status"] == "exited"


def test_deleting_the_object_removes_the_container(product: Product, name: str) -> None:
    whole = product.pinnace("run", "-d", "--name", name, *OBEDIENT).strip()
    assert whole in product.kubectl("get", "containers.pinnace.dev", "-o", "name")
    product.kubectl("delete", "containers.pinnace.dev", whole)
    wait_for("the container to go", lambda: run(product, "inspect", name)[0] == 1)
    wait_for("its sandbox to go", lambda: not list(product.settings.home_path.glob(f"pods/ctr-{whole}")))


# --- the daemon's life -------------------------------------------------------------------------------------------------


def test_containers_go_on_while_the_daemon_is_dead_and_are_adopted(own: Product) -> None:
    own.pinnace("run", "-d", "--name", "serves", "-p", "8000", "my-model:v1")
    own.pinnace(
        "run",
        "-d",
        "--name",
        "ends",
        "tiny:v1",
        "sh",
        "-c",
        "read x < /tmp/go || while [ ! -e /go ]; do sleep 0.1; done; exit 6",
    )
    own.pinnace("run", "-d", "--name", "again", "--restart", "always", *OBEDIENT)
    own.pinnace(
        "run", "-d", "--rm", "--name", "goes", "tiny:v1", "sh", "-c", "while [ ! -e /go ]; do sleep 0.1; done"
    )
    before = inspect(own, "serves")
    ended = {one: inspect(own, one) for one in ("ends", "again", "goes")}
    own.kill_daemon()
    for one in ("ends", "goes"):
        (own.settings.home_path / "images/rootfs" / ended[one]["Id"] / "merged/go").touch()

    os.kill(ended["again"]["State"]["Pid"], 9)
    wait_for(
        "the monitors to end",
        lambda: all(not os.path.exists(f"/proc/{e['State']['Pid']}") for e in ended.values()),
    )
    own.up()
    after = inspect(own, "serves")
    assert (after["Id"], after["State"]["Pid"], after["State"]["Running"]) == (
        before["Id"],
        before["State"]["Pid"],
        True,
    )
    assert after["NetworkSettings"]["Ports"] == before["NetworkSettings"]["Ports"]
    assert (state(own, "ends")["Status"], state(own, "ends")["ExitCode"]) == ("exited", 6)
    wait_for("the restart", lambda: state(own, "again")["Status"] == "running")
    wait_for("the removal", lambda: run(own, "inspect", "goes")[0] == 1)
    port = after["NetworkSettings"]["Ports"]["8000/tcp"][0]["HostPort"]

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        assert answer.read() == b"ok\n"
    assert own.pinnace("exec", "serves", "echo", "hi") == "hi\n"
    own.pinnace("stop", "-t", "1", "serves")


def test_a_daemon_that_is_killed_at_any_moment_leaves_nothing_of_containers_that_are_to_be_removed(
    own: Product,
) -> None:
    for delay_s in (0.02, 0.06, 0.1, 0.15, 0.25):
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(started(own, "run", "--rm", "tiny:v1", "sleep", "0.1"))
            time.sleep(delay_s)  # the moment is the point
            own.kill_daemon()
        own.up()
    home = own.settings.home_path

    def left() -> list[str]:
        folders = [*home.glob("containers/*"), *home.glob("pods/ctr-*"), *home.glob("images/rootfs/*")]
        return [str(folder) for folder in folders]

    wait_for("all to be removed", lambda: own.pinnace("ps", "-aq") == "" and left() == [])


def test_down_ends_all_and_up_brings_back_what_its_policy_says(own: Product) -> None:
    own.pinnace("run", "-d", "--name", "always", "--restart", "always", *OBEDIENT)
    own.pinnace("run", "-d", "--name", "unless", "--restart", "unless-stopped", *OBEDIENT)
    own.pinnace("run", "-d", "--name", "stopped", "--restart", "unless-stopped", *OBEDIENT)
    own.pinnace("stop", "stopped")
    own.pinnace(
        "run",
        "-d",
        "--name",
        "plain",
        "tiny:v1",
        "sh",
        "-c",
        "trap 'exit 3' TERM; echo kept > /kept; echo said; while :; do sleep 0.1; done",
    )
    wait_for("the file", lambda: run(own, "exec", "plain", "cat", "/kept")[0] == 0)
    own.pinnace("run", "-d", "--rm", "--name", "gone", *OBEDIENT)
    own.pinnace("run", "--rm", "-v", "data:/d", "tiny:v1", "sh", "-c", "echo kept > /d/x")
    own.pinnace("down")
    assert own.host.find_leftovers() == []
    own.up()
    for one in ("always", "unless"):
        wait_for(f"{one} to come back", lambda one=one: state(own, one)["Status"] == "running")  # type: ignore[misc]
    assert state(own, "stopped")["Status"] == "exited"
    assert (state(own, "plain")["Status"], state(own, "plain")["ExitCode"]) == ("exited", 3)
    wait_for("the removal", lambda: run(own, "inspect", "gone")[0] == 1)
    own.pinnace("start", "plain")
    assert own.pinnace("exec", "plain", "cat", "/kept") == "kept\n"
    assert own.pinnace("logs", "plain").startswith("said\n")
    assert run(own, "run", "--rm", "-v", "data:/d", "tiny:v1", "cat", "/d/x")[1] == "kept\n"
