"""Decides what is changed on the way: headers of the request, addresses in the answer, so that a browser stays inside.

Pure. Source: Kubernetes v1.36, apimachinery/pkg/util/proxy/transport.go (forwarded headers, Location, links in HTML),
upgradeaware.go (CORS headers), apiserver/pkg/endpoints/filters/authentication.go (credentials stay here).
"""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

from pinnace.kubeapi.auth import BEARER_PROTOCOL
from pinnace.kubeapi.proxying.http1 import Headers, drop_hop_by_hop
from pinnace.kubeapi.proxying.locations import Location

_KEPT_BACK = ("authorization", "host", "x-forwarded-uri")
_CORS = "access-control-"
_PROTOCOLS = "sec-websocket-protocol"


def compute_request_headers(
    headers: Iterable[tuple[str, str]], location: Location, *, uri: str, client: str
) -> Headers:
    """Return what the pod is told. `uri` is the path under which the client reaches it here, `client` the client's address."""
    kept = [
        (name, _without_token(value) if name.lower() == _PROTOCOLS else value)
        for name, value in drop_hop_by_hop(headers)
        if name.lower() not in _KEPT_BACK and not name.lower().startswith("impersonate-")
    ]
    chain = [value for name, value in kept if name.lower() == "x-forwarded-for"]
    if client:
        chain.append(client)
    kept = [(name, value) for name, value in kept if name.lower() != "x-forwarded-for"]
    added = (("X-Forwarded-For", ", ".join(chain)),) if chain else ()
    return (("Host", location.authority), *kept, ("X-Forwarded-Uri", uri), *added)


def _without_token(protocols: str) -> str:
    """Return a WebSocket's protocols but for the one that holds who asks."""
    given = (one.strip() for one in protocols.split(","))
    return ", ".join(one for one in given if not one.startswith(BEARER_PROTOCOL))


def compute_answer_headers(headers: Iterable[tuple[str, str]], location: Location, prefix: str) -> Headers:
    """Return what the client is told: redirects lead through the proxy again, CORS is this server's own affair."""
    return tuple(
        (name, rewrite_address(value, location, prefix) if name.lower() == "location" else value)
        for name, value in drop_hop_by_hop(headers)
        if not name.lower().startswith(_CORS)
    )


def rewrite_address(address: str, location: Location, prefix: str) -> str:
    """Return an address of the pod as the client reaches it: absolute ones begin with `prefix`.

    Example: "/login" is "/api/v1/namespaces/default/pods/web/proxy/login"; another host's stays.
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    if parts.netloc and parts.netloc not in (location.authority, f"{location.host}:{location.port}"):
        return address
    if not parts.netloc and (parts.scheme or not parts.path.startswith("/")):
        return address  # relative ones lead to the right place by themselves
    if parts.path == prefix or parts.path.startswith(f"{prefix}/"):
        return urlunsplit(("", "", parts.path, parts.query, parts.fragment))
    return urlunsplit(("", "", prefix + (parts.path or "/"), parts.query, parts.fragment))


_TAG = re.compile(rb"<[a-zA-Z][^<>]*>")
# The attributes that hold addresses. Source: HTML 4 and 5, attributes of type URI.
_LINK = re.compile(
    rb"""(\s(?:href|src|action|formaction|cite|poster|data|background|manifest|codebase|icon|longdesc)\s*=\s*)"""
    rb"""("[^"]*"|'[^']*')""",
    re.IGNORECASE,
)
_LONGEST_TAG = 16 * 1024


class LinkRewriter:
    """Rewrites the links of an HTML page as it passes; a tag that is still coming waits for its end."""

    def __init__(self, location: Location, prefix: str) -> None:
        self._location = location
        self._prefix = prefix
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return what can go on."""
        text = self._rest + data
        cut = text.rfind(b"<")
        if cut < 0 or b">" in text[cut:] or len(text) - cut > _LONGEST_TAG:
            cut = len(text)
        self._rest = text[cut:]
        return self._rewrite(text[:cut])

    def finish(self) -> bytes:
        """Return what was left."""
        rest, self._rest = self._rest, b""
        return self._rewrite(rest)

    def _rewrite(self, text: bytes) -> bytes:
        return _TAG.sub(lambda tag: _LINK.sub(self._one, tag[0]), text)

    def _one(self, match: "re.Match[bytes]") -> bytes:
        quoted = match[2]
        address = quoted[1:-1].decode("utf-8", "surrogateescape")
        new = rewrite_address(address, self._location, self._prefix)
        return match[1] + quoted[:1] + new.encode("utf-8", "surrogateescape") + quoted[:1]
