"""Layers on their way: whoever wants one that is already coming joins, and does not download it again.

Used by `pulls`. Invariant: a flight goes on as long as somebody waits for it, and is cancelled with the last one who does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from pinnace.image.registry.news import State
from pinnace.image.registry.receive import Received

Listener = Callable[[State, int, str], None]  # state, bytes, the registry's words


class Arrival:
    """A layer whose blob is in the store, in an unpacked tree without a name; the first who claims it gives it one."""

    def __init__(self, path: Path, received: Received) -> None:
        self.path = path
        self.received = received
        self.done = asyncio.Event()
        self._claimed = False

    def claim(self) -> bool:
        """Say whether the caller is the first."""
        first, self._claimed = not self._claimed, True
        return first


class Flight:
    """One download and those who wait for it."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.last: tuple[State, int, str] = ("waiting", 0, "")
        self.task: asyncio.Task[Arrival | None] | None = None

    def tell(self, state: State, current: int, text: str = "") -> None:
        """Tell all who wait how far it is."""
        self.last = (state, current, text)
        for listener in self.listeners:
            listener(state, current, text)

    async def join(self, listener: Listener) -> Arrival | None:
        """Wait for the end; None when the layer has its name. Raises: what the download raises."""
        assert self.task is not None
        self.listeners.append(listener)
        listener(*self.last)
        try:
            return await asyncio.shield(self.task)
        finally:
            self.listeners.remove(listener)
            if not self.listeners and not self.task.done():
                self.task.cancel()
                await _ended(self.task)


async def _ended(task: asyncio.Task[Arrival | None]) -> None:
    """Wait for the end of a cancelled task, however often the caller is cancelled meanwhile: it is clearing up."""
    again = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            again = True
    if again:
        raise asyncio.CancelledError


class Flights:
    """All flights of one store, by what they bring."""

    def __init__(self) -> None:
        self._flying: dict[str, Flight] = {}

    def find(self, key: str) -> Flight | None:
        return self._flying.get(key)

    def begin(self, key: str, bring: Callable[[Flight], Awaitable[Arrival | None]]) -> Flight:
        """Start one."""
        flight = self._flying[key] = Flight()

        async def run() -> Arrival | None:
            try:
                return await bring(flight)
            finally:
                if self._flying.get(key) is flight:
                    del self._flying[key]

        flight.task = asyncio.get_running_loop().create_task(run(), name=f"image/pull {key}")
        return flight

    async def close(self) -> None:
        """Cancel all, and wait for their end."""
        tasks = [flight.task for flight in self._flying.values() if flight.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
