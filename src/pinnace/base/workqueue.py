"""A keyed queue: the same key never runs twice at once, and never waits twice.

Model: Kubernetes, client-go/util/workqueue (a dirty set, a processing set, an order). A key that is added while it runs
is queued again when it is done. `get` and `done` come in pairs.
Invariant: a key is in `_order` at most once, and only if it is dirty and not processing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

BACKOFF_FIRST_S = 0.005  # Source: client-go/util/workqueue, DefaultControllerRateLimiter
BACKOFF_MAX_S = 60.0  # Kubernetes waits up to 1000 s; on one machine a minute is long enough


class QueueClosed(Exception):
    """`get` after `close`."""


class WorkQueue(Generic[K]):
    """The queue; delays run on the loop's own timers, so they are virtual on a virtual loop."""

    def __init__(self, *, first_delay_s: float = BACKOFF_FIRST_S, max_delay_s: float = BACKOFF_MAX_S) -> None:
        self._first_delay_s = first_delay_s
        self._max_delay_s = max_delay_s
        self._order: deque[K] = deque()
        self._dirty: set[K] = set()
        self._processing: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def __len__(self) -> int:
        return len(self._order)

    @property
    def idle(self) -> bool:
        """Say whether nothing is queued and nothing runs (keys that wait for a timer don't count)."""
        return not self._order and not self._processing

    def add(self, key: K) -> None:
        """Queue `key` unless it waits already."""
        if self._closed or key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._processing:
            self._push(key)

    def add_after(self, key: K, delay_s: float) -> None:
        """Queue `key` in `delay_s`; of several delays for one key, the earliest counts."""
        if delay_s <= 0:
            self.add(key)
            return
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + delay_s
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= due:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(due, self._ripen, key)

    def add_failed(self, key: K) -> float:
        """Queue `key` after a delay that doubles with each failure; returns the delay in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay_s = min(self._max_delay_s, self._first_delay_s * 2.0 ** min(failures, 40))
        self.add_after(key, delay_s)
        return delay_s

    def forget(self, key: K) -> None:
        """Reset the failures of `key`."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """Wait for a key and mark it as running. Raises: QueueClosed."""
        while not self._order:
            if self._closed:
                raise QueueClosed
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
                elif self._order:
                    self._wake()
                raise
        key = self._order.popleft()
        self._processing.add(key)
        self._dirty.discard(key)
        return key

    def done(self, key: K) -> None:
        """Mark `key` as no longer running; it is queued again if it was added meanwhile."""
        self._processing.discard(key)
        if key in self._dirty:
            self._push(key)

    def close(self) -> None:
        """Drop what waits and wake all getters with `QueueClosed`."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._order.clear()
        self._dirty.clear()
        while self._waiters:
            self._wake()

    def _ripen(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _push(self, key: K) -> None:
        self._order.append(key)
        self._wake()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
