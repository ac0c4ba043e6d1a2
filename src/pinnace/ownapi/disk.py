"""The route about the disk: what images, containers, volumes and the build cache use."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from pinnace.base.errors import PinnaceError
from pinnace.build.builder import Builder
from pinnace.engine.engine import Engine
from pinnace.engine.queries import Queries
from pinnace.engine.snapshots import Snapshots
from pinnace.image.layers import Layer
from pinnace.image.removal import InUse
from pinnace.image.store import ImageStore
from pinnace.image.usage import compute_usage
from pinnace.image.views import NO_NAME, Image
from pinnace.ownapi.router import Route, render_json


def disk_routes(
    images: ImageStore,
    in_use: InUse,
    engine: Engine,
    queries: Queries,
    snapshots: Snapshots,
    builder: Builder,
) -> list[Route]:
    """Return the rows."""

    def layers_of(image: Image) -> tuple[Layer, ...]:
        try:
            return images.catalog.layers(image.config)
        except PinnaceError:
            return ()  # a layer is missing: what is asked for here is what is there

    async def usage(request: web.BaseRequest, values: dict[str, str]) -> web.StreamResponse:
        found = compute_usage(images.list(), layers_of, lambda image: len(in_use(image.id)))
        uppers = snapshots.uppers()
        volumes = engine.volumes.list()
        paths = [*uppers.values(), *(engine.volumes.path(one.spec.name) for one in volumes)]
        sizes = await images.measure(paths) if paths else ()
        written = dict(zip(uppers, sizes, strict=False))
        return render_json(
            {
                "images": {
                    "total": len(found.images),
                    "active": found.active,
                    "size": found.size,
                    "reclaimable": found.reclaimable,
                    "rows": [
                        {
                            "repository": ref.familiar_name if ref else NO_NAME,
                            "tag": (ref.tag if ref else "") or NO_NAME,
                            "id": one.image.id,
                            "created": one.image.created,
                            "size": one.image.size,
                            "shared": one.shared,
                            "unique": one.unique,
                            "containers": one.containers,
                        }
                        for one in found.images
                        for ref in one.image.references or (None,)
                    ],
                },
                "containers": [
                    {**row, "size": written.get(row["id"], 0)} for row in queries.list(all_states=True)
                ],
                "volumes": [
                    {"name": one.spec.name, "links": len(engine.users_of_volume(one.spec.name)), "size": size}
                    for one, size in zip(volumes, sizes[len(uppers) :], strict=True)
                ],
                "cache": _cache_rows(builder, found.keys),
            }
        )

    return [Route("GET", "/disk-usage", usage)]


def _cache_rows(builder: Builder, in_images: frozenset[Any]) -> list[dict[str, Any]]:
    """Return the remembered steps; a layer that an image has too is shared, and weighs nothing more."""
    return [
        {
            "id": entry.key,
            "text": entry.text,
            "size": entry.layer.size,
            "created": entry.created,
            "used": entry.used,
            "shared": entry.layer.key in in_images,
        }
        for entry in builder.cache_entries()
    ]
