"""Routes requests of our own API and translates errors, once, for all of it.

Rows of (method, pattern, handler) come from the other files here; `daemon/` puts them together. A pattern's `{name}`
takes one path segment. Invariant: every error leaves as a JSON document with `message`, `reason` and `hint`.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from pinnace.base.errors import ApiError, Bug, HostError, PinnaceError, Reason, UserError

log = logging.getLogger("pinnace.ownapi")

PREFIX = "/pinnace/v1"

Handler = Callable[[web.BaseRequest, dict[str, str]], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One row. `pattern` is below the prefix. Example: Route("GET", "/images/{id}", handler)."""

    method: str
    pattern: str
    handler: Handler


class Router:
    """The callable that serves `/pinnace/v1/`."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = [(route, re.compile(_expression(route.pattern))) for route in routes]

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.rel_url.raw_path.removeprefix(PREFIX)
        methods = []
        try:
            for route, expression in self._routes:
                match = expression.fullmatch(path)
                if match is None:
                    continue
                if route.method == request.method:
                    values = {name: unquote(value) for name, value in match.groupdict().items()}
                    return await route.handler(request, values)
                methods.append(route.method)
            if methods:
                raise ApiError(
                    Reason.METHOD_NOT_ALLOWED, f"{request.method} {path}: only {', '.join(methods)}"
                )
            raise ApiError(
                Reason.NOT_FOUND, f"there is no {PREFIX}{path}", hint="is the command as new as the daemon?"
            )
        except PinnaceError as error:
            return render_error(error)
        except (ConnectionResetError, BrokenPipeError):
            raise
        except Exception as error:  # the edge: whatever was not foreseen is a bug, told as one
            log.exception("%s %s", request.method, path)
            return render_error(Bug(f"{type(error).__name__}: {error}"))


def _expression(pattern: str) -> str:
    return re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(pattern))


def describe_error(error: PinnaceError) -> dict[str, Any]:
    """Return the document that an error becomes."""
    document: dict[str, Any] = {"message": error.message, "hint": error.hint}
    match error:
        case UserError():
            document |= {"reason": "UserError", "where": error.where}
        case ApiError():
            document |= {
                "reason": error.reason.wire,
                "details": {"kind": error.kind, "name": error.name},
            }
        case HostError():
            document |= {"reason": "HostError", "stderr": error.stderr, "argv": list(error.argv)}
        case _:
            document |= {"reason": "Bug"}
    return document


def render_error(error: PinnaceError) -> web.Response:
    """Return the answer that an error becomes."""
    code = {UserError: 400, HostError: 500, Bug: 500}.get(type(error), 500)
    if isinstance(error, ApiError):
        code = error.code
    elif isinstance(error, UserError):
        code = 400
    return render_json(describe_error(error), status=code)


def render_json(value: Any, *, status: int = 200) -> web.Response:
    """Return a JSON answer."""
    return web.Response(body=json.dumps(value).encode(), status=status, content_type="application/json")


async def read_json(request: web.BaseRequest) -> dict[str, Any]:
    """Return the request's JSON object; empty when there is no body. Raises: UserError."""
    body = await request.read()
    if not body:
        return {}
    try:
        value = json.loads(body)
    except ValueError as error:
        raise UserError(f"the request's body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UserError("the request's body is not a JSON object")
    return value


class JsonLines:
    """An answer that is one JSON document a line, written as things happen."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self._response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})

    async def start(self) -> None:
        await self._response.prepare(self._request)

    async def write(self, value: Any) -> None:
        await self._response.write(json.dumps(value).encode() + b"\n")

    async def end(self) -> web.StreamResponse:
        await self._response.write_eof()
        return self._response
