"""What survives: kill -9 at any moment, a state file that can't be read, a disk that is full."""

from __future__ import annotations

import hashlib
import os
import random
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.product.fixtures import NODE, import_images
from tests.product.instance import Object, Product, container_state, pod_ready
from tests.product.manifests import config_map, deployment, pod, service
from tests.product.requests import Stream, ask, is_refused


def pids_of(product: Product) -> dict[str, list[int]]:
    """Return the processes of every container of the default namespace."""
    return {
        key: pids
        for one in product.list("pods")
        if one["status"].get("containerStatuses")
        for key, pids in product.list_processes(one["metadata"]["name"]).items()
    }


def first_pids(product: Product) -> dict[str, int]:
    """Return the first process of every container that has one: it is number 1 in there, whatever its number is out here."""

    def is_first(pid: int) -> bool:
        with suppress(OSError):
            return re.search(r"^NSpid:.*\t1$", Path(f"/proc/{pid}/status").read_text(), re.M) is not None
        return False

    return {key: pid for key, pids in pids_of(product).items() for pid in pids if is_first(pid)}


def test_containers_serve_on_and_are_adopted_after_a_kill(own: Product) -> None:
    own.apply(deployment("web", replicas=3), service("web", "web"), pod("alone"))
    own.until_all("pods", lambda found: sum(map(pod_ready, found)) == 4)
    address = own.get("services", "web")["spec"]["clusterIP"]
    own.poll(lambda: not is_refused(address, 80))
    before = first_pids(own)
    assert len(before) == 4
    with Stream(lambda: ask(address)) as stream:
        stream.wait_for(10)
        own.kill_daemon()
        stream.wait_for(50)
        own.up(*NODE)
        stream.wait_for(50)
    assert stream.failures == []
    assert first_pids(own) == before
    pods = own.list("pods")
    assert [container_state(one)["restartCount"] for one in pods] == [0] * 4
    assert all(map(pod_ready, pods))
    # and the new daemon is in charge of them
    own.kubectl("exec", "alone", "--", "true")
    old = {one["metadata"]["uid"] for one in own.list("pods", labels="app=web")}
    own.kubectl("delete", "pod", "-l", "app=web", "--wait=false")

    def replaced(found: list[Object]) -> bool:
        return sum(map(pod_ready, found)) == 3 and not old & {one["metadata"]["uid"] for one in found}

    own.until_all("pods", replaced, labels="app=web")


def test_what_ended_while_no_daemon_ran_is_seen_by_the_next(own: Product) -> None:
    own.apply(pod("alone"), deployment("web"))
    own.until_all("pods", lambda found: sum(map(pod_ready, found)) == 2)
    pids = own.list_processes("alone")
    own.kill_daemon()
    for pid in next(iter(pids.values())):
        with suppress(ProcessLookupError):  # the end of a container's first process ends the others
            os.kill(pid, 9)
    own.up(*NODE)
    one = own.until("pods", "alone", lambda p: container_state(p)["restartCount"] == 1 and pod_ready(p))
    assert container_state(one)["lastState"]["terminated"]["exitCode"] == 137
    (web,) = own.list("pods", labels="app=web")
    assert container_state(web)["restartCount"] == 0


def test_containers_of_run_serve_on_and_are_adopted_after_a_kill(own: Product) -> None:
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        port = probe.getsockname()[1]
    own.pinnace("run", "-d", "--name", "web", "-p", f"{port}:8000", "my-model:v1")
    own.pinnace("run", "-d", "--name", "short", "tiny:v1", "sh", "-c", "sleep 1; exit 6")
    own.poll(lambda: not is_refused("127.0.0.1", port))
    with Stream(lambda: ask("127.0.0.1", port)) as stream:
        stream.wait_for(10)
        own.kill_daemon()
        stream.wait_for(50)
        own.up(*NODE)
        stream.wait_for(50)
    assert stream.failures == []
    assert own.pinnace("exec", "web", "echo", "still here") == "still here\n"
    assert own.pinnace("wait", "short").strip() == "6"
    own.pinnace("stop", "-t", "2", "web")
    own.poll(lambda: is_refused("127.0.0.1", port))
    own.pinnace("rm", "web", "short")


