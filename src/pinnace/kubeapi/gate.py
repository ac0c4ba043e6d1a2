"""Lets a request in or refuses it: who asks, on whose behalf, and whether they may. One per server, asked by the handler.

Members of system:masters (the administrator's certificate, the Unix socket) may do everything; for others the RBAC objects
decide. Each request that is refused leaves one line in the audit log.
"""

from dataclasses import dataclass, field

from aiohttp import web

from pinnace.api.access.attributes import Attributes, refusal
from pinnace.api.access.authorizer import Authorizer
from pinnace.api.access.tokens import Tokens
from pinnace.api.access.users import User
from pinnace.kubeapi.auth import identify
from pinnace.kubeapi.impersonation import impersonates, read_wish
from pinnace.kubeapi.request_info import read_attributes

# Whoever asks whether the server lives gets an answer, whatever became of the roles.
# Source: Kubernetes v1.36, kube-apiserver --authorization-always-allow-paths.
ALWAYS_ALLOWED = frozenset({"/healthz", "/livez", "/readyz"})

# A WebSocket's handshake is a GET, yet it starts something: both verbs must be allowed.
# Source: Kubernetes v1.36, feature AuthorizePodWebsocketUpgradeCreatePermission.
_STARTED_BY_GET = frozenset({"exec", "attach", "portforward"})


@dataclass(slots=True)
class Passage:
    """What is known of one request on its way in; `real` is who knocked, `user` on whose behalf, None while unknown.

    `passed` says that the gate let it in: who was refused then, was refused by admission. `notes` are the annotations
    that admission wants in the audit log.
    """

    real: User | None = None
    user: User | None = None
    passed: bool = False
    notes: dict[str, str] = field(default_factory=dict)


class Gate:
    """Decides for each request."""

    def __init__(self, access: Authorizer, tokens: Tokens | None) -> None:
        self._access = access
        self._tokens = tokens

    def admit(self, request: web.BaseRequest, path: str, query_text: str, passage: Passage) -> User:
        """Return on whose behalf the request goes on. Raises: ApiError Unauthorized, Forbidden, BadRequest."""
        user = passage.real = passage.user = identify(request, self._tokens)
        if impersonates(request.raw_headers):
            wish = read_wish(request.headers.items())
            if wish is not None:
                for question in wish.questions():
                    self._require(user, question)
                user = passage.user = wish.to_user()
        if not user.is_admin and path not in ALWAYS_ALLOWED:
            self._authorize(user, read_attributes(request.method, path, query_text))
        passage.passed = True
        return user

    def _authorize(self, user: User, asked: Attributes) -> None:
        self._require(user, asked)
        if asked.verb == "get" and asked.resource == "pods" and asked.subresource in _STARTED_BY_GET:
            self._require(user, asked._replace(verb="create"))

    def _require(self, user: User, asked: Attributes) -> None:
        """Raises: ApiError Forbidden."""
        decision = self._access.decide(user, asked)
        if not decision.allowed:
            raise refusal(user, asked, decision.reason)
