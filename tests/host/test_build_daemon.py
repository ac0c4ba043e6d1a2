"""`pinnace build` against a real daemon: what a person sees, a client that goes away, a daemon that is killed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.host.conftest import Instance
from tests.product.instance import PINNACE
from tests.unit.build.trees import Tree, grow

WAIT_S = 20.0


class Daemon:
    """An instance with a running daemon, and the command that speaks to it."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.context = instance.root / "context"
        self.env = {
            **instance.env,
            "PINNACE_API_PORT": "0",
            "PINNACE_POD_RANGE": instance.pod_range,
            "PINNACE_SERVICE_RANGE": instance.service_range,
            "PINNACE_MERGE_KUBECONFIG": "0",
        }

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*PINNACE, *words], env=self.env, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == code, done.stderr
        return done

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen([*PINNACE, *words], env=self.env, stderr=subprocess.PIPE, text=True)

    def write(self, dockerfile: str, files: Tree | None = None) -> str:
        grow(self.context, {**(files or {})})
        (self.context / "Dockerfile").write_text(dockerfile)
        return str(self.context)

    def kill(self) -> None:
        """kill -9, and wait until the daemon is gone."""
        pid = int((self.instance.run / "pinnace.pid").read_text())
        fd = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        select.select([fd], [], [], WAIT_S)
        os.close(fd)

    def leftovers(self) -> list[str]:
        """Return what builds have left: sandboxes, mounts and files."""
        home = self.instance.home
        return [
            *(str(path) for path in (home / "pods").glob("build-*")),
            *(str(path) for path in (home / "images" / "rootfs").glob("build-*")),
            *(str(path) for path in (home / "build" / "work").glob("*")),
            *(point for point in self.instance.find_mounts() if "build-" in point),
            *(words for _, words in self.instance.find_processes() if "sleep 98765" in words),
        ]


def wait_for(what: Callable[[], object], message: str) -> None:
    end = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < end, message
        time.sleep(0.05)


def read_until(process: subprocess.Popen[str], mark: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if line.rstrip().endswith(mark):
            return
    raise AssertionError(f"the build ended before it said {mark!r}")


@pytest.fixture
def daemon(instance: Instance, busybox_root: Path) -> Iterator[Daemon]:
    one = Daemon(instance)
    one.run("up")
    tar = instance.root / "busybox.tar"
    with tarfile.open(tar, "w") as archive:
        archive.add(busybox_root, ".")
    one.run("import", str(tar), "busybox:v1")
    yield one
    one.run("down", "--wipe")


SLOW = "FROM busybox:v1\nRUN echo begun; sleep 98765\n"


def test_build_tells_its_steps_and_the_image_runs_at_once(daemon: Daemon) -> None:
    context = daemon.write(
        'FROM busybox:v1 AS one\nCOPY f /f\nRUN cat /f; printf \'no newline\'\nFROM one\nCMD ["cat", "/f"]\n',
        {"f": "hi\n"},
    )
    done = daemon.run("build", "-t", "x:v1", "-t", "y:v2", context)
    lines = [line.split(" DONE ")[0] for line in done.stderr.splitlines()]
    assert lines[:6] == [
        "#1 [one 1/2] COPY f /f",
        "#1",
        "#2 [one 2/2] RUN cat /f; printf 'no newline'",
        "#2 hi",
        "#2 no newline",
        "#2",
    ]
    assert lines[6].startswith("stage one: ")
    assert lines[-1].startswith("built sha256:")
    assert daemon.run("run", "--rm", "y:v2").stdout == "hi\n"


def test_quiet_build_prints_the_id_and_nothing_else(daemon: Daemon) -> None:
    context = daemon.write("FROM busybox:v1\nRUN echo noise\n")
    done = daemon.run("build", "-q", context)
    assert done.stdout.startswith("sha256:")
    assert len(done.stdout.strip()) == 71
    assert done.stderr == ""
    assert daemon.run("build", "-q", context).stdout == done.stdout


def test_error_of_a_build_ends_the_command_with_one_and_says_where(daemon: Daemon) -> None:
    context = daemon.write("FROM busybox:v1\nRUN echo oh >&2; exit 42\n")
    error = daemon.run("build", context, code=1).stderr
    assert "error: process 'echo oh >&2; exit 42' did not complete successfully: exit code: 42\noh\n" in error
    assert "Dockerfile:2: RUN echo oh >&2; exit 42" in error
    assert "hint: " in error
    context = daemon.write("FROM busybox:v1\nRUNN x\n")
    error = daemon.run("build", context, code=1).stderr
    assert error.startswith("error: unknown instruction: RUNN\n")
    assert "did you mean RUN?" in error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_client_that_goes_away_ends_its_build_which_leaves_nothing(
    daemon: Daemon, number: signal.Signals
) -> None:
    process = daemon.start("build", daemon.write(SLOW))
    read_until(process, "begun")
    assert daemon.leftovers() != []
    process.send_signal(number)
    process.communicate(timeout=WAIT_S)
    wait_for(lambda: daemon.leftovers() == [], f"left: {daemon.leftovers()}")
    assert daemon.run("build", "-q", daemon.write("FROM busybox:v1\nRUN true\n")).stdout


def test_daemon_that_was_killed_in_a_build_clears_it_away_when_it_starts(daemon: Daemon) -> None:
    context = daemon.write(
        "FROM busybox:v1 AS a\nRUN echo kept > /a\nFROM busybox:v1\nCOPY --from=a /a /\nRUN echo begun; sleep 98765\n"
    )
    process = daemon.start("build", context)
    read_until(process, "begun")
    daemon.kill()
    process.communicate(timeout=WAIT_S)
    assert daemon.leftovers() != []
    daemon.run("up")
    assert daemon.leftovers() == []
    said = daemon.run(
        "build", daemon.write((daemon.context / "Dockerfile").read_text().replace("sleep 98765", "true"))
    )
    assert said.stderr.count("CACHED") == 2


def test_down_clears_the_builds_of_a_daemon_that_was_killed(daemon: Daemon) -> None:
    process = daemon.start("build", daemon.write(SLOW))
    read_until(process, "begun")
    daemon.kill()
    process.communicate(timeout=WAIT_S)
    began = time.monotonic()
    daemon.run("down")
    assert time.monotonic() - began < 10
    assert [point for point in daemon.instance.find_mounts() if "build-" in point] == []
    assert daemon.instance.find_leftovers() == []


def test_daemon_that_is_asked_to_end_ends_its_builds(daemon: Daemon) -> None:
    process = daemon.start("build", daemon.write(SLOW))
    read_until(process, "begun")
    daemon.run("down")
    _, error = process.communicate(timeout=WAIT_S)
    assert process.returncode != 0
    assert error.startswith("error: ")
    assert daemon.instance.find_leftovers() == []
