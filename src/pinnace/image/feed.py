"""Lets a worker process read what the daemon receives: a named pipe that looks like a file. See `ingest`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pinnace.image.threads import uninterrupted


@asynccontextmanager
async def fed_pipe(path: Path, data: AsyncIterable[bytes]) -> AsyncIterator[str]:
    """Make a pipe at `path` and write `data` to it while the block runs; yields the path to read from.

    Raises: what `data` raises, when the block has ended.
    """
    await uninterrupted(os.mkfifo, path, 0o600)
    feeding = asyncio.get_running_loop().create_task(_feed(path, data), name="image/feed")
    try:
        yield str(path)
        await feeding
    finally:
        if not feeding.done():
            feeding.cancel()
            # a thread may wait for the pipe to be opened, or for room in it
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            await asyncio.gather(feeding, return_exceptions=True)
        await uninterrupted(path.unlink)


async def _feed(path: Path, data: AsyncIterable[bytes]) -> None:
    fd = -1

    def open_pipe() -> None:
        nonlocal fd
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)

    try:
        await uninterrupted(open_pipe)
        async for piece in data:
            await uninterrupted(_write_all, fd, piece)
    except BrokenPipeError:
        return  # the reader has seen enough, and says why itself
    finally:
        if fd >= 0:
            os.close(fd)


def _write_all(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]
