"""Pipes between the daemon and its workers: what ends badly on one side is known to the other, and to nobody else."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pinnace.image.feed import fed_pipe


async def lost() -> AsyncIterator[bytes]:
    """Data of a client that is gone."""
    yield b"x"
    raise ConnectionResetError("Connection lost")


async def test_whoever_is_cancelled_beside_a_lost_client_leaves_no_error_for_the_log(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    async def receive() -> None:
        async with fed_pipe(tmp_path / "pipe", lost()) as path:
            with open(await asyncio.to_thread(os.open, path, os.O_RDONLY), "rb") as pipe:
                assert await asyncio.to_thread(pipe.read) == b"x"  # to its end: the feeding has failed
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await receive()
    gc.collect()
    await asyncio.sleep(0)
    assert told == []
    assert list(tmp_path.iterdir()) == []
