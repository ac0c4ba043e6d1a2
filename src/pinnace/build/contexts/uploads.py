"""Receives contexts that come as a stream, before the build that uses them asks. A doer.

Called by `ownapi`; each upload is unpacked as it comes, in a worker process, into a folder of its own.
Invariant: a folder goes when its build ends, when its stream breaks off, when nobody asks for it in time, and, after a
crash, when the next daemon starts (all are below the builder's work folder).
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pinnace.base.chance import Chance
from pinnace.base.errors import UserError
from pinnace.build.contexts.unpacking import UnpackContextJob, UnpackedContext, unpack_context
from pinnace.build.threads import in_thread
from pinnace.image.feed import fed_pipe
from pinnace.image.workers import Workers

log = logging.getLogger("pinnace.build")

KEPT_S = 600.0  # how long an upload waits for its build
TREE = "context"


class Uploads:
    """The uploads of one instance, below `folder`."""

    def __init__(self, folder: Path, workers: Workers, chance: Chance, *, kept_s: float = KEPT_S) -> None:
        self._folder = folder
        self._workers = workers
        self._chance = chance
        self._kept_s = kept_s
        self._waiting: dict[str, asyncio.TimerHandle] = {}
        self._removing: set[asyncio.Task[None]] = set()

    async def receive(self, data: AsyncIterable[bytes]) -> tuple[str, UnpackedContext]:
        """Unpack a stream; return the name by which a build asks for it. Raises: UserError (a bad archive), HostError."""
        name = self._chance.hex(24)
        place = self._place(name)
        await in_thread((place / TREE).mkdir, parents=True)
        try:
            async with fed_pipe(place / "pipe", data) as pipe:
                job = UnpackContextJob(source=pipe, target=str(place / TREE))
                done = await self._workers.call(unpack_context, job)
        except BaseException:
            await asyncio.shield(in_thread(shutil.rmtree, place, ignore_errors=True))
            raise
        self._waiting[name] = asyncio.get_running_loop().call_later(self._kept_s, self._forget, name)
        return name, done

    @asynccontextmanager
    async def taken(self, name: str) -> AsyncIterator[Path]:
        """Give the folder of an upload to a build; it is removed at the block's end. Raises: UserError."""
        timer = self._waiting.pop(name, None)
        if timer is None:
            raise UserError("the build's context is not here any more", "send it again: repeat the command")
        timer.cancel()
        place = self._place(name)
        try:
            yield place / TREE
        finally:
            await asyncio.shield(in_thread(shutil.rmtree, place, ignore_errors=True))

    async def close(self) -> None:
        """Remove what is still waiting."""
        for name in list(self._waiting):
            self._waiting[name].cancel()
            self._forget(name)
        if self._removing:
            await asyncio.gather(*self._removing)

    def _forget(self, name: str) -> None:
        self._waiting.pop(name, None)
        log.info("the context %s was sent, but no build asked for it", name)
        task = asyncio.get_running_loop().create_task(
            in_thread(shutil.rmtree, self._place(name), ignore_errors=True),
            name="build/forget-upload",
        )
        self._removing.add(task)
        task.add_done_callback(self._removing.discard)

    def _place(self, name: str) -> Path:
        return self._folder / f"upload-{name}"
