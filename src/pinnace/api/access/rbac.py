"""Decides by RBAC objects: an index of who was granted what, and the answers that follow from it. Pure.

Built anew by `authorizer.py` when a role or binding has changed. Invariant: no rule, no permission; rules never take away.
Source: Kubernetes v1.36, plugin/pkg/auth/authorizer/rbac/rbac.go and pkg/registry/rbac/validation/rule.go.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pinnace.api.access.attributes import Attributes, Decision
from pinnace.api.access.rules import allows
from pinnace.api.access.users import User, account_name
from pinnace.kube.objects.rbac_v1 import (
    ClusterRole,
    ClusterRoleBinding,
    PolicyRule,
    Role,
    RoleBinding,
    RoleRef,
    Subject,
)

RBAC_GROUP = "rbac.authorization.k8s.io"
Rules = tuple[PolicyRule, ...]


class Grant(NamedTuple):
    """One binding for one of its subjects. Shape: `rules` is None when the role isn't there; `namespace` is "" for all."""

    binding: str
    role: RoleRef
    subject: Subject
    namespace: str
    rules: Rules | None

    def describe(self) -> str:
        """Return what the reason of an allowed request says."""
        if self.namespace:
            binding = f'RoleBinding "{self.binding}/{self.namespace}"'
        else:
            binding = f'ClusterRoleBinding "{self.binding}"'
        subject = self.subject
        name = subject.name
        if subject.kind == "ServiceAccount":
            name = f"{name}/{subject.namespace or self.namespace}"
        return f'{binding} of {self.role.kind} "{self.role.name}" to {subject.kind} "{name}"'

    @property
    def missing(self) -> str:
        """What is wrong when there are no rules."""
        return f'{self.role.kind.lower()}.{RBAC_GROUP} "{self.role.name}" not found'


@dataclass(frozen=True, slots=True)
class Index:
    """All roles and grants. Shape: grants by ("User"|"Group", name), then by namespace, "" for the whole cluster."""

    cluster_roles: Mapping[str, Rules] = field(default_factory=dict)
    roles: Mapping[tuple[str, str], Rules] = field(default_factory=dict)
    grants: Mapping[tuple[str, str], Mapping[str, tuple[Grant, ...]]] = field(default_factory=dict)

    def rules_of(self, role: RoleRef, namespace: str) -> Rules | None:
        """Return the rules of the role that a binding in `namespace` refers to, None if it isn't there."""
        if role.kind == "ClusterRole":
            return self.cluster_roles.get(role.name)
        return self.roles.get((namespace, role.name))

    def grants_of(self, user: User, namespace: str) -> Iterator[Grant]:
        """Yield what the user was granted: cluster-wide first, then in the namespace, if one is given."""
        keys = [("User", user.name), *(("Group", group) for group in user.groups)]
        found = [grants for key in keys if (grants := self.grants.get(key))]
        for where in ("", namespace) if namespace else ("",):
            for grants in found:
                yield from grants.get(where, ())


def build_index(
    cluster_roles: Iterable[ClusterRole],
    roles: Iterable[Role],
    cluster_bindings: Iterable[ClusterRoleBinding],
    bindings: Iterable[RoleBinding],
) -> Index:
    """Return the index of these objects."""
    index = Index(
        {role.metadata.name: role.rules for role in cluster_roles},
        {(role.metadata.namespace, role.metadata.name): role.rules for role in roles},
    )
    grants: dict[tuple[str, str], dict[str, list[Grant]]] = {}
    every: list[ClusterRoleBinding | RoleBinding] = [*cluster_bindings, *bindings]
    for binding in every:
        meta = binding.metadata
        rules = index.rules_of(binding.role_ref, meta.namespace)
        for subject in binding.subjects:
            grant = Grant(meta.name, binding.role_ref, subject, meta.namespace, rules)
            key = _key_of(subject, meta.namespace)
            if key is not None:
                grants.setdefault(key, {}).setdefault(meta.namespace, []).append(grant)
    settled = {
        key: {where: tuple(found) for where, found in by_place.items()} for key, by_place in grants.items()
    }
    return Index(index.cluster_roles, index.roles, settled)


def _key_of(subject: Subject, namespace: str) -> tuple[str, str] | None:
    if subject.kind == "ServiceAccount":
        place = subject.namespace or namespace
        return ("User", account_name(place, subject.name)) if place else None
    return (subject.kind, subject.name) if subject.kind in ("User", "Group") else None


def decide(index: Index, user: User, asked: Attributes) -> Decision:
    """Return whether a grant of the user allows the request. Members of system:masters may do everything."""
    if user.is_admin:
        return Decision(True)
    missing: list[str] = []
    for grant in index.grants_of(user, asked.namespace):
        if grant.rules is None:
            missing.append(grant.missing)
        elif any(allows(rule, asked) for rule in grant.rules):
            return Decision(True, f"RBAC: allowed by {grant.describe()}")
    return Decision(False, f"RBAC: {_join(missing)}" if missing else "")


def rules_for(index: Index, user: User, namespace: str) -> tuple[Rules, str]:
    """Return all rules that the user holds in a namespace ("": cluster-wide), and what of them can't be found."""
    found: list[PolicyRule] = []
    missing: list[str] = []
    for grant in index.grants_of(user, namespace):
        if grant.rules is None:
            missing.append(grant.missing)
        else:
            found.extend(grant.rules)
    return tuple(found), _join(missing)


def _join(sentences: list[str]) -> str:
    unique = list(dict.fromkeys(sentences))
    return unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]" if unique else ""
