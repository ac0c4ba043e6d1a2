"""Holds a session with a process while a request uses it: opened and closed to the end, though the request is cancelled.

A client may go at any moment, also while its process is being started or ended; a start or an end that is broken off in
the middle would leave a process, or descriptors, that nobody knows of. A doer; used by `sessions.py`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable

from pinnace.api.world import Session
from pinnace.base.tasks import Tasks

_Outcome = tuple[Session | None, Exception | None]


@contextlib.asynccontextmanager
async def hold(opening: Awaitable[Session], tasks: Tasks) -> AsyncIterator[Session]:
    """Open a session, give it, and close it in the end. Raises: what `opening` does."""
    opened = tasks.spawn(_try(opening), "open a session")
    try:
        session, error = await asyncio.shield(opened)
    except asyncio.CancelledError:
        tasks.spawn(_close_when_open(opened), "close a session")
        raise
    if error is not None:
        raise error
    assert session is not None
    try:
        yield session
    finally:
        await asyncio.shield(tasks.spawn(session.close(), "close a session"))


async def _try(opening: Awaitable[Session]) -> _Outcome:
    try:
        return await opening, None
    except Exception as error:  # noqa: BLE001 - handed to the one who waits
        return None, error


async def _close_when_open(opened: "asyncio.Task[_Outcome]") -> None:
    session, _ = await opened
    if session is not None:
        await session.close()
