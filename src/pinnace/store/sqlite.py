"""The durable store: the log in a SQLite file, committed by one thread.

The loop hands a batch to the thread and goes on; the thread commits (write, fsync) and tells the loop. While it does,
the next batch gathers.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from queue import SimpleQueue

from pinnace.store.interface import StoreFailed
from pinnace.store.log_store import Batch, LogStore
from pinnace.store.state import LogLimits
from pinnace.store.state_file import StateFile, to_store_failed
from pinnace.store.watches import BUFFER_LIMIT


class SqliteStore(LogStore):
    """A `Store` in one file."""

    def __init__(self, path: Path, limits: LogLimits = LogLimits(), buffer_limit: int = BUFFER_LIMIT) -> None:
        """Open or create the file and read it (10,000 objects in a fraction of a second).

        Raises: HostError when the file is damaged, in use by another process, or can't be opened.
        """
        self._file = StateFile(path)
        try:
            state = self._file.load()
        except BaseException:
            self._file.close()
            raise
        super().__init__(state, limits, buffer_limit)
        self._jobs: SimpleQueue[tuple[asyncio.AbstractEventLoop, Batch] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def _make_durable(self, batch: Batch) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._commit_batches, name="pinnace-store", daemon=True)
            self._thread.start()
        self._jobs.put((asyncio.get_running_loop(), batch))

    def _commit_batches(self) -> None:
        while (job := self._jobs.get()) is not None:
            loop, batch = job
            failure = None
            try:
                self._file.commit(batch.changes, batch.drops, batch.compacted)
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
                failure = _Failure(error, self._file.path)
            try:
                loop.call_soon_threadsafe(self._finish, batch, failure)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more

    async def _release(self) -> None:
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None
        self._file.close()


class _Failure:
    """Makes an error of its own for each writer, so that their tracebacks don't pile up on one."""

    def __init__(self, error: Exception, path: Path) -> None:
        self._error = error
        self._path = path

    def __call__(self) -> StoreFailed:
        return to_store_failed(self._error, self._path)
