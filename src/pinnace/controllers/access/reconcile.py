"""Decides what becomes of a default role or binding that is there already. Pure.

What a default says is put in, what a person added stays; an object whose annotation
`rbac.authorization.kubernetes.io/autoupdate` says "false" is left alone.
Source: component-helpers v1.36, auth/rbac/reconciliation.
"""

from typing import TypeVar

from msgspec.structs import replace

from pinnace.api.access.rules import find_uncovered
from pinnace.controllers.access.default_roles import AUTOUPDATE
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.kube.objects.rbac_v1 import AggregationRule, ClusterRole, ClusterRoleBinding

T = TypeVar("T")


def is_protected(meta: ObjectMeta) -> bool:
    """Say whether a person keeps the object from being updated."""
    return meta.annotations.get(AUTOUPDATE) == "false"


def reconcile_role(present: ClusterRole, wanted: ClusterRole) -> ClusterRole:
    """Return the role as it is to be."""
    if is_protected(present.metadata):
        return present
    missing = find_uncovered(present.rules, wanted.rules) if wanted.aggregation_rule is None else ()
    return replace(
        present,
        metadata=_merge_meta(present.metadata, wanted.metadata),
        rules=(*present.rules, *missing),
        aggregation_rule=_merge_aggregation(present.aggregation_rule, wanted.aggregation_rule),
    )


def reconcile_binding(present: ClusterRoleBinding, wanted: ClusterRoleBinding) -> ClusterRoleBinding | None:
    """Return the binding as it is to be, None when it must be made anew because it binds another role."""
    if is_protected(present.metadata):
        return present
    if present.role_ref != wanted.role_ref:
        return None
    missing = tuple(subject for subject in wanted.subjects if subject not in present.subjects)
    return replace(
        present,
        metadata=_merge_meta(present.metadata, wanted.metadata),
        subjects=(*present.subjects, *missing),
    )


def _merge_meta(present: ObjectMeta, wanted: ObjectMeta) -> ObjectMeta:
    return replace(
        present,
        labels={**wanted.labels, **present.labels},
        annotations={**wanted.annotations, **present.annotations},
    )


def _merge_aggregation(
    present: AggregationRule | None, wanted: AggregationRule | None
) -> AggregationRule | None:
    if wanted is None or present is None:
        return wanted if present is None else present
    missing = tuple(one for one in wanted.cluster_role_selectors if one not in present.cluster_role_selectors)
    selectors = (*present.cluster_role_selectors, *missing)
    return AggregationRule(cluster_role_selectors=selectors)
