"""Reads request bodies: bounded, and JSON whatever syntax they came in.

Invariant: what the write path gets is JSON; what it can't get (protobuf, CBOR, half a document) is refused in words.
"""

from datetime import date
from typing import Any

import msgspec
import yaml
from aiohttp import web

from pinnace.base.errors import ApiError, Reason
from pinnace.kubeapi.negotiation import JSON, YAML

_READABLE = (JSON, YAML)


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
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def read_document(request: web.BaseRequest, limit: int) -> bytes:
    """Return the body as JSON. Raises: ApiError UnsupportedMediaType, BadRequest, RequestEntityTooLarge."""
    media_type = media_type_of(request)
    if media_type not in _READABLE:
        raise unsupported(media_type, _READABLE)
    body = await read_body(request, limit)
    return yaml_to_json(body) if media_type == YAML else body


def unsupported(media_type: str, readable: tuple[str, ...]) -> ApiError:
    """Return the refusal of a body in another syntax."""
    return ApiError(
        Reason.UNSUPPORTED_MEDIA_TYPE,
        f"the body of the request was in an unknown format - accepted media types include: {', '.join(readable)}"
        f" (got {media_type!r})",
    )


def yaml_to_json(body: bytes) -> bytes:
    """Return a YAML document as JSON. Raises: ApiError BadRequest."""
    try:
        value = yaml.load(body, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ApiError(Reason.BAD_REQUEST, f"yaml parse error: {error}") from None
    try:
        return msgspec.json.encode(_with_text_keys(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise ApiError(Reason.BAD_REQUEST, f"yaml parse error: {error}") from None


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader, but a timestamp stays text, as Kubernetes reads it."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {_key(key): _with_text_keys(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_text_keys(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return str(key).lower()
    return key if isinstance(key, str) else str(key)


def _too_large(limit: int) -> ApiError:
    return ApiError(Reason.REQUEST_ENTITY_TOO_LARGE, f"Request entity too large: limit is {limit}")
