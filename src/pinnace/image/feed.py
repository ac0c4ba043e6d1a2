"""Lets a worker process read what the daemon receives, and the daemon send what a worker writes: named pipes.

Invariant: neither side waits for the other for ever; the pipe is gone afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pinnace.image.threads import uninterrupted

PIECE_BYTES = 1 << 18
PIPE_BYTES = 1 << 20  # both sides are woken less often than with the usual 64 KiB


@asynccontextmanager
async def fed_pipe(path: Path, data: AsyncIterable[bytes]) -> AsyncIterator[str]:
    """Make a pipe at `path` and write `data` to it while the block runs; yields the path to read from.

    Raises: what `data` raises, rather than what the block makes of data that ends too early.
    """
    await uninterrupted(os.mkfifo, path, 0o600)
    feeding = asyncio.get_running_loop().create_task(_feed(path, data), name="image/feed")
    try:
        yield str(path)
        await feeding
    except Exception:
        if feeding.done() and not feeding.cancelled() and (error := feeding.exception()) is not None:
            raise error from None
        raise
    finally:
        if not feeding.done():
            feeding.cancel()
            # a thread may wait for the pipe to be opened, or for room in it
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            await asyncio.gather(feeding, return_exceptions=True)
        elif not feeding.cancelled():
            feeding.exception()  # it was told above, or whoever would hear it is being cancelled
        await uninterrupted(path.unlink)


async def drained_pipe(
    path: Path, fill: Callable[[str], Coroutine[Any, Any, object]]
) -> AsyncGenerator[bytes, None]:
    """Make a pipe at `path`, let `fill` write to it, and yield what it writes. Raises: what `fill` raises."""
    await uninterrupted(os.mkfifo, path, 0o600)
    # With this descriptor the pipe has both ends, so that opening either never waits; the end comes when it is closed.
    keeper = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    filling = asyncio.get_running_loop().create_task(fill(str(path)), name="image/drain")
    filling.add_done_callback(lambda _: os.close(keeper))
    try:
        while data := await uninterrupted(os.read, fd, PIECE_BYTES):
            yield data
        await filling
    finally:
        os.close(fd)
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)
        await uninterrupted(path.unlink)


async def _feed(path: Path, data: AsyncIterable[bytes]) -> None:
    fd = -1

    def open_pipe() -> None:
        nonlocal fd
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # a user's bound for pipes may be reached: then it stays small
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

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
