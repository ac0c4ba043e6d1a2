"""Reads whom a request wants to act as, and what one must be allowed for it. Pure.

Source: Kubernetes v1.36, apiserver/pkg/endpoints/filters/impersonation.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from pinnace.api.access.attributes import Attributes
from pinnace.api.access.users import (
    ANONYMOUS_NAME,
    AUTHENTICATED,
    UNAUTHENTICATED,
    User,
    account_groups,
    split_account_name,
)
from pinnace.base.errors import ApiError, Reason
from pinnace.kubeapi.texts import clean

_PREFIX = "impersonate-"
_EXTRA = "impersonate-extra-"
_AUTHENTICATION = "authentication.k8s.io"


@dataclass(frozen=True, slots=True)
class Wish:
    """Whom a caller wants to act as."""

    user: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def questions(self) -> Iterator[Attributes]:
        """Yield everything that the caller must be allowed to do."""
        account = split_account_name(self.user)
        if account is not None:
            yield Attributes("impersonate", resource="serviceaccounts", namespace=account[0], name=account[1])
        else:
            yield Attributes("impersonate", resource="users", name=self.user)
        for group in self.groups:
            yield Attributes("impersonate", resource="groups", name=group)
        for key, values in self.extra:
            for value in values:
                yield Attributes(
                    "impersonate", _AUTHENTICATION, "v1", resource="userextras", subresource=key, name=value
                )
        if self.uid:
            yield Attributes("impersonate", _AUTHENTICATION, "v1", resource="uids", name=self.uid)

    def to_user(self) -> User:
        """Return the one to act as."""
        groups = self.groups
        account = split_account_name(self.user)
        if account is not None and not groups:
            groups = account_groups(account[0])
        if self.user == ANONYMOUS_NAME:
            added = () if UNAUTHENTICATED in groups else (UNAUTHENTICATED,)
        else:
            added = () if {AUTHENTICATED, UNAUTHENTICATED} & set(groups) else (AUTHENTICATED,)
        return User(self.user, (*groups, *added), self.uid, dict(self.extra))


def impersonates(raw_headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Say, cheaply, whether any header asks for it."""
    for name, _ in raw_headers:
        if (name[0] == 73 or name[0] == 105) and name[:12].lower() == b"impersonate-":  # 73, 105: I and i
            return True
    return False


def read_wish(headers: Iterable[tuple[str, str]]) -> Wish | None:
    """Return whom the headers ask to act as, None if nobody. Raises: ApiError BadRequest without a user."""
    user = uid = ""
    groups: list[str] = []
    extra: dict[str, list[str]] = {}
    for given, held in headers:
        name = given.lower()
        if not name.startswith(_PREFIX):
            continue
        value = clean(held)
        if name == "impersonate-user":
            user = user or value
        elif name == "impersonate-group":
            groups.append(value)
        elif name == "impersonate-uid":
            uid = uid or value
        elif name.startswith(_EXTRA):
            extra.setdefault(unquote(name.removeprefix(_EXTRA)), []).append(value)
    if not user:
        if groups or uid or extra:
            shown = [*groups, *extra, *([uid] if uid else [])]
            raise ApiError(Reason.BAD_REQUEST, f"requested [{' '.join(shown)}] without impersonating a user")
        return None
    return Wish(user, tuple(groups), uid, tuple((key, tuple(values)) for key, values in extra.items()))
