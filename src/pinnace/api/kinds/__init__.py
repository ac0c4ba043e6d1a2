"""The table of kinds that the write path knows in depth: one row each, from one file each.

A kind without a row is kept as it comes, with its metadata checked. Invariant: one row per stored resource.
"""

from functools import cache
from typing import Any, TypeVar

from pinnace.api.custom.strategies import custom_strategy
from pinnace.api.kinds import (
    cluster_role,
    cluster_role_binding,
    config_map,
    controller_revision,
    cron_job,
    custom_resource_definition,
    daemon_set,
    deployment,
    endpoint_slice,
    endpoints,
    event,
    horizontal_pod_autoscaler,
    ingress,
    ingress_class,
    job,
    lease,
    limit_range,
    namespace,
    network_policy,
    node,
    persistent_volume,
    persistent_volume_claim,
    pod,
    pod_disruption_budget,
    pod_template,
    priority_class,
    replica_set,
    replication_controller,
    resource_quota,
    role,
    role_binding,
    runtime_class,
    secret,
    service,
    service_account,
    stateful_set,
    storage_class,
    validating_admission_policy,
)
from pinnace.api.strategy import Strategy
from pinnace.kube.kinds import Kind

T = TypeVar("T")

ROWS: tuple[Strategy[Any], ...] = (
    cluster_role.STRATEGY,
    cluster_role_binding.STRATEGY,
    config_map.STRATEGY,
    custom_resource_definition.STRATEGY,
    validating_admission_policy.POLICY,
    validating_admission_policy.BINDING,
    controller_revision.STRATEGY,
    cron_job.STRATEGY,
    daemon_set.STRATEGY,
    deployment.STRATEGY,
    endpoint_slice.STRATEGY,
    endpoints.STRATEGY,
    event.STRATEGY,
    horizontal_pod_autoscaler.STRATEGY,
    ingress.STRATEGY,
    ingress_class.STRATEGY,
    job.STRATEGY,
    lease.STRATEGY,
    limit_range.STRATEGY,
    namespace.STRATEGY,
    network_policy.STRATEGY,
    node.STRATEGY,
    persistent_volume.STRATEGY,
    persistent_volume_claim.STRATEGY,
    pod.STRATEGY,
    pod_disruption_budget.STRATEGY,
    pod_template.STRATEGY,
    priority_class.STRATEGY,
    replica_set.STRATEGY,
    replication_controller.STRATEGY,
    resource_quota.STRATEGY,
    role.STRATEGY,
    role_binding.STRATEGY,
    runtime_class.STRATEGY,
    secret.STRATEGY,
    service.STRATEGY,
    service_account.STRATEGY,
    stateful_set.STRATEGY,
    storage_class.STRATEGY,
)

_BY_RESOURCE = {row.kind.resource: row for row in ROWS}


@cache
def strategy_of(kind: Kind[T]) -> Strategy[T]:
    """Return the kind's row, a plain one when it has none."""
    if kind.custom is not None:
        return custom_strategy(kind)
    return _BY_RESOURCE.get(kind.resource) or Strategy(kind=kind)
