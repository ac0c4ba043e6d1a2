"""Worker processes: started on demand, gone when idle, killed when cancelled, honest when they die."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from pinnace.base.errors import Bug, HostError
from pinnace.image import jobs
from pinnace.image.frames import Progress, Request, render
from pinnace.image.jobs import SealJob
from pinnace.image.tar_format import TarError
from pinnace.image.workers import Workers


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    made = Workers(limit=2, idle_s=0.05)
    yield made
    await made.close()
    assert made.count == 0


def pids(workers: Workers) -> list[int]:
    return [worker.process.pid for worker in (*workers._idle, *workers._busy)]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_job_runs_in_another_process_that_goes_when_it_is_idle(
    workers: Workers, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "f").write_bytes(b"x" * 100)
    facts = await workers.call(jobs.seal, SealJob(tree=str(tree)))
    assert (facts.entries, facts.size, facts.tar_size) == (1, 100, 2048)
    (pid,) = pids(workers)
    assert pid != os.getpid()
    assert await workers.call(jobs.seal, SealJob(tree=str(tree))) == facts
    async with asyncio.timeout(10):
        while workers.count or is_running(pid):  # noqa: ASYNC110 (nothing tells when a pool has become empty)
            await asyncio.sleep(0.01)


async def test_jobs_run_side_by_side_up_to_the_limit(tmp_path: Path) -> None:
    workers = Workers(limit=2, idle_s=60)
    results = await asyncio.gather(*(workers.call(jobs.seal, SealJob(tree=str(tmp_path))) for _ in range(6)))
    assert len(set(results)) == 1
    assert workers.count == 2
    await workers.close()
    assert workers.count == 0


async def test_errors_come_back_as_they_were(workers: Workers, tmp_path: Path) -> None:
    (tmp_path / "bad.tar").write_bytes(b"x" * 600)
    (tmp_path / "tree").mkdir()
    with pytest.raises(TarError, match="checksum is wrong"):
        await workers.call(
            jobs.unpack_archive, jobs.UnpackJob(source=str(tmp_path / "bad.tar"), tree=str(tmp_path / "tree"))
        )
    with pytest.raises(HostError, match=r"No such file|can't be"):
        await workers.call(jobs.seal, SealJob(tree="/nonexistent"))
    assert workers.count == 1  # an error of a job is no fault of the process


async def test_a_cancelled_job_is_killed(workers: Workers, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "tree").mkdir()
    call = workers.call(jobs.unpack_archive, jobs.UnpackJob(source=str(pipe), tree=str(tmp_path / "tree")))
    task = asyncio.create_task(call)
    fd = await asyncio.to_thread(os.open, pipe, os.O_WRONLY)  # returns when the worker reads
    (pid,) = pids(workers)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    os.close(fd)
    assert not is_running(pid)
    await workers.call(jobs.seal, SealJob(tree=str(tmp_path / "tree")))


async def test_a_worker_that_dies_is_reported_with_how(workers: Workers, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "tree").mkdir()
    call = workers.call(jobs.unpack_archive, jobs.UnpackJob(source=str(pipe), tree=str(tmp_path / "tree")))
    task = asyncio.create_task(call)
    fd = await asyncio.to_thread(os.open, pipe, os.O_WRONLY)
    (pid,) = pids(workers)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(
        HostError, match=r"ended with signal 9 while it ran pinnace\.image\.jobs:unpack_archive"
    ) as died:
        await task
    os.close(fd)
    assert "memory" in died.value.hint
    assert workers.count == 0


async def test_something_that_is_no_job_is_a_bug(workers: Workers) -> None:
    def local(job: msgspec.Struct, report: object) -> None:
        """Never found by name."""

    with pytest.raises(Bug, match="asked to run"):
        await workers.call(local, SealJob(tree="/"))


async def test_progress_is_told_and_the_loop_is_never_held_up(workers: Workers, tmp_path: Path) -> None:
    for number in range(40):
        folder = tmp_path / f"d{number}"
        folder.mkdir()
        for file in range(100):
            (folder / f"f{file}").write_bytes(b"x" * 3000)
    told: list[Progress] = []
    gaps: list[float] = []

    async def watch() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    watching = asyncio.create_task(watch())
    facts = await workers.call(jobs.seal, SealJob(tree=str(tmp_path)), told.append)
    watching.cancel()
    assert facts.entries == 4040
    assert told and told[0].what == "digesting" and told[0].entries > 0
    assert len(gaps) > 100


def test_a_worker_whose_daemon_died_before_it_began_does_nothing(tmp_path: Path) -> None:
    """It may have a request already, and a pipe in it whose other end nobody opens any more."""
    os.mkfifo(tmp_path / "archive")
    job = jobs.UnpackJob(source=str(tmp_path / "archive"), tree=str(tmp_path))
    request = Request("pinnace.image.jobs:unpack_archive", msgspec.Raw(msgspec.json.encode(job)))
    somebody_else = os.getppid()
    worker = subprocess.run(
        [sys.executable, "-P", "-m", "pinnace.image.worker", str(somebody_else)],
        input=render(request),
        capture_output=True,
        timeout=20,
    )
    assert (worker.returncode, worker.stdout, worker.stderr) == (0, b"", b"")
