"""The only readers of a clock. Everything else is given a `Clock`, so that the control plane also runs on virtual time.

Invariant: outside this file and `virtual.py`, nobody calls `time.*`, `datetime.now` or `asyncio.sleep`.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Time as an input."""

    def now(self) -> float:
        """Return the wall clock. Units: seconds since 1970-01-01 UTC."""

    def monotonic(self) -> float:
        """Return a time that never goes back. Units: seconds since an arbitrary start."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`; at once, but after one turn of the loop, when not positive."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class LoopClock:
    """The running loop's time, counted from `start`: virtual on a `VirtualLoop`, real on any other."""

    def __init__(self, start: float) -> None:
        self._start = start

    def now(self) -> float:
        return self._start + asyncio.get_running_loop().time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class FrozenClock:
    """A clock that moves only when told to, for tests of code that never waits."""

    def __init__(self, now: float = 0.0) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds

    async def sleep(self, seconds: float) -> None:
        self._now += max(0.0, seconds)
        await asyncio.sleep(0)
