"""The answer of a build whose client goes away."""

from __future__ import annotations

import asyncio
import gc
from typing import Any, cast

import pytest
from aiohttp import ClientSession, web

from pinnace.build.builder import Builder
from pinnace.build.progress import Output
from pinnace.ownapi.build import build_routes
from pinnace.ownapi.router import PREFIX, JsonLines, Router

REQUEST = {"context": "/context", "dockerfile": "/context/Dockerfile"}


class EndlessBuilder:
    """Says one line and then nothing for ever."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()

    async def build(self, request: object, say: Any) -> None:
        say(Output(id="0", text="hello\n"))
        try:
            await asyncio.sleep(0.05)  # by then it was tried to send the line
            self.begun.set()
            await asyncio.Event().wait()
        finally:
            self.ended.set()


async def test_a_line_that_could_not_be_sent_is_no_forgotten_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def write(self: JsonLines, value: object) -> None:
        raise ConnectionResetError("Cannot write to closing transport")

    monkeypatch.setattr(JsonLines, "write", write)
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    builder = EndlessBuilder()
    router = Router(build_routes(cast(Builder, cast(Any, builder))))
    runner = web.ServerRunner(web.Server(router, handler_cancellation=True))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with ClientSession() as session:
        asking = asyncio.ensure_future(
            session.post(f"http://127.0.0.1:{runner.addresses[0][1]}{PREFIX}/build", json=REQUEST)
        )
        async with asyncio.timeout(20):
            await builder.begun.wait()
    async with asyncio.timeout(20):
        await builder.ended.wait()
    await asyncio.gather(asking, return_exceptions=True)
    await runner.cleanup()
    gc.collect()
    assert told == []
