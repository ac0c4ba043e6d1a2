"""Routes about images: import, list, inspect, history, tag, remove, prune."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from pinnace.base.errors import UserError
from pinnace.image.removal import InUse
from pinnace.image.store import ImageStore
from pinnace.ownapi.router import Route, read_json, render_json

CHUNK_BYTES = 256 * 1024


def image_routes(images: ImageStore, in_use: InUse) -> list[Route]:
    """Return the rows. `in_use` says which containers were made from an image."""

    async def list_images(request: web.BaseRequest, values: dict[str, str]) -> web.StreamResponse:
        rows = [
            {
                "repository": row.repository,
                "tag": row.tag,
                "id": row.image_id,
                "created": row.created,
                "size": row.size,
                "digest": row.digest,
            }
            for row in images.rows(request.rel_url.query.getall("filter", []))
        ]
        return render_json({"images": rows})

    async def inspect(request: web.BaseRequest, values: dict[str, str]) -> web.StreamResponse:
        return render_json(images.inspect(values["name"]))

    async def import_image(request: web.BaseRequest, values: dict[str, str]) -> web.StreamResponse:
        query = request.rel_url.query
        changes: Sequence[str] = query.getall("change", [])
        image = await images.import_tar(
            chunks(request),
            query.get("reference") or None,
            changes,
            message=query.get("message", ""),
            platform=query.get("platform", ""),
        )
        return render_json({"id": image.id, "name": image.familiar, "size": image.size})

    async def tag(request: web.BaseRequest, values: dict[str, str]) -> web.StreamResponse:
        body = await read_json(request)
        reference = body.get("reference")
        if not isinstance(reference, str) or not reference:
            raise UserError("the new name is missing", "pinnace tag SOURCE TARGET")
        image = await images.tag(values["name"], reference)
        return render_json({"id": image.id})

    async def remove(request: web.BaseRequest, values: dict[str, str]) -> web.StreamResponse:
        force = request.rel_url.query.get("force") == "1"
        removal = await images.remove(values["name"], force=force, in_use=in_use)
        return render_json(
            {"untagged": removal.untagged, "deleted": removal.deleted, "freed": removal.freed_bytes}
        )

    async def history(request: web.BaseRequest, values: dict[str, str]) -> web.StreamResponse:
        return render_json({"history": images.history(values["name"])})

    async def prune(request: web.BaseRequest, values: dict[str, str]) -> web.StreamResponse:
        query = request.rel_url.query
        removal = await images.prune(
            every=query.get("all") == "1", filters=query.getall("filter", []), in_use=in_use
        )
        return render_json(
            {"untagged": removal.untagged, "deleted": removal.deleted, "freed": removal.freed_bytes}
        )

    return [
        Route("GET", "/images", list_images),
        Route("POST", "/images", import_image),
        Route("GET", "/images/{name}", inspect),
        Route("DELETE", "/images/{name}", remove),
        Route("POST", "/images/{name}/tags", tag),
        Route("GET", "/images/{name}/history", history),
        Route("POST", "/image-prune", prune),
    ]


async def chunks(request: web.BaseRequest) -> AsyncIterator[bytes]:
    """Yield a request's body as it comes."""
    async for chunk in request.content.iter_chunked(CHUNK_BYTES):
        yield chunk
