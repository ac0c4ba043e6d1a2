"""Keeps ClusterRoles that are put together from others: their rules are those of all roles that their selectors name.

`aggregate` is pure; the controller carries it out. Invariant: a role without selectors is never touched.
Source: Kubernetes v1.36, pkg/controller/clusterroleaggregation.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from pinnace.api.facade import Api, ObjectChange
from pinnace.base.errors import ApiError, Reason
from pinnace.controllers.runner import ObjectKey, Requeue, Source
from pinnace.kube.kinds import CLUSTER_ROLE
from pinnace.kube.objects.rbac_v1 import ClusterRole, PolicyRule
from pinnace.kube.selectors import selector_of

_encode = msgspec.json.Encoder().encode


def aggregate(role: ClusterRole, others: Iterable[ClusterRole]) -> ClusterRole:
    """Return the role with the rules of those that it is put together from, each rule once, in the order of their names."""
    if role.aggregation_rule is None:
        return role
    rules: dict[bytes, PolicyRule] = {}
    name = role.metadata.name
    selectors = [selector_of(one) for one in role.aggregation_rule.cluster_role_selectors]
    ordered = sorted((one for one in others if one.metadata.name != name), key=lambda one: one.metadata.name)
    for selector in selectors:
        for other in ordered:
            if selector(other.metadata.labels):
                for rule in other.rules:
                    rules.setdefault(_encode(rule), rule)
    wanted = tuple(rules.values())
    return role if wanted == role.rules else replace(role, rules=wanted)


class ClusterRoleAggregationController:
    """Puts roles together whenever any ClusterRole changes."""

    name = "clusterrole-aggregation"
    kind = CLUSTER_ROLE

    def __init__(self, api: Api) -> None:
        self._api = api
        self.sources = (Source(CLUSTER_ROLE, self._keys),)

    def _keys(self, change: ObjectChange[Any]) -> Iterator[ObjectKey]:
        for role in self._api.list(CLUSTER_ROLE):
            if role.aggregation_rule is not None:
                yield ObjectKey("", role.metadata.name)

    async def reconcile(self, key: ObjectKey) -> Requeue | None:
        role = self._api.find(CLUSTER_ROLE, "", key.name)
        if role is None or role.aggregation_rule is None:
            return None
        try:
            await self._api.change(
                CLUSTER_ROLE, "", key.name, lambda found: aggregate(found, self._api.list(CLUSTER_ROLE))
            )
        except ApiError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise
        return None
