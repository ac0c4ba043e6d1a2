"""The gate at which a created container of runc waits."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

from pinnace.container.start import FIFO, open_gate


def wait_at(fifo: Path) -> threading.Thread:
    """Do what runc's init does: wait for the other end, and write a byte."""

    def init() -> None:
        descriptor = os.open(fifo, os.O_WRONLY)
        os.write(descriptor, b"0")
        os.close(descriptor)

    thread = threading.Thread(target=init)
    thread.start()
    return thread


async def test_the_one_who_waits_goes_on_and_the_gate_is_gone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / FIFO)
    init = wait_at(tmp_path / FIFO)
    assert await open_gate(tmp_path, asyncio.Event().wait) is True
    init.join(5)
    assert not (tmp_path / FIFO).exists()


async def test_without_a_gate_there_is_nothing_to_open(tmp_path: Path) -> None:
    assert await open_gate(tmp_path, asyncio.Event().wait) is False


async def test_a_process_that_has_ended_opens_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / FIFO)
    ended = asyncio.Event()
    ended.set()
    assert await open_gate(tmp_path, ended.wait) is False
    assert (tmp_path / FIFO).exists()


async def test_a_gate_that_a_killed_daemon_had_opened_is_cleared_away_not_waited_at(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / FIFO)
    process = await asyncio.create_subprocess_exec("sleep", "30")
    try:
        async with asyncio.timeout(5):
            assert await open_gate(tmp_path, asyncio.get_running_loop().create_future, process.pid)
        assert not (tmp_path / FIFO).exists()
    finally:
        process.kill()
        await process.wait()
