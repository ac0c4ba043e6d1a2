"""Reads request bodies: bounded, and JSON whatever syntax they came in.

Invariant: what the write path gets is JSON; what can't be read (CBOR, half a document) is refused in words.
"""

from typing import Any

from aiohttp import web

from pinnace.base.errors import ApiError, Reason
from pinnace.kube.kinds import Kind
from pinnace.kube.manifests import yaml_to_json
from pinnace.kubeapi import protobuf
from pinnace.kubeapi.negotiation import JSON, YAML

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


async def read_document(request: web.BaseRequest, limit: int, kind: Kind[Any]) -> bytes:
    """Return the body as JSON; `kind` is what it should be an object of. Raises: ApiError UnsupportedMediaType, BadRequest, RequestEntityTooLarge."""
    media_type = media_type_of(request)
    if media_type not in _READABLE:
        raise unsupported(media_type, _READABLE)
    body = await read_body(request, limit)
    if media_type == YAML:
        return yaml_to_json(body)
    return protobuf.protobuf_to_json(kind, body) if media_type == protobuf.MEDIA_TYPE and body else body


def unsupported(media_type: str, readable: tuple[str, ...]) -> ApiError:
    """Return the refusal of a body in another syntax."""
    return ApiError(
        Reason.UNSUPPORTED_MEDIA_TYPE,
        f"the body of the request was in an unknown format - accepted media types include: {', '.join(readable)}"
        f" (got {media_type!r})",
    )


def _too_large(limit: int) -> ApiError:
    return ApiError(Reason.REQUEST_ENTITY_TOO_LARGE, f"Request entity too large: limit is {limit}")
