"""Runs a child process that tells how far it is, and ends it when it falls silent. A doer; used for long git commands.

Invariant: whatever happens, nothing of the process's session is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pinnace.base import spawn
from pinnace.base.errors import HostError

KEPT_BYTES = 1 << 16  # of each stream, the last
PIECE_BYTES = 1 << 14


async def run_watched(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path | None, silence_s: float
) -> spawn.Completed:
    """Run a process to its end. Raises: HostError when it can't be started, or says nothing for `silence_s`."""
    began = time.monotonic()
    pipe = asyncio.subprocess.PIPE
    process = await spawn.start(argv, stdout=pipe, stderr=pipe, env=env, cwd=cwd)
    assert process.stdout is not None and process.stderr is not None
    ears = [_Ear(process.stdout), _Ear(process.stderr)]
    listening = [asyncio.ensure_future(ear.listen()) for ear in ears]
    try:
        left: set[asyncio.Future[None]] = set(listening)
        while left:
            heard = max(ear.heard for ear in ears)
            wait_s = heard + silence_s - time.monotonic()
            if wait_s <= 0:
                raise HostError(f"{argv[0]} said nothing for {silence_s:g} s", argv=argv)
            _, left = await asyncio.wait(left, timeout=wait_s)
        code = await process.wait()
    except BaseException:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())
        raise
    finally:
        for one in listening:
            one.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
    return spawn.Completed(
        tuple(argv), code, bytes(ears[0].kept), bytes(ears[1].kept), time.monotonic() - began
    )


class _Ear:
    """Keeps the end of what a stream brings, and when it last brought something."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream
        self.kept = bytearray()
        self.heard = time.monotonic()

    async def listen(self) -> None:
        while data := await self._stream.read(PIECE_BYTES):
            self.heard = time.monotonic()
            self.kept += data
            del self.kept[:-KEPT_BYTES]
