"""Keeps callers from granting what they don't hold: one row for roles and bindings.

It runs before the kinds' own validation, as a real server's does. Pure, given the authorizer.
"""

from typing import Any

from pinnace.api.access.escalation import check_binding, check_cluster_role, check_role
from pinnace.api.admission.attempt import Admission, Attempt
from pinnace.base.errors import Bug
from pinnace.kube.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING

_CHECKS: dict[str, Any] = {
    ROLE.resource: check_role,
    CLUSTER_ROLE.resource: check_cluster_role,
    ROLE_BINDING.resource: check_binding,
    CLUSTER_ROLE_BINDING.resource: check_binding,
}


def check_escalation(attempt: Attempt) -> Any:
    """Return the object as it is. Raises: ApiError Forbidden, NotFound for the role of a binding."""
    user = attempt.context.caller
    if not user.is_admin:
        if attempt.access is None:
            raise Bug("nobody here can say what a caller holds")
        check = _CHECKS[attempt.kind.resource]
        check(attempt.object, attempt.old, attempt.namespace, attempt.name, user, attempt.access)
    return attempt.object


ROW = Admission(name="RBACEscalation", mutate=check_escalation, resources=frozenset(_CHECKS))
