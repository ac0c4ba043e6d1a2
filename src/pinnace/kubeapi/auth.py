"""Decides who a caller is and whether they may do what they ask. Pure, but for reading the connection's facts.

A client certificate of our own authority says who; whoever can open the Unix socket is the administrator; anybody else
is anonymous and may only ask how the server is. Members of system:masters may do everything, others nothing yet.
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from aiohttp import web

from pinnace.base.errors import ApiError, Reason
from pinnace.kubeapi.paths import Target
from pinnace.kubeapi.pki import ADMIN_GROUP, ADMIN_USER

_Subject = tuple[tuple[tuple[str, str], ...], ...]

# Source: Kubernetes v1.36, the ClusterRole system:public-info-viewer.
PUBLIC_PATHS = ("/healthz", "/livez", "/readyz", "/version")


@dataclass(frozen=True, slots=True)
class User:
    """Who asks. Source: Kubernetes v1.36, apiserver/pkg/authentication/user, well-known names."""

    name: str
    groups: tuple[str, ...]

    @property
    def is_admin(self) -> bool:
        return ADMIN_GROUP in self.groups


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
ADMIN = User(ADMIN_USER, (ADMIN_GROUP, "system:authenticated"))


def identify(request: web.BaseRequest) -> User:
    """Return the caller. Raises: ApiError Unauthorized for a token, which nobody has issued."""
    transport = request.transport
    if transport is None:  # the client has gone
        return ANONYMOUS
    certificate: Mapping[str, Any] | None = transport.get_extra_info("peercert")
    if certificate:
        return read_subject(certificate["subject"])
    if transport.get_extra_info("sslcontext") is None and _is_unix(transport.get_extra_info("socket")):
        return ADMIN
    if "Authorization" in request.headers:
        raise ApiError(Reason.UNAUTHORIZED, "Unauthorized")
    return ANONYMOUS


@lru_cache(maxsize=256)
def read_subject(subject: _Subject) -> User:
    """Return the user that a verified certificate names: CN is the name, each O is a group."""
    fields = [pair for relative in subject for pair in relative]
    name = next((value for key, value in fields if key == "commonName"), "")
    groups = tuple(value for key, value in fields if key == "organizationName")
    return User(name, (*groups, "system:authenticated"))


def _is_unix(endpoint: Any) -> bool:
    return endpoint is not None and endpoint.family == socket.AF_UNIX


def authorize(user: User, method: str, path: str, target: Target | None) -> None:
    """Return if the user may do it. Raises: ApiError Forbidden, in Kubernetes' words."""
    if user.is_admin or _is_public(path):
        return
    if target is None:
        raise ApiError(
            Reason.FORBIDDEN, f'forbidden: User "{user.name}" cannot {method.lower()} path "{path}"'
        )
    resource = target.kind.plural + (f"/{target.subresource}" if target.subresource else "")
    scope = f'in the namespace "{target.namespace}"' if target.namespace else "at the cluster scope"
    name = f' "{target.name}"' if target.name else ""
    raise ApiError(
        Reason.FORBIDDEN,
        f'{target.kind.group_resource}{name} is forbidden: User "{user.name}" cannot {_verb(method, target)} '
        f'resource "{resource}" in API group "{target.kind.group}" {scope}',
        kind=target.kind.plural,
        group=target.kind.group,
        name=target.name,
    )


def _is_public(path: str) -> bool:
    return any(path == public or path.startswith(f"{public}/") for public in PUBLIC_PATHS)


_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


def _verb(method: str, target: Target) -> str:
    if method == "DELETE":
        return "delete" if target.name else "deletecollection"
    if method in ("GET", "HEAD"):
        return "get" if target.name else "list"
    return _VERBS.get(method, method.lower())
