"""Serves what others need to check our tokens by themselves: the issuer's description and its public key.

Source: Kubernetes v1.36, pkg/routes/openidmetadata.go; OpenID Connect Discovery 1.0, section 3.
"""

import msgspec
from aiohttp import web

from pinnace.api.access.tokens import Tokens
from pinnace.kubeapi.answers import answer
from pinnace.kubeapi.negotiation import JSON

CONFIGURATION = "/.well-known/openid-configuration"
JWKS = "/openid/v1/jwks"
_KEYS_TYPE = "application/jwk-set+json"


class OpenId:
    """Answers by path."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def serve(self, path: str, host: str) -> web.Response | None:
        """Return the answer, None for other paths. `host` is the server's address as the client knows it."""
        if path == CONFIGURATION:
            document = self._tokens.discovery(f"https://{host}{JWKS}")
            return _cacheable(document, JSON)
        if path == JWKS:
            return _cacheable(self._tokens.jwks(), _KEYS_TYPE)
        return None


def _cacheable(document: object, content_type: str) -> web.Response:
    response = answer(msgspec.json.encode(document), content_type=content_type)
    response.headers["Cache-Control"] = "public, max-age=3600"
    return response
