"""Hands results to the command that asked for them: a build offers a stream under a token, a second request takes it.

The files of an output are written by the command, with the rights of whoever runs it. Called by `results` and `ownapi`.
Invariant: a token is taken once, and only while its build goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

from pinnace.base.chance import Chance
from pinnace.base.errors import ApiError, PinnaceError, Reason, UserError

TOKEN_CHARACTERS = 32

Make = Callable[[], AsyncGenerator[bytes, None]]


class Exports:
    """The streams that builds offer now."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._offers: dict[str, tuple[Make, asyncio.Future[None]]] = {}

    @contextlib.asynccontextmanager
    async def offer(self, make: Make) -> AsyncIterator[tuple[str, asyncio.Future[None]]]:
        """Offer a stream while the block runs; yields the token, and what is done when it was taken whole."""
        token = self._chance.hex(TOKEN_CHARACTERS)
        taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._offers[token] = make, taken
        try:
            yield token, taken
        finally:
            self._offers.pop(token, None)
            taken.cancel()

    async def take(self, token: str) -> AsyncGenerator[bytes, None]:
        """Yield a stream's pieces. Raises: ApiError (NotFound), and what making the stream raises."""
        offered = self._offers.pop(token, None)
        if offered is None:
            raise ApiError(Reason.NOT_FOUND, "there is no such result, or it was taken already")
        make, taken = offered
        try:
            async with aclosing(make()) as pieces:
                async for piece in pieces:
                    yield piece
        except BaseException as error:
            if not taken.done():
                known = isinstance(error, PinnaceError)
                taken.set_exception(error if known else UserError("whoever asked for the result went away"))
            raise
        if not taken.done():
            taken.set_result(None)
