"""The route by which a build's context comes as a stream, and what a build's request says of contexts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from pinnace.base.errors import UserError
from pinnace.build.builder import Builder
from pinnace.build.contexts.spec import ContextFlag, MainContext, read_flag
from pinnace.ownapi.router import Route, render_json

PIECE_BYTES = 256 * 1024


def context_routes(builder: Builder) -> list[Route]:
    """Return the rows."""

    async def receive(request: web.BaseRequest, values: dict[str, str]) -> web.StreamResponse:
        name, done = await builder.uploads.receive(_pieces(request))
        return render_json({"id": name, "entries": done.entries, "size": done.size})

    return [Route("POST", "/build/contexts", receive)]


async def _pieces(request: web.BaseRequest) -> AsyncIterator[bytes]:
    async for piece in request.content.iter_chunked(PIECE_BYTES):
        yield piece


def read_main_context(body: dict[str, Any]) -> MainContext:
    """Return where the context comes from. Raises: UserError."""
    text = body.get("dockerfile_text")
    if text is not None and not isinstance(text, str):
        raise UserError("the Dockerfile's text is no text")
    return MainContext(
        address=str(body.get("address", "")),
        upload=str(body.get("upload", "")),
        is_empty=bool(body.get("empty")),
        dockerfile=text,
        dockerfile_url=str(body.get("dockerfile_url", "")),
    )


def read_contexts(body: dict[str, Any]) -> tuple[ContextFlag, ...]:
    """Return the contexts with names. Raises: UserError."""
    return tuple(read_flag(str(name), str(value)) for name, value in body.get("contexts", ()))
