"""Lets objects only into namespaces that are there and not on their way out.

The first row of the chain. Pure. Source: Kubernetes v1.36, apiserver/pkg/admission/plugin/namespace/lifecycle.
"""

from typing import Any

from pinnace.api.admission.attempt import Admission, Attempt, Operation
from pinnace.api.errors import forbidden, not_found
from pinnace.base.errors import Cause
from pinnace.kube.kinds import NAMESPACE

IMMORTAL = frozenset({"default", "kube-system", "kube-public"})  # Source: same file, NewLifecycle


def admit_to_namespace(attempt: Attempt) -> Any:
    """Return the object as it is, unless nothing can be created in its namespace.

    Raises: ApiError NotFound when there is no such namespace, Forbidden when it is being terminated.
    """
    kind, namespace, name, facts = attempt.kind, attempt.namespace, attempt.name, attempt.facts
    if not namespace or not kind.namespaced:
        return attempt.object
    found = facts.find(NAMESPACE, "", namespace)
    if found is None:
        raise not_found(NAMESPACE, namespace)
    if found.metadata.deletion_timestamp or found.status.phase == "Terminating":
        why = f"unable to create new content in namespace {namespace} because it is being terminated"
        cause = Cause(
            "NamespaceTerminating", f"namespace {namespace} is being terminated", "metadata.namespace"
        )
        raise forbidden(kind, name, why, causes=(cause,))
    return attempt.object


def guard_immortal(attempt: Attempt) -> None:
    """Raises: ApiError Forbidden for the deletion of a namespace that every cluster has."""
    if attempt.name in IMMORTAL:
        raise forbidden(NAMESPACE, attempt.name, "this namespace may not be deleted")


ROW = Admission(
    name="NamespaceLifecycle", mutate=admit_to_namespace, operations=frozenset({Operation.CREATE})
)
DELETE_ROW = Admission(
    name="NamespaceLifecycle",
    validate=guard_immortal,
    resources=frozenset({NAMESPACE.resource}),
    operations=frozenset({Operation.DELETE}),
)
