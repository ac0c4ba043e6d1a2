"""Says who asks: users, and the names that Kubernetes gives to service accounts and groups. Pure.

Source: Kubernetes v1.36, apiserver/pkg/authentication/user and authentication/serviceaccount/util.go.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
ANONYMOUS_NAME = "system:anonymous"
ACCOUNT_PREFIX = "system:serviceaccount:"
ALL_ACCOUNTS = "system:serviceaccounts"

CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"
POD_NAME = "authentication.kubernetes.io/pod-name"
POD_UID = "authentication.kubernetes.io/pod-uid"
NODE_NAME = "authentication.kubernetes.io/node-name"
NODE_UID = "authentication.kubernetes.io/node-uid"


@dataclass(frozen=True, slots=True)
class User:
    """Who asks. Shape: `extra` maps a key to its values; it is never changed."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    @property
    def is_admin(self) -> bool:
        return MASTERS in self.groups


ANONYMOUS = User(ANONYMOUS_NAME, (UNAUTHENTICATED,))


def account_name(namespace: str, name: str) -> str:
    """Return the user name of a service account."""
    return f"{ACCOUNT_PREFIX}{namespace}:{name}"


def account_groups(namespace: str) -> tuple[str, ...]:
    """Return the groups that every service account of a namespace is in."""
    return ALL_ACCOUNTS, f"{ALL_ACCOUNTS}:{namespace}"


def split_account_name(name: str) -> tuple[str, str] | None:
    """Return namespace and name of the service account that a user name means, None when it means none."""
    if not name.startswith(ACCOUNT_PREFIX):
        return None
    parts = name[len(ACCOUNT_PREFIX) :].split(":")
    return (parts[0], parts[1]) if len(parts) == 2 and all(parts) else None
