"""Routes about the instance itself: what it is."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from pinnace.ownapi.router import Route, render_json


def instance_routes(describe: Callable[[], list[tuple[str, str]]]) -> list[Route]:
    """Return the rows. `describe` gives the lines of `pinnace status`."""

    async def status(request: web.BaseRequest, values: dict[str, str]) -> web.StreamResponse:
        return render_json({"rows": [{"name": name, "value": value} for name, value in describe()]})

    return [Route("GET", "/status", status)]
