"""Decides whether a user may write a role or a binding: nobody grants what they don't hold. Pure, given an authorizer.

Called for each create and update of the four kinds. Members of system:masters, and who was granted the verbs `escalate`
(roles) and `bind` (bindings), may grant anything.
Source: Kubernetes v1.36, pkg/registry/rbac/{role,clusterrole,rolebinding,clusterrolebinding}/policybased/storage.go,
pkg/registry/rbac/{escalation_check,helpers}.go, pkg/registry/rbac/validation/rule.go, ConfirmNoEscalation.
"""

from typing import Protocol

from msgspec.structs import replace

from pinnace.api.access.attributes import Attributes, Decision
from pinnace.api.access.rbac import RBAC_GROUP, Rules
from pinnace.api.access.rules import EVERYTHING, compact, find_uncovered, render_rule, render_texts
from pinnace.api.access.users import User
from pinnace.api.errors import forbidden, not_found
from pinnace.base.errors import ApiError
from pinnace.kube.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING, Kind
from pinnace.kube.objects.rbac_v1 import ClusterRole, ClusterRoleBinding, Role, RoleBinding, RoleRef

_NOT_AGGREGATED = "must have cluster-admin privileges to use the aggregationRule"


class Access(Protocol):
    """What is asked of the authorizer."""

    def decide(self, user: User, asked: Attributes) -> Decision: ...

    def rules_for(self, user: User, namespace: str) -> tuple[Rules, str]: ...

    def rules_of(self, role: RoleRef, namespace: str) -> Rules | None: ...


def check_role(role: Role, old: Role | None, namespace: str, name: str, user: User, access: Access) -> None:
    """Raises: ApiError Forbidden when the role holds more than the user does."""
    if user.is_admin or (old is not None and _only_garbage(role, old)):
        return
    _check_rules(ROLE, role.rules, namespace, name, user, access)


def check_cluster_role(
    role: ClusterRole, old: ClusterRole | None, namespace: str, name: str, user: User, access: Access
) -> None:
    """Raises: ApiError Forbidden when the role holds, or may come to hold, more than the user does."""
    if user.is_admin or (old is not None and _only_garbage(role, old)):
        return
    _check_rules(CLUSTER_ROLE, role.rules, "", name, user, access)
    aggregates = role.aggregation_rule is not None or (old is not None and old.aggregation_rule is not None)
    if aggregates and _find_missing(EVERYTHING, user, "", access):
        raise forbidden(CLUSTER_ROLE, name, _NOT_AGGREGATED)


def check_binding(
    binding: RoleBinding | ClusterRoleBinding,
    old: RoleBinding | ClusterRoleBinding | None,
    namespace: str,
    name: str,
    user: User,
    access: Access,
) -> None:
    """Raises: ApiError Forbidden when the bound role holds more than the user does; NotFound when there is no such role."""
    if user.is_admin or (old is not None and _only_garbage(binding, old)):
        return
    kind: Kind[RoleBinding] | Kind[ClusterRoleBinding] = (
        ROLE_BINDING if isinstance(binding, RoleBinding) else CLUSTER_ROLE_BINDING
    )
    role = binding.role_ref
    plural = "clusterroles" if role.kind == "ClusterRole" else "roles"
    asked = Attributes("bind", RBAC_GROUP, "v1", plural, namespace=namespace, name=role.name)
    if access.decide(user, asked).allowed:
        return
    rules = access.rules_of(role, namespace)
    if rules is None:
        raise _no_such_role(role)
    _refuse(kind, name, _find_missing(rules, user, namespace, access))


def _no_such_role(role: RoleRef) -> ApiError:
    return not_found(CLUSTER_ROLE if role.kind == "ClusterRole" else ROLE, role.name)


def _check_rules(
    kind: Kind[Role] | Kind[ClusterRole], rules: Rules, namespace: str, name: str, user: User, access: Access
) -> None:
    asked = Attributes("escalate", RBAC_GROUP, "v1", kind.plural, namespace=namespace, name=name)
    if not access.decide(user, asked).allowed:
        _refuse(kind, name, _find_missing(rules, user, namespace, access))


def _refuse(
    kind: Kind[Role] | Kind[ClusterRole] | Kind[RoleBinding] | Kind[ClusterRoleBinding], name: str, why: str
) -> None:
    if why:
        raise forbidden(kind, name, why)


def _find_missing(rules: Rules, user: User, namespace: str, access: Access) -> str:
    """Return the sentence that names what of the rules the user doesn't hold, "" if all is held."""
    held, unresolved = access.rules_for(user, namespace)
    missing = find_uncovered(held, rules)
    if not missing:
        return ""
    shown = "\n".join(sorted({render_rule(rule) for rule in compact(missing)}))
    said = (
        f'user "{user.name}" (groups={render_texts(user.groups)}) is attempting to grant RBAC permissions'
        f" not currently held:\n{shown}"
    )
    return f"{said}; resolution errors: [{unresolved}]" if unresolved else said


def _only_garbage(
    new: Role | ClusterRole | RoleBinding | ClusterRoleBinding,
    old: Role | ClusterRole | RoleBinding | ClusterRoleBinding,
) -> bool:
    """Whether only what garbage collection writes has changed: owner references and finalizers."""
    kept = replace(
        new.metadata,
        owner_references=old.metadata.owner_references,
        finalizers=old.metadata.finalizers,
        managed_fields=old.metadata.managed_fields,
        resource_version=old.metadata.resource_version,
    )
    return replace(new, metadata=kept) == old
