"""Answers whether a user may do something, by the newest RBAC objects; equal questions are answered from memory.

One per instance, held by the write path (`Api.access`), asked by the edges and by the checks against escalation.
Invariant: an answer never outlives the roles and bindings that it came from: their last revisions are compared each time.
"""

from collections.abc import Mapping
from typing import Protocol, TypeVar

from pinnace.api.access.attributes import Attributes, Decision
from pinnace.api.access.rbac import Index, Rules, build_index, decide, rules_for
from pinnace.api.access.users import User
from pinnace.kube.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING, Kind
from pinnace.kube.objects.rbac_v1 import RoleRef
from pinnace.store.interface import Revision

T = TypeVar("T")

_REMEMBERED = 10_000  # Source: Kubernetes v1.36, the authorizer's cache of webhook answers has as many
_LONGEST = 512  # characters of a question that is worth remembering
_ALLOWED = Decision(True)


class Objects(Protocol):
    """Where roles and bindings come from."""

    def all(self, kind: Kind[T]) -> tuple[T, ...]:
        """Return all objects of a kind."""
        ...

    def changed(self, kind: Kind[T]) -> Revision:
        """Return the revision of the last change of any object of the kind."""
        ...


class Authorizer:
    """The one who decides."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._seen: tuple[Revision, ...] = ()
        self._index = Index()
        self._answers: dict[tuple[str, tuple[str, ...], Attributes], Decision] = {}

    @property
    def index(self) -> Index:
        """The index of the present roles and bindings."""
        changed = self._objects.changed
        now = (
            changed(ROLE_BINDING),
            changed(CLUSTER_ROLE_BINDING),
            changed(ROLE),
            changed(CLUSTER_ROLE),
        )
        if now != self._seen:
            every = self._objects.all
            self._index = build_index(
                every(CLUSTER_ROLE), every(ROLE), every(CLUSTER_ROLE_BINDING), every(ROLE_BINDING)
            )
            self._answers.clear()
            self._seen = now
        return self._index

    def decide(self, user: User, asked: Attributes) -> Decision:
        """Return whether the user may do it, and why."""
        if user.is_admin:
            return _ALLOWED
        index = self.index
        key = (user.name, user.groups, asked)
        answer = self._answers.get(key)
        if answer is None:
            answer = decide(index, user, asked)
            if sum(map(len, asked)) <= _LONGEST:
                if len(self._answers) >= _REMEMBERED:
                    self._answers.clear()
                self._answers[key] = answer
        return answer

    def rules_for(self, user: User, namespace: str) -> tuple[Rules, str]:
        """Return the rules that the user holds in a namespace, and what of them can't be found."""
        return rules_for(self.index, user, namespace)

    def rules_of(self, role: RoleRef, namespace: str) -> Rules | None:
        """Return a role's rules, None if there is no such role."""
        return self.index.rules_of(role, namespace)

    @property
    def remembered(self) -> Mapping[tuple[str, tuple[str, ...], Attributes], Decision]:
        """The answers at hand, for those who look into how it works."""
        return self._answers
