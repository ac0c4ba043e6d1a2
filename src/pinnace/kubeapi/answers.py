"""Makes plain HTTP answers: bytes with a content type, and the warnings that were collected on the way."""

from collections.abc import Iterable
from typing import Any

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from pinnace.base.errors import ApiError
from pinnace.kubeapi.errors import render_status
from pinnace.kubeapi.negotiation import JSON

_encode = msgspec.json.Encoder().encode


def answer(
    body: bytes, *, status: int = 200, content_type: str = JSON, warnings: Iterable[str] = ()
) -> web.Response:
    """Return an answer with a body."""
    headers: CIMultiDict[str] = CIMultiDict(
        (("Content-Type", content_type), ("Cache-Control", "no-cache, private"))
    )
    for warning in warnings:
        headers.add("Warning", render_warning(warning))
    return web.Response(body=body, status=status, headers=headers)


def answer_json(value: Any, *, status: int = 200, warnings: Iterable[str] = ()) -> web.Response:
    """Return a JSON answer."""
    return answer(_encode(value), status=status, warnings=warnings)


def answer_error(error: ApiError, warnings: Iterable[str] = ()) -> web.Response:
    """Return a `Status`, with its HTTP code and the time after which to try again."""
    response = answer(render_status(error), status=error.code, warnings=warnings)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def add_warnings(response: web.StreamResponse, warnings: Iterable[str]) -> None:
    """Put warnings into an answer that has not begun."""
    for warning in warnings:
        response.headers.add("Warning", render_warning(warning))


def render_warning(sentence: str) -> str:
    """Return a Warning header's value. Source: RFC 7234, 5.5; Kubernetes v1.36, apimachinery/pkg/util/net, NewWarningHeader."""
    clean = "".join(character if character.isprintable() else " " for character in sentence)
    escaped = clean.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{escaped}"'
