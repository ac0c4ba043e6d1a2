"""The store that forgets: for the simulator and for tests. Durable means: accepted.

A write still takes a turn of the loop, so that what can interleave in life can interleave here.
"""

from __future__ import annotations

from pinnace.store.log_store import Batch, LogStore
from pinnace.store.state import LogLimits, State
from pinnace.store.watches import BUFFER_LIMIT


class MemoryStore(LogStore):
    """A `Store` without a medium."""

    def __init__(self, limits: LogLimits = LogLimits(), buffer_limit: int = BUFFER_LIMIT) -> None:
        super().__init__(State(), limits, buffer_limit)

    def _make_durable(self, batch: Batch) -> None:
        self._finish(batch)

    async def _release(self) -> None:
        pass
