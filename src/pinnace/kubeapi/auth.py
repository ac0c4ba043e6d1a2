"""Decides who a caller is. Reads the connection's facts and the request's headers; nothing else.

A client certificate of our own authority says who; whoever can open the Unix socket is the administrator; a bearer token
stands for a service account; anybody else is anonymous. What they may do is decided in `gate.py`.
"""

import asyncio
import base64
import binascii
import hashlib
import socket
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from pinnace.api.access.claims import TokenRefused
from pinnace.api.access.tokens import Tokens
from pinnace.api.access.users import ANONYMOUS, AUTHENTICATED, CREDENTIAL_ID, User
from pinnace.base.errors import ApiError, Reason
from pinnace.kubeapi.pki import ADMIN_GROUP, ADMIN_USER

__all__ = ["ADMIN", "ANONYMOUS", "User", "find_bearer", "identify", "read_subject", "unauthorized"]

_Subject = tuple[tuple[tuple[str, str], ...], ...]

ADMIN = User(ADMIN_USER, (ADMIN_GROUP, AUTHENTICATED))

# Source: Kubernetes v1.36, apiserver/pkg/authentication/request/websocket/protocol.go.
BEARER_PROTOCOL = "base64url.bearer.authorization.k8s.io."


def unauthorized() -> ApiError:
    """Return the answer to a token that doesn't count; it never says why."""
    return ApiError(Reason.UNAUTHORIZED, "Unauthorized")


def identify(request: web.BaseRequest, tokens: Tokens | None) -> User:
    """Return the caller. Raises: ApiError Unauthorized for a token that doesn't count."""
    transport = request.transport
    if transport is None:  # the client has gone
        return ANONYMOUS
    certificate: Mapping[str, Any] | None = transport.get_extra_info("peercert")
    if certificate and (user := _user_of(certificate, transport)).name:
        return user
    if transport.get_extra_info("sslcontext") is None and _is_unix(transport.get_extra_info("socket")):
        return ADMIN
    token = find_bearer(request.headers)
    if not token:
        return ANONYMOUS
    if tokens is None:
        raise unauthorized()
    try:
        return tokens.authenticate(token).user
    except TokenRefused:
        raise unauthorized() from None


def find_bearer(headers: Mapping[str, str]) -> str:
    """Return the bearer token of a request, "" if it has none. Raises: ApiError Unauthorized."""
    authorization = headers.get("Authorization", "").strip()
    if authorization:
        scheme, _, rest = authorization.partition(" ")
        if scheme.lower() == "bearer" and (token := rest.partition(" ")[0]):
            return token
    if "Sec-WebSocket-Protocol" in headers:
        return _find_in_protocols(headers["Sec-WebSocket-Protocol"])
    return ""


def _find_in_protocols(text: str) -> str:
    """Return the token that stands among a WebSocket's protocols, as browsers have to send it."""
    protocols = [one.strip() for one in text.split(",")]
    found = [one for one in protocols if one.startswith(BEARER_PROTOCOL)]
    if not found:
        return ""
    if len(found) > 1 or len(protocols) == 1:
        raise unauthorized()
    encoded = found[0].removeprefix(BEARER_PROTOCOL)
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise unauthorized() from None


_USERS: dict[tuple[_Subject, str], User] = {}
_REMEMBERED = 1024


def _user_of(certificate: Mapping[str, Any], transport: asyncio.BaseTransport) -> User:
    """Return the user of a verified certificate; it is looked into once."""
    key = (certificate["subject"], certificate.get("serialNumber", ""))
    known = _USERS.get(key)
    if known is None:
        tls = transport.get_extra_info("ssl_object")
        content = tls.getpeercert(binary_form=True) if tls is not None else None
        known = read_subject(key[0], content or b"")
        if len(_USERS) >= _REMEMBERED:
            _USERS.clear()
        _USERS[key] = known
    return known


def read_subject(subject: _Subject, certificate: bytes = b"") -> User:
    """Return the user that a verified certificate names: CN is the name, each O is a group.

    Source: Kubernetes v1.36, apiserver/pkg/authentication/request/x509/x509.go, CommonNameUserConversion.
    """
    fields = [pair for relative in subject for pair in relative]
    name = next((value for key, value in fields if key == "commonName"), "")
    groups = tuple(value for key, value in fields if key == "organizationName")
    digest = hashlib.sha256(certificate).hexdigest()
    extra = {CREDENTIAL_ID: (f"X509SHA256={digest}",)} if certificate else {}
    return User(name, (*groups, AUTHENTICATED), extra=extra)


def _is_unix(endpoint: Any) -> bool:
    return endpoint is not None and endpoint.family == socket.AF_UNIX
