"""Makes the default roles and bindings, and brings those that are there up to date. A doer.

Called by the daemon at every start, before the API answers anybody but us. Idempotent. One that can't be written (a
person's admission policy refuses it) is told in the log and keeps neither the others nor the daemon from starting.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from pinnace.api.facade import Api
from pinnace.base.errors import ApiError, Reason
from pinnace.controllers.access.aggregation import aggregate
from pinnace.controllers.access.default_roles import default_bindings, default_roles
from pinnace.controllers.access.reconcile import reconcile_binding, reconcile_role
from pinnace.kube.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING
from pinnace.kube.objects.rbac_v1 import ClusterRole, ClusterRoleBinding

log = logging.getLogger("pinnace.controllers")


async def ensure_default_access(api: Api) -> None:
    """Create what is missing, add what defaults gained. Raises: StoreFailed."""
    roles, bindings = default_roles(), default_bindings()
    await asyncio.gather(*(_try(_ensure_role(api, role), role) for role in roles))
    await asyncio.gather(*(_try(_ensure_binding(api, binding), binding) for binding in bindings))
    parts_first = reversed([role for role in roles if role.aggregation_rule is not None])
    for role in parts_first:
        await _try(_put_together(api, role.metadata.name), role)


async def _put_together(api: Api, name: str) -> None:
    await api.change(CLUSTER_ROLE, "", name, lambda role: aggregate(role, api.list(CLUSTER_ROLE)))


async def _try(write: Coroutine[Any, Any, None], wanted: ClusterRole | ClusterRoleBinding) -> None:
    try:
        await write
    except ApiError as error:
        log.warning("the default %s %s is not as it should be: %s", wanted.kind, wanted.metadata.name, error)


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
