"""Routes about the instance itself: what it is, and its end."""

from __future__ import annotations

import os
from collections.abc import Callable

from aiohttp import web

from pinnace.ownapi.router import Route, render_json


def instance_routes(describe: Callable[[], list[tuple[str, str]]], stop: Callable[[], None]) -> list[Route]:
    """Return the rows. `describe` gives the lines of `pinnace status`; `stop` begins an orderly end of the daemon."""

    async def status(request: web.BaseRequest, values: dict[str, str]) -> web.StreamResponse:
        return render_json({"rows": [{"name": name, "value": value} for name, value in describe()]})

    async def end(request: web.BaseRequest, values: dict[str, str]) -> web.StreamResponse:
        stop()
        return render_json({"pid": os.getpid()})

    return [Route("GET", "/status", status), Route("POST", "/stop", end)]
