"""Says what stands in the token of a service account, and whether what stands there still holds. Pure.

Source: Kubernetes v1.36, pkg/serviceaccount/claims.go and legacy.go, pkg/registry/core/serviceaccount/storage/token.go.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pinnace.api.access.users import (
    AUTHENTICATED,
    CREDENTIAL_ID,
    NODE_NAME,
    NODE_UID,
    POD_NAME,
    POD_UID,
    User,
    account_groups,
    account_name,
)
from pinnace.base.times import parse_time
from pinnace.kube.objects.meta_v1 import ObjectMeta

LEGACY_ISSUER = "kubernetes/serviceaccount"
LEGACY_PREFIX = "kubernetes.io/serviceaccount/"
TOKEN_KEY = "token"

# Source: claims.go. Tokens that every pod gets are asked for with this life, and live a year; who uses one that is older
# than it asked for is told of in the log.
WARN_ONLY_S = 60 * 60 + 7
EXTENDED_S = 24 * 365 * 60 * 60
LEEWAY_S = 60.0  # Source: go-jose/jwt, DefaultLeeway


@dataclass(frozen=True, slots=True)
class Reference:
    """One object by name and uid."""

    name: str
    uid: str

    def to_json(self) -> dict[str, str]:
        return {key: value for key, value in (("name", self.name), ("uid", self.uid)) if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Whose token it is and what it is bound to."""

    namespace: str
    account: Reference
    pod: Reference | None = None
    node: Reference | None = None
    secret: Reference | None = None

    def to_user(self, jti: str = "") -> User:
        """Return the user that the token stands for."""
        extra: dict[str, tuple[str, ...]] = {}
        if jti:
            extra[CREDENTIAL_ID] = (f"JTI={jti}",)
        if self.node is not None and self.node.name:
            extra[NODE_NAME] = (self.node.name,)
            if self.node.uid:
                extra[NODE_UID] = (self.node.uid,)
        if self.pod is not None:
            extra[POD_NAME] = (self.pod.name,)
            extra[POD_UID] = (self.pod.uid,)
        groups = (*account_groups(self.namespace), AUTHENTICATED)
        return User(account_name(self.namespace, self.account.name), groups, self.account.uid, extra)


def build_claims(
    bound: Bound, *, issuer: str, audiences: tuple[str, ...], now: float, life_s: int, warn_s: int, jti: str
) -> dict[str, Any]:
    """Return the claims of a token. Units: `life_s` until it ends, `warn_s` until it is told of, 0 for never."""
    issued = int(now)
    ours: dict[str, Any] = {"namespace": bound.namespace}
    for key, reference in (("node", bound.node), ("pod", bound.pod), ("secret", bound.secret)):
        if reference is not None:
            ours[key] = reference.to_json()
    ours["serviceaccount"] = bound.account.to_json()
    if warn_s:
        ours["warnafter"] = issued + warn_s
    return {
        "aud": list(audiences),
        "exp": issued + life_s,
        "iat": issued,
        "iss": issuer,
        "jti": jti,
        "kubernetes.io": ours,
        "nbf": issued,
        "sub": account_name(bound.namespace, bound.account.name),
    }


def build_legacy_claims(namespace: str, account: Reference, secret_name: str) -> dict[str, Any]:
    """Return the claims of the token in a Secret, which has no end."""
    return {
        "iss": LEGACY_ISSUER,
        f"{LEGACY_PREFIX}namespace": namespace,
        f"{LEGACY_PREFIX}secret.name": secret_name,
        f"{LEGACY_PREFIX}service-account.name": account.name,
        f"{LEGACY_PREFIX}service-account.uid": account.uid,
        "sub": account_name(namespace, account.name),
    }


class TokenRefused(Exception):
    """The token doesn't count; says why. An empty reason means that it is not ours at all."""


def read_bound(claims: Mapping[str, Any]) -> Bound:
    """Return what a token is bound to. Raises: TokenRefused."""
    if claims.get("iss") == LEGACY_ISSUER:
        return _read_legacy(claims)
    ours = claims.get("kubernetes.io")
    account = _reference(ours, "serviceaccount")
    if not isinstance(ours, dict) or account is None:
        raise TokenRefused(
            "service account token claims could not be validated due to unexpected private claim"
        )
    return Bound(
        namespace=str(ours.get("namespace", "")),
        account=account,
        pod=_reference(ours, "pod"),
        node=_reference(ours, "node"),
        secret=_reference(ours, "secret"),
    )


def _read_legacy(claims: Mapping[str, Any]) -> Bound:
    namespace, account, uid, secret = (
        str(claims.get(LEGACY_PREFIX + key, ""))
        for key in ("namespace", "service-account.name", "service-account.uid", "secret.name")
    )
    if claims.get("sub") != account_name(namespace, account):
        raise TokenRefused("sub claim is invalid")
    if not secret:
        raise TokenRefused("secret claim is missing")
    return Bound(namespace=namespace, account=Reference(account, uid), secret=Reference(secret, ""))


def _reference(ours: Any, key: str) -> Reference | None:
    found = ours.get(key) if isinstance(ours, dict) else None
    return (
        Reference(str(found.get("name", "")), str(found.get("uid", ""))) if isinstance(found, dict) else None
    )


def check_times(claims: Mapping[str, Any], now: float) -> None:
    """Raises: TokenRefused when the token has ended or has not begun."""
    if (end := claims.get("exp")) is not None and now > end + LEEWAY_S:
        raise TokenRefused("service account token has expired")
    if (start := claims.get("nbf")) is not None and now < start - LEEWAY_S:
        raise TokenRefused("service account token is not valid yet")


Find = Callable[[str, str, str], ObjectMeta | None]
"""Returns the metadata of (word, namespace, name), where the word is "serviceaccount", "pod", "node" or "secret"."""

INVALIDATED = "service account token has been invalidated"


def check_bound(bound: Bound, find: Find, now: float) -> None:
    """Raises: TokenRefused when the account, or what the token is bound to, is gone or is another one now."""
    account = find("serviceaccount", bound.namespace, bound.account.name)
    if account is None:
        raise TokenRefused(f'serviceaccounts "{bound.account.name}" not found')
    if _is_gone(account, now):
        raise TokenRefused(f"service account {bound.namespace}/{bound.account.name} has been deleted")
    if account.uid != bound.account.uid:
        raise TokenRefused(f"service account UID ({account.uid}) does not match claim ({bound.account.uid})")
    if bound.secret is not None:
        _check_one("secret", bound.namespace, bound.secret, find, now)
    if bound.pod is not None:
        _check_one("pod", bound.namespace, bound.pod, find, now)
    elif bound.node is not None:  # of a pod's token, the node is a fact only
        _check_one("node", "", bound.node, find, now)


_REFERENCE_NAMES = {
    "secret": "service account secret",
    "pod": "service account pod",
    "node": "service account node",
}


def _check_one(word: str, namespace: str, reference: Reference, find: Find, now: float) -> None:
    meta = find(word, namespace, reference.name)
    if meta is None or _is_gone(meta, now):
        raise TokenRefused(INVALIDATED)
    if reference.uid and meta.uid != reference.uid:
        shown = "Pod" if word == "pod" else word
        raise TokenRefused(
            f"{shown} UID ({meta.uid}) does not match {_REFERENCE_NAMES[word]} ref claim ({reference.uid})"
        )


def _is_gone(meta: ObjectMeta, now: float) -> bool:
    return bool(meta.deletion_timestamp) and parse_time(meta.deletion_timestamp) < now - LEEWAY_S
