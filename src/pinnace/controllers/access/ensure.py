"""Makes the default roles and bindings, and brings those that are there up to date. A doer.

Called by the daemon at every start, before the API answers anybody but us. Idempotent.
"""

import asyncio

from pinnace.api.facade import Api
from pinnace.base.errors import ApiError, Reason
from pinnace.controllers.access.aggregation import aggregate
from pinnace.controllers.access.default_roles import default_bindings, default_roles
from pinnace.controllers.access.reconcile import reconcile_binding, reconcile_role
from pinnace.kube.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING
from pinnace.kube.objects.rbac_v1 import ClusterRole, ClusterRoleBinding


async def ensure_default_access(api: Api) -> None:
    """Create what is missing, add what defaults gained. Raises: ApiError, StoreFailed."""
    roles = default_roles()
    await asyncio.gather(*(_ensure_role(api, role) for role in roles))
    await asyncio.gather(*(_ensure_binding(api, binding) for binding in default_bindings()))
    for name in ("view", "edit", "admin"):  # in the order in which they are made of each other
        await api.change(CLUSTER_ROLE, "", name, lambda role: aggregate(role, api.list(CLUSTER_ROLE)))


async def _ensure_role(api: Api, wanted: ClusterRole) -> None:
    name = wanted.metadata.name
    if api.find(CLUSTER_ROLE, "", name) is None and await _create(api, wanted):
        return
    await api.change(CLUSTER_ROLE, "", name, lambda present: reconcile_role(present, wanted))


async def _ensure_binding(api: Api, wanted: ClusterRoleBinding) -> None:
    name = wanted.metadata.name
    present = api.find(CLUSTER_ROLE_BINDING, "", name)
    if present is not None and reconcile_binding(present, wanted) is None:
        await api.delete(CLUSTER_ROLE_BINDING, "", name, uid=present.metadata.uid)
        present = None
    if present is None and await _create(api, wanted):
        return
    await api.change(CLUSTER_ROLE_BINDING, "", name, lambda found: reconcile_binding(found, wanted) or found)


async def _create(api: Api, wanted: ClusterRole | ClusterRoleBinding) -> bool:
    try:
        await api.create(wanted)
    except ApiError as error:
        if error.reason is not Reason.ALREADY_EXISTS:
            raise
        return False
    return True