def test_no_acknowledged_write_is_lost_when_the_daemon_is_killed_at_any_moment(own: Product) -> None:
    chance = random.Random(os.environ.get("PINNACE_TEST_SEED", "7"))
    own.apply(deployment("web", replicas=2))
    own.until("deployments", "web", lambda d: d["status"].get("readyReplicas") == 2)
    before = first_pids(own)
    acknowledged: set[str] = set()

    def write(worker: int, number: int, stop: threading.Event) -> None:
        while not stop.is_set():
            name = f"w{worker}-{number}"
            if own.try_kubectl("create", "configmap", name, f"--from-literal=a={number}").returncode == 0:
                acknowledged.add(name)
            number += 1

    for turn in range(3):
        stop = threading.Event()
        writers = [threading.Thread(target=write, args=(worker, turn * 1000, stop)) for worker in range(3)]
        count = len(acknowledged)
        for writer in writers:
            writer.start()
        own.poll(lambda count=count: len(acknowledged) > count + 3)
        own.kubectl("scale", "deployment/web", f"--replicas={chance.randint(2, 4)}")
        time.sleep(chance.random() * 0.4)  # the moment is the point
        own.kill_daemon()
        stop.set()
        for writer in writers:
            writer.join(timeout=60)
        own.up(*NODE)
        found = {one["metadata"]["name"] for one in own.list("configmaps")}
        assert acknowledged <= found, f"lost {sorted(acknowledged - found)}"
        wanted = own.get("deployments", "web")["spec"]["replicas"]
        own.until(
            "deployments",
            "web",
            lambda d, wanted=wanted: (
                d["status"].get("readyReplicas") == wanted == d["status"].get("replicas")
            ),
        )
    pods = own.list("pods")
    assert all(container_state(one)["restartCount"] == 0 for one in pods)
    kept = first_pids(own)
    assert {key: pid for key, pid in kept.items() if key in before} == {
        key: pid for key, pid in before.items() if key in kept
    }


# --- the state file ---------------------------------------------------------------------------------------------------


def damage_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"this is no database at all")


def damage_middle(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        for offset in range(4096, size, 4096):
            file.seek(offset)
            file.write(os.urandom(2048))


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096 or 4096)


@pytest.mark.parametrize("damage", [damage_header, damage_middle, cut_off])
def test_a_corrupt_state_file_is_reported_and_left_as_it_is(
    make_product: Callable[[], Product], damage: Callable[[Path], None]
) -> None:
    own = make_product()
    own.up(*NODE)
    own.apply(*(config_map(f"m{number}", text="x" * 500) for number in range(20)))
    own.pinnace("down")
    path = own.host.home / "state.db"
    for extra in own.host.home.glob("state.db-*"):
        extra.unlink()
    damage(path)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    done = own.try_pinnace("up", *NODE)
    assert done.returncode in (1, 2), "it started with a state file that is damaged"
    assert "Traceback" not in done.stderr
    said = done.stderr.splitlines()
    assert str(path) in said[0], said
    assert said[-1].startswith("hint:"), said
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    assert own.host.find_processes() == []


# --- the disk ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(make_product: Callable[[], Product], root_tar: Path) -> Iterator[Product]:
    """An instance whose home is a file system of 40 MB."""
    own = make_product()
    own.host.home.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40M", "tmpfs", str(own.host.home)], check=True)
    try:
        own.up(*NODE)
        import_images(own, root_tar)
        yield own
        own.try_pinnace("down", "--wipe")
    finally:
        subprocess.run(["umount", "-l", str(own.host.home)], check=True)


def test_a_full_disk_is_told_and_nothing_is_lost(small_disk: Product, root_tar: Path) -> None:
    own = small_disk
    own.apply(deployment("web"), config_map("kept", a="1"))
    own.until_all("pods", lambda found: sum(map(pod_ready, found)) == 1)
    before = first_pids(own)
    filler = own.host.home / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    failed, acknowledged = "", ["kept"]
    for number in range(200):
        done = own.try_kubectl(
            "create", "configmap", f"more{number}", f"--from-literal=a={'x' * 5000}", timeout_s=30
        )
        if done.returncode:
            failed = done.stderr
            break
        acknowledged.append(f"more{number}")
    assert "full" in failed or "No space left" in failed, failed
    done = own.try_pinnace("import", str(root_tar), "another:v1")
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert re.search("No space left|disk has only|full", done.stderr), done.stderr
    assert first_pids(own) == before
    filler.unlink()
    if own.try_kubectl("create", "configmap", "after", "--from-literal=a=1").returncode:
        own.kill_daemon()  # a store that failed stays failed: the next daemon reads what is on disk
        own.up(*NODE)
        own.kubectl("create", "configmap", "after", "--from-literal=a=1")
    names = {one["metadata"]["name"] for one in own.list("configmaps")}
    assert {*acknowledged, "after"} <= names
    assert first_pids(own) == before
    assert all(container_state(one)["restartCount"] == 0 for one in own.list("pods"))
