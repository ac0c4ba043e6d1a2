"""Gives a finished answer the outer form that its client likes: indented for people, packed for the far away, YAML for errors.

Called by the handler for every answer that is no stream; does nothing to nearly all of them. Source: Kubernetes v1.37,
apiserver/pkg/endpoints/handlers/negotiation/negotiate.go (isPrettyPrint) and responsewriters/writers.go (what is packed).
"""

import asyncio
import zlib
from typing import Any

import msgspec
from aiohttp import web

from pinnace.base.errors import ApiError
from pinnace.kubeapi.negotiation import JSON, OBJECT_ONLY, YAML, negotiate
from pinnace.kubeapi.presenting import to_yaml
from pinnace.kubeapi.query import parse_query

# Programs that people read the output of. Source: as above.
_PEOPLE = ("curl", "Wget", "Mozilla/5.0")
_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_PACKED_FROM_BYTES = 128 * 1024  # Source: writers.go, defaultGzipThresholdBytes
_PACK_LEVEL = 1  # Source: writers.go, defaultGzipContentEncodingLevel
_GZIP = 16 + zlib.MAX_WBITS  # Source: zlib's manual, deflateInit2


async def polish(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Change the answer's body and headers where its client wants that."""
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
        return
    headers = request.headers
    if response.status >= 400 and "yaml" in headers.get("Accept", ""):
        _say_in_yaml(headers["Accept"], response)
    if wants_pretty(request.raw_path, headers.get("User-Agent", "")) and response.content_type == JSON:
        response.body = msgspec.json.format(response.body, indent=2) + b"\n"
    is_long = len(response.body) >= _PACKED_FROM_BYTES
    if is_long and _packs(headers.get("Accept-Encoding", "")) and is_far(request.transport):
        await _pack(response)


def wants_pretty(raw_path: str, agent: str) -> bool:
    """Say whether the answer is for a person."""
    if "pretty" in raw_path:
        value = parse_query(raw_path.partition("?")[2]).text("pretty")
        if value:
            return value in _TRUE
    return agent.startswith(_PEOPLE)


def _say_in_yaml(accept: str, response: web.Response) -> None:
    try:
        wanted = negotiate(accept, OBJECT_ONLY)
    except ApiError:
        return
    if wanted.media_type == YAML and response.content_type == JSON:
        assert isinstance(response.body, bytes)
        response.body = to_yaml(response.body)
        response.headers["Content-Type"] = YAML


def _packs(accepted: str) -> bool:
    for part in accepted.split(","):
        name, _, quality = part.strip().partition(";")
        if name.strip().lower() == "gzip":
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def is_far(transport: Any) -> bool:
    """Say whether bytes to the client cost more than packing them: not to this machine itself."""
    peer, own = (
        (transport.get_extra_info(name) for name in ("peername", "sockname")) if transport else ("", "")
    )
    return isinstance(peer, tuple) and isinstance(own, tuple) and peer[0] != own[0]


async def _pack(response: web.Response) -> None:
    body = response.body
    assert isinstance(body, bytes)

    def pack() -> bytes:
        packer = zlib.compressobj(_PACK_LEVEL, zlib.DEFLATED, _GZIP)
        return packer.compress(body) + packer.flush()

    response.body = await asyncio.to_thread(pack)
    response.headers["Content-Encoding"] = "gzip"
    response.headers.add("Vary", "Accept-Encoding")
