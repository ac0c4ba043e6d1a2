"""Routes that carry whole archives: images saved and loaded, containers exported; and commits of containers."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from aiohttp import web

from pinnace.base.errors import UserError
from pinnace.engine.snapshots import Snapshots
from pinnace.image.store import ImageStore
from pinnace.ownapi.images import chunks
from pinnace.ownapi.router import Route, read_json, render_json


def archive_routes(images: ImageStore, snapshots: Snapshots) -> list[Route]:
    """Return the rows."""

    async def save(request: web.BaseRequest, values: dict[str, str]) -> web.StreamResponse:
        query = request.rel_url.query
        names = query.getall("name", [])
        if not names:
            raise UserError("no image is named", "pinnace save -o FILE IMAGE…")
        return await _send(request, images.save(names, platform=query.get("platform", "")))

    async def load(request: web.BaseRequest, values: dict[str, str]) -> web.StreamResponse:
        """Load the body, or the file of this machine that `path` names."""
        query = request.rel_url.query
        path = query.get("path")
        if path is not None and not path.startswith("/"):
            raise UserError(f"{path!r} is not an absolute path", "pinnace load -i FILE makes one of it")
        loaded = await images.load_named(
            Path(path) if path else chunks(request), platform=query.get("platform", "")
        )
        return render_json({"images": [{"id": one.image.id, "names": list(one.names)} for one in loaded]})

    async def export(request: web.BaseRequest, values: dict[str, str]) -> web.StreamResponse:
        return await _send(request, snapshots.export(values["name"]))

    async def commit(request: web.BaseRequest, values: dict[str, str]) -> web.StreamResponse:
        body = await read_json(request)
        image = await snapshots.commit(
            values["name"],
            body.get("reference") or None,
            body.get("changes") or (),
            author=body.get("author", ""),
            message=body.get("message", ""),
        )
        return render_json({"id": image.id})

    return [
        Route("GET", "/image-archives", save),
        Route("POST", "/image-archives", load),
        Route("GET", "/containers/{name}/export", export),
        Route("POST", "/containers/{name}/commit", commit),
    ]


async def _send(request: web.BaseRequest, pieces: AsyncGenerator[bytes, None]) -> web.StreamResponse:
    """Answer with what is yielded; what fails before the first piece is an error of HTTP, later the answer breaks off."""
    async with aclosing(pieces):
        first = await anext(pieces, b"")
        response = web.StreamResponse(headers={"Content-Type": "application/x-tar"})
        await response.prepare(request)
        try:
            await response.write(first)
            async for data in pieces:
                await response.write(data)
        except BaseException:
            if request.transport is not None:
                request.transport.abort()  # no end of the body: the client must not take it for a whole archive
            raise
        await response.write_eof()
        return response
