"""Named, guarded background tasks: one that ends unexpectedly is logged and reported, never lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger("pinnace.tasks")


class Tasks:
    """The background tasks of one room.

    `on_failure(name, error)` is called when a task raises, or when one that was spawned with `forever` returns.
    """

    def __init__(self, owner: str, on_failure: Callable[[str, BaseException], None] | None = None) -> None:
        self._owner = owner
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = False

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, coro: Coroutine[Any, Any, Any], name: str, *, forever: bool = False) -> asyncio.Task[Any]:
        """Start `coro`. With `forever`, returning is a failure too."""
        task = asyncio.get_running_loop().create_task(coro, name=f"{self._owner}/{name}")
        self._tasks.add(task)
        task.add_done_callback(lambda ended: self._ended(ended, forever))
        return task

    def _ended(self, task: asyncio.Task[Any], forever: bool) -> None:
        self._tasks.discard(task)
        if task.cancelled() or self._closing:
            if not task.cancelled():
                task.exception()  # mark it as seen
            return
        error = task.exception()
        if error is None:
            if not forever:
                return
            error = RuntimeError("a task that should run forever has returned")
        log.error("task %s ended: %s", task.get_name(), error, exc_info=error)
        if self._on_failure is not None:
            self._on_failure(task.get_name(), error)

    async def close(self) -> None:
        """Cancel all tasks and wait for them."""
        self._closing = True
        while self._tasks:
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._tasks.difference_update(tasks)
