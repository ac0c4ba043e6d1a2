"""Lets objects only into namespaces that are there and not on their way out.

Pure. Source: Kubernetes v1.36, apiserver/pkg/admission/plugin/namespace/lifecycle.
"""

from typing import Any

from pinnace.api.errors import forbidden, not_found
from pinnace.api.strategy import Facts
from pinnace.base.errors import Cause
from pinnace.kube.kinds import NAMESPACE, Kind

IMMORTAL = frozenset({"default", "kube-system", "kube-public"})  # Source: same file, NewLifecycle


def admit_to_namespace(kind: Kind[Any], namespace: str, name: str, facts: Facts) -> None:
    """Raise unless an object can be created in the namespace.

    Raises: ApiError NotFound when there is no such namespace, Forbidden when it is being terminated.
    """
    found = facts.find(NAMESPACE, "", namespace)
    if found is None:
        raise not_found(NAMESPACE, namespace)
    if found.metadata.deletion_timestamp or found.status.phase == "Terminating":
        why = f"unable to create new content in namespace {namespace} because it is being terminated"
        cause = Cause(
            "NamespaceTerminating", f"namespace {namespace} is being terminated", "metadata.namespace"
        )
        raise forbidden(kind, name, why, causes=(cause,))
