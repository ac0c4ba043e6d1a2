"""Reads request bodies: bounded, and JSON whatever syntax they came in.

Invariant: what the write path gets is JSON; what can't be read (CBOR, half a document) is refused in words.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any, TypeVar

from aiohttp import web

from pinnace.base.errors import ApiError, Reason
from pinnace.kube.kinds import Kind
from pinnace.kube.manifests import MAX_DEPTH, yaml_to_json
from pinnace.kubeapi import protobuf
from pinnace.kubeapi.negotiation import JSON, YAML

T = TypeVar("T")

_LARGE = 128 * 1024  # bytes: some milliseconds of looking through
# Objects and lists in one document. What is checked piece by piece is checked on the loop: these take half a second, the
# million that 3 MiB can hold took nine. A schema spends a hundred bytes and more on each of its parts.
_PARTS_MOST = 50_000
_READABLE = (JSON, YAML, protobuf.MEDIA_TYPE)


def media_type_of(request: web.BaseRequest) -> str:
    """Return the body's media type without parameters; JSON when the client says nothing."""
    return request.headers.get("Content-Type", JSON).partition(";")[0].strip().lower() or JSON


async def read_body(request: web.BaseRequest, limit: int) -> bytes:
    """Return the whole body as it came. Raises: ApiError RequestEntityTooLarge."""
    if not request.body_exists:
        return b""
    length = request.content_length
    if length is not None and length > limit:
        raise _too_large(limit)
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def read_document(
    request: web.BaseRequest, limit: int, kind: Kind[Any], twice: list[str] | None = None
) -> bytes:
    """Return the body as JSON; `kind` is what it should be an object of.

    `twice` takes sentences about what YAML says twice; without it that is an error.
    Raises: ApiError UnsupportedMediaType, BadRequest, RequestEntityTooLarge.
    """
    media_type = media_type_of(request)
    if media_type not in _READABLE:
        raise unsupported(media_type, _READABLE)
    body = await read_body(request, limit)
    if media_type == YAML:
        body = await aside(body, yaml_to_json, body, twice)
    if media_type == protobuf.MEDIA_TYPE and body:
        body = await aside(body, protobuf.protobuf_to_json, kind, body)
    await aside(body, check_shape, body)
    return body


async def aside(body: bytes, function: Callable[..., T], *arguments: Any) -> T:
    """Return what a pure function says of a body; where that takes long, others are served meanwhile."""
    if len(body) < _LARGE:
        return function(*arguments)
    return await asyncio.to_thread(function, *arguments)


def check_shape(body: bytes) -> None:
    """Return if the document is no deeper and has no more parts than can be walked safely.

    Units: nested objects and lists. Kubernetes' own documents have some 20 levels, schemas of definitions some more.
    Raises: ApiError BadRequest, RequestEntityTooLarge.
    """
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH:
        return
    depth = parts = 0
    for match in _BRACKETS.finditer(body):
        if match.lastgroup == "open":
            depth += 1
            parts += 1
            if depth > MAX_DEPTH:
                raise ApiError(Reason.BAD_REQUEST, "json parse error: exceeded max depth")
            if parts > _PARTS_MOST:
                why = f"Request entity too large: limit is {_PARTS_MOST} objects and lists in one document"
                raise ApiError(Reason.REQUEST_ENTITY_TOO_LARGE, why)
        elif match.lastgroup == "close":
            depth -= 1


# Strings are skipped whole: what stands in them opens nothing.
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|(?P<open>[\[{])|(?P<close>[\]}])', re.DOTALL)


def unsupported(media_type: str, readable: tuple[str, ...]) -> ApiError:
    """Return the refusal of a body in another syntax."""
    return ApiError(
        Reason.UNSUPPORTED_MEDIA_TYPE,
        f"the body of the request was in an unknown format - accepted media types include: {', '.join(readable)}"
        f" (got {media_type!r})",
    )


def _too_large(limit: int) -> ApiError:
    return ApiError(Reason.REQUEST_ENTITY_TOO_LARGE, f"Request entity too large: limit is {limit}")
