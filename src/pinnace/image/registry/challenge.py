"""Reads what a registry asks for when it answers 401, and builds what a token server is asked. Pure.

Source: RFC 9110, 11.6.1 (WWW-Authenticate); distribution, docs/spec/auth/token.md and oauth.md.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from urllib.parse import urlencode, urlsplit

import msgspec

from pinnace.oci.credentials import Credential

CLIENT_ID = "pinnace"
LIVES_S = 60.0  # Source: token.md: a token that doesn't say how long it lives, lives 60 seconds
EARLY = 0.1  # a token is renewed when a tenth of its life is left

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PART = re.compile(rf'\s*,?\s*(?:({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))|({_TOKEN})(?=\s|,|$))')
_ESCAPED = re.compile(r"\\(.)")


class Challenge(msgspec.Struct, frozen=True):
    """One way in: "bearer" or "basic" (or another one, in lower case), and its parameters."""

    scheme: str
    params: dict[str, str]


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What opens `scope` at `host`: the whole Authorization header. Units: `until` in seconds of the monotonic clock.

    A Basic header has the scope "" and never ends.
    """

    host: str
    scope: str
    header: str
    until: float = 0.0


class TokenAnswer(msgspec.Struct, frozen=True):
    """What a token server says."""

    token: str = ""
    access_token: str = ""
    expires_in: float | None = None
    refresh_token: str = ""


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Return the ways that WWW-Authenticate headers offer, in order; what can't be read is left out.

    Example: 'Bearer realm="https://a/t",service="r",scope="repository:x:pull"'.
    """
    found: list[Challenge] = []
    for header in headers:
        at = 0
        while match := _PART.match(header, at):
            at = match.end()
            name, quoted, plain, scheme = match.groups()
            if scheme is not None:
                found.append(Challenge(scheme.lower(), {}))
            elif found:
                value = plain if quoted is None else _ESCAPED.sub(r"\1", quoted)
                found[-1].params.setdefault(name.lower(), value)
    return tuple(found)


def choose(challenges: Iterable[Challenge]) -> Challenge | None:
    """Return the way that we take: Bearer with a realm before Basic."""
    ways = tuple(challenges)
    for way in ways:
        if way.scheme == "bearer" and _is_address(way.params.get("realm", "")):
            return way
    return next((way for way in ways if way.scheme == "basic"), None)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        found = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return found and "@" not in parts.netloc and url.isascii() and url.isprintable() and " " not in url


def basic_header(credential: Credential) -> str:
    """Return the Authorization header of Basic authentication."""
    pair = f"{credential.username}:{credential.password}".encode()
    return "Basic " + base64.b64encode(pair).decode()


def scopes(repository: str, actions: str, others: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the scopes for a repository and for those that blobs are mounted from.

    Example: ("repository:team/app:pull,push", "repository:team/base:pull").
    """
    return (f"repository:{repository}:{actions}", *(f"repository:{other}:pull" for other in sorted(others)))


def token_query(
    way: Challenge, wanted: Iterable[str], credential: Credential | None, *, offline: bool = False
) -> str:
    """Return the URL to GET a token from; `offline` asks for an identity token too, for a login that lasts."""
    query = [("service", way.params["service"])] if way.params.get("service") else []
    if credential is not None and credential.username:
        query.append(("account", credential.username))
    query += [("offline_token", "true")] if offline else []
    query += [("client_id", CLIENT_ID), *(("scope", scope) for scope in wanted)]
    realm = way.params["realm"]
    return f"{realm}{'&' if urlsplit(realm).query else '?'}{urlencode(query)}"


def token_form(way: Challenge, wanted: Iterable[str], credential: Credential) -> bytes:
    """Return the form to POST for a token, with an identity token."""
    fields = {
        "grant_type": "refresh_token",
        "refresh_token": credential.identity_token,
        "service": way.params.get("service", ""),
        "client_id": CLIENT_ID,
        "scope": " ".join(wanted),
    }
    return urlencode(fields).encode()


def build_token(host: str, wanted: Iterable[str], answer: TokenAnswer, now: float) -> Token | None:
    """Return the token that a server gave, or None when there is none in its answer."""
    value = answer.token or answer.access_token
    if not value or "\n" in value or "\r" in value:
        return None
    lives = max(answer.expires_in or 0.0, LIVES_S)
    return Token(host=host, scope=" ".join(wanted), header=f"Bearer {value}", until=now + lives * (1 - EARLY))


def find_token(tokens: Iterable[Token], host: str, wanted: Iterable[str], now: float) -> Token | None:
    """Return a known token that opens what is wanted."""
    scope = " ".join(wanted)
    for token in tokens:
        if token.host == host and (not token.scope or (token.scope == scope and token.until > now)):
            return token
    return None
