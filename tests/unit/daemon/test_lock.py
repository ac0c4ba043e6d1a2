"""The instance's lock: one holder, no stale one, and none that can't be got rid of."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pinnace.base.clock import SystemClock
from pinnace.base.errors import UserError
from pinnace.base.settings import Settings
from pinnace.daemon.instance import Instance
from pinnace.daemon.lock import InstanceLock
from pinnace.daemon.takeover import end_holder, wait_for_lock

HOLDER = """
import signal, sys, time
from pathlib import Path
from pinnace.daemon.lock import InstanceLock
signal.signal(signal.SIGTERM, signal.SIG_IGN if sys.argv[2] == "stubborn" else signal.SIG_DFL)
assert InstanceLock(Path(sys.argv[1])).try_acquire() is None
print("held", flush=True)
time.sleep(60)
"""

Hold = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pinnace.pid"


@pytest.fixture
def hold(path: Path) -> Iterator[Hold]:
    """Start another process that holds the lock."""
    started = []

    def start(manner: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-c", HOLDER, str(path), manner]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_second_is_told_who_holds_it_and_a_file_that_nobody_holds_locks_nothing(path: Path) -> None:
    path.write_text("4711\n")
    first, second = InstanceLock(path), InstanceLock(path)
    assert first.try_acquire() is None
    assert second.try_acquire() == int(path.read_text())
    first.release()
    assert not path.exists()
    assert second.try_acquire() is None
    second.release()


async def test_a_start_waits_for_a_daemon_without_a_socket_which_is_on_its_way_out(
    path: Path, hold: Hold
) -> None:
    ending = hold("plain")
    ending.terminate()
    lock = InstanceLock(path)
    await wait_for_lock(lock, path.parent / "kube.sock", "x", SystemClock())
    assert lock.held
    lock.release()


async def test_a_start_beside_a_daemon_that_stays_is_refused_and_leaves_its_files(
    path: Path, hold: Hold
) -> None:
    running = hold("plain")
    socket = path.parent / "kube.sock"
    socket.touch()
    settings = Settings(name="x", home=str(path.parent / "home"), run=str(path.parent))
    instance = Instance(settings)
    with pytest.raises(UserError, match=rf"runs already \(pid {running.pid}\)|needs root"):
        await instance.start()
    await instance.close()
    assert socket.exists()
    assert path.exists()


async def test_a_daemon_that_ignores_being_asked_is_killed_and_that_is_said(path: Path, hold: Hold) -> None:
    stubborn = hold("stubborn")
    lock = InstanceLock(path)
    assert await end_holder(lock, "x", SystemClock(), end_s=0.1) == [
        f"x: its daemon (pid {stubborn.pid}) did not end within 0.1 s and was killed"
    ]
    assert lock.held
    lock.release()


async def test_a_daemon_that_ends_when_asked_is_not_worth_a_word(path: Path, hold: Hold) -> None:
    hold("plain")
    lock = InstanceLock(path)
    assert await end_holder(lock, "x", SystemClock()) == []
    lock.release()
