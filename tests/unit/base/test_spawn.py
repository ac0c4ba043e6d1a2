"""Child processes: what they wrote, how they ended, and that a command that hangs is killed with its children."""

import asyncio
import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from pinnace.base.errors import HostError
from pinnace.base.spawn import find_program, run, start


async def test_what_a_process_wrote_comes_back() -> None:
    done = await run(["sh", "-c", "cat; echo talk >&2"], stdin=b"data")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"data", b"talk\n")


async def test_an_error_shows_the_exact_command_its_code_and_its_words() -> None:
    with pytest.raises(HostError) as caught:
        await run(["sh", "-c", "echo no such thing >&2; exit 3"])
    assert caught.value.message == "sh -c 'echo no such thing >&2; exit 3' ended with code 3: no such thing"
    assert caught.value.returncode == 3


async def test_a_process_that_hangs_is_killed_with_its_children(tmp_path) -> None:  # type: ignore[no-untyped-def]
    pids = tmp_path / "pids"
    began = time.monotonic()
    with pytest.raises(HostError, match=r"did not end within 0\.3 s"):
        await run(["sh", "-c", f"sleep 60 & echo $! > {pids}; sleep 60"], timeout_s=0.3)
    assert time.monotonic() - began < 10
    child = int(pids.read_text())
    with pytest.raises(ProcessLookupError):
        for _ in range(200):
            os.kill(child, 0)
            time.sleep(0.01)  # noqa: ASYNC251 - the child is init's now: there is nothing to await


async def test_a_missing_program_is_named_with_what_to_do() -> None:
    with pytest.raises(HostError, match="no-such-program is not installed") as caught:
        find_program("no-such-program")
    assert caught.value.hint == "apt-get install no-such-program"


async def test_a_program_that_is_not_there_is_an_error_with_its_name() -> None:
    for name in ("no-such-program", "/no/such/program"):
        with pytest.raises(HostError, match="can't be started: No such file or directory"):
            await start([name])


async def test_program_is_looked_up_in_the_childs_own_path(tmp_path) -> None:  # type: ignore[no-untyped-def]
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho found $X")
    tool.chmod(0o755)
    done = await run(["tool"], env={"PATH": str(tmp_path), "X": "it"})
    assert done.stdout == b"found it\n"


async def test_directory_descriptors_and_session_are_the_ones_asked_for(tmp_path) -> None:  # type: ignore[no-untyped-def]
    passed, kept = os.memfd_create("passed"), os.memfd_create("kept")
    os.set_inheritable(kept, True)  # as one that our own parent left open
    try:
        os.write(passed, b"through")
        script = f"pwd; cat /proc/self/fd/{passed}; echo; ls /proc/self/fd | wc -l; ps -o sid= -p $$ | tr -d ' '; echo $$"
        done = await run(["sh", "-c", script], cwd=tmp_path, pass_fds=(passed,))
    finally:
        os.close(passed)
        os.close(kept)
    where, text, count, session, pid = done.stdout.decode().splitlines()
    assert (where, text, session) == (str(tmp_path), "through", pid)
    assert int(count) == 5  # 0, 1, 2, the one that was passed, and that of `ls` itself


async def test_signals_that_python_ignores_end_a_child_as_usual() -> None:
    process = await start(["sleep", "60"])
    process.send_signal(signal.SIGPIPE)
    assert await process.wait() == -signal.SIGPIPE


async def test_a_start_that_is_cancelled_leaves_no_process() -> None:
    tasks = [asyncio.create_task(start(["sleep", "4321"])) for _ in range(4)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert (await run(["pgrep", "-f", "^sleep 4321$"], check=False)).stdout == b""


async def test_many_at_once_all_come_back_and_no_descriptor_stays_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    done = await asyncio.gather(
        *(run(["sh", "-c", f"cat; exit {n % 7}"], stdin=b"x" * n, check=False) for n in range(50))
    )
    assert [(len(one.stdout), one.returncode) for one in done] == [(n, n % 7) for n in range(50)]
    assert len(os.listdir("/proc/self/fd")) <= before


def test_descriptors_of_others_are_never_closed_under_the_daemons_loop() -> None:
    """uvloop closes a pipe's descriptor itself: whoever closes the number again may hit a file opened in a thread meanwhile."""
    uvloop = pytest.importorskip("uvloop")
    stop, lost = threading.Event(), []

    def keep_opening() -> None:
        while not stop.is_set():
            descriptor = os.open("/dev/null", os.O_RDONLY)
            time.sleep(0)
            try:
                os.close(descriptor)
            except OSError as error:
                lost.append(error)

    async def spawn_many() -> None:
        for _ in range(20):
            await asyncio.gather(*(run(["true"]) for _ in range(8)))

    threads = [threading.Thread(target=keep_opening) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        uvloop.run(spawn_many())
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert lost == []


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_start_that_is_cancelled_at_any_moment_leaves_nothing(loop: str) -> None:
    factory = asyncio.new_event_loop if loop == "asyncio" else pytest.importorskip("uvloop").new_event_loop

    def count() -> int:
        kinds = ("pipe:", "anon_inode:[pidfd]")
        names = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
        return sum(os.readlink(name).startswith(kinds) for name in names if os.path.islink(name))

    def find_sleepers() -> list[str]:
        lists = [path.read_text().split() for path in Path("/proc/self/task").glob("*/children")]
        return [pid for pids in lists for pid in pids if Path(f"/proc/{pid}/comm").read_text() == "sleep\n"]

    async def cancel_many() -> None:
        await run(["true"])
        before = count()
        for turns in range(100):
            running = asyncio.ensure_future(run(["sleep", "60"], stdin=b"x"))
            for _ in range(turns):
                await asyncio.sleep(0)
            await asyncio.sleep(max(0, turns - 60) * 0.0001)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            assert find_sleepers() == []
        for _ in range(200):
            if count() <= before:
                break
            await asyncio.sleep(0.01)
        assert count() <= before

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(cancel_many())
