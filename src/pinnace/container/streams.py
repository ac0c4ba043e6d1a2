"""The one shape of a process's stdio for a client: attach and exec both give a `Streams`. See `attach.py` and `execs.py`."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import Literal, Protocol

from pinnace.container.readiness import wait_writable

StreamName = Literal["stdout", "stderr"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some bytes that a process wrote. With a terminal all of them are "stdout"."""

    stream: StreamName
    data: bytes


class Streams(Protocol):
    """What a client of a running process may do. `read` returns None at the end; `close` never ends the container."""

    async def read(self) -> Chunk | None: ...

    async def write(self, data: bytes) -> None: ...

    async def close_stdin(self) -> None: ...

    def resize(self, height: int, width: int) -> None: ...

    async def close(self) -> None: ...


class Drain:
    """A queue between a source that must never be held up and a reader who may be slow.

    When more than `limit_bytes` wait, `put` returns False: the source drops the reader rather than wait for it.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._waiting_bytes = 0
        self._queue: asyncio.Queue[Chunk | None] = asyncio.Queue()
        self._over = False

    def put(self, chunk: Chunk) -> bool:
        if self._waiting_bytes + len(chunk.data) > self._limit_bytes:
            return False
        self._waiting_bytes += len(chunk.data)
        self._queue.put_nowait(chunk)
        return True

    def end(self) -> None:
        self._queue.put_nowait(None)

    async def get(self) -> Chunk | None:
        """Return the next chunk; None at the end, and again each time after."""
        if self._over:
            return None
        chunk = await self._queue.get()
        if chunk is None:
            self._over = True
            return None
        self._waiting_bytes -= len(chunk.data)
        return chunk


async def write_all(descriptor: int, data: bytes) -> None:
    """Write to a non-blocking descriptor, waiting in the loop while it is full. Raises: OSError when nobody reads."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view[:32768]) :]
        except BlockingIOError:
            await wait_writable(descriptor)
