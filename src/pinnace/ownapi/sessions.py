"""Sessions with containers over HTTP: both bodies of one exchange are frames (see `base/frames.py`), at the same time.

Used by `containers.py`. Decides nothing; moves bytes between a client and a process. Invariant: the last frame is EXIT or
ERROR, unless the client has gone; what was opened is closed either way.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

from pinnace.base import frames
from pinnace.base.errors import PinnaceError, UserError
from pinnace.container.streams import Streams
from pinnace.engine import failures
from pinnace.ownapi.router import describe_error

READ_BYTES = 64 * 1024
_KINDS = {"stdout": frames.STDOUT, "stderr": frames.STDERR}


class Session:
    """One client's session."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self._response = web.StreamResponse(headers={"Content-Type": "application/vnd.pinnace.frames"})
        self._response.force_close()
        self._frames = frames.Frames()
        self._waiting: list[tuple[int, bytes]] = []

    async def open(self) -> bytes:
        """Answer, and return the client's request. Raises: UserError."""
        await self._response.prepare(self._request)
        kind, data = await self._next() or (-1, b"")
        if kind != frames.REQUEST:
            raise UserError(
                "the session did not begin with a request", "is the command as new as the daemon?"
            )
        return data

    async def _next(self) -> tuple[int, bytes] | None:
        """Return the client's next frame; None when he has gone, or sends no more."""
        while not self._waiting:
            data = await self._request.content.readany()
            if not data:
                return None
            self._waiting.extend(self._frames.feed(data))
        return self._waiting.pop(0)

    async def write(self, frame: bytes) -> None:
        await self._response.write(frame)

    async def send(self, kind: int, data: bytes = b"") -> None:
        await self.write(frames.pack(kind, data))

    async def send_json(self, kind: int, value: Any) -> None:
        await self.send(kind, json.dumps(value).encode())

    async def pump(
        self,
        streams: Streams,
        signal: Callable[[int], Any],
        rest: Callable[[dict[str, int]], AsyncIterator[Any]] | None,
    ) -> int:
        """Move bytes both ways until the process's output ends; return how many the process wrote.

        `rest` gives what a client who was too slow has not got, from the number of bytes of each stream that he has.
        """
        inward = asyncio.ensure_future(self._pump_in(streams, signal))
        try:
            given = {"stdout": 0, "stderr": 0}
            while chunk := await streams.read():
                await self.send(_KINDS[chunk.stream], chunk.data)
                given[chunk.stream] += len(chunk.data)
            if getattr(streams, "cut_off", False):
                if rest is None:
                    raise UserError(
                        "the output came faster than it was read, and was cut off",
                        "pinnace logs has all of it",
                    )
                async for chunk in rest(given):
                    await self.send(_KINDS[chunk.stream], chunk.data)
            return sum(given.values())
        finally:
            inward.cancel()
            await asyncio.gather(inward, return_exceptions=True)

    async def _pump_in(self, streams: Streams, signal: Callable[[int], Any]) -> None:
        while frame := await self._next():
            kind, data = frame
            if kind == frames.STDIN and data:
                await streams.write(data)
            elif kind == frames.STDIN:
                await streams.close_stdin()
            elif kind == frames.RESIZE:
                streams.resize(*frames.parse_size(data))
            elif kind == frames.SIGNAL:
                with contextlib.suppress(PinnaceError):
                    signal(frames.parse_code(data))

    async def finish(self) -> web.StreamResponse:
        await self._response.write_eof()
        return self._response

    async def fail(self, error: PinnaceError) -> None:
        await self.send_json(frames.ERROR, describe_error(error) | {"exit_code": failures.classify(error)})

    @property
    def response(self) -> web.StreamResponse:
        return self._response


async def serve_session(
    request: web.BaseRequest, serve: Callable[[Session, bytes], Awaitable[int]]
) -> web.StreamResponse:
    """Open a session, let `serve` fill it, and end it with the exit code that `serve` returns, or with its error."""
    session = Session(request)
    try:
        try:
            code = await serve(session, await session.open())
            await session.write(frames.pack_code(frames.EXIT, code))
        except PinnaceError as error:
            await session.fail(error)
        except frames.FrameError as error:
            await session.fail(UserError(f"the session can't be read: {error}"))
        return await session.finish()
    except (ConnectionError, asyncio.CancelledError) as error:
        if isinstance(error, asyncio.CancelledError):
            raise
        return session.response  # the client has gone; nobody is told
