"""The tables that `kubectl get` prints, one file per kind; the next one is a file and a row here."""

from collections.abc import Mapping
from typing import Any

from pinnace.kube import kinds
from pinnace.kube.kinds import Kind
from pinnace.kubeapi.tables import (
    admission_policies,
    config_maps,
    controller_revisions,
    cron_jobs,
    custom_resource_definitions,
    daemon_sets,
    deployments,
    endpoint_slices,
    endpoints,
    events,
    horizontal_pod_autoscalers,
    ingresses,
    jobs,
    leases,
    namespaces,
    network_policies,
    nodes,
    persistent_volumes,
    pod_disruption_budgets,
    pod_templates,
    pods,
    priority_classes,
    quotas,
    replica_sets,
    replication_controllers,
    role_bindings,
    roles,
    runtime_classes,
    scales,
    secrets,
    service_accounts,
    services,
    stateful_sets,
    storage_classes,
)
from pinnace.kubeapi.tables.columns import AGE, NAME, Table, render_since
from pinnace.kubeapi.tables.custom import custom_table

# By the store's resource: all versions of a kind have one table, made from the stored one.
TABLES: Mapping[str, Table[Any]] = {
    kinds.CUSTOM_RESOURCE_DEFINITION.resource: custom_resource_definitions.TABLE,
    kinds.VALIDATING_ADMISSION_POLICY.resource: admission_policies.TABLE,
    kinds.VALIDATING_ADMISSION_POLICY_BINDING.resource: admission_policies.BINDINGS,
    kinds.CONFIG_MAP.resource: config_maps.TABLE,
    kinds.CONTROLLER_REVISION.resource: controller_revisions.TABLE,
    kinds.CRON_JOB.resource: cron_jobs.TABLE,
    kinds.DAEMON_SET.resource: daemon_sets.TABLE,
    kinds.DEPLOYMENT.resource: deployments.TABLE,
    kinds.ENDPOINTS.resource: endpoints.TABLE,
    kinds.ENDPOINT_SLICE.resource: endpoint_slices.TABLE,
    kinds.EVENT.resource: events.TABLE,
    kinds.HORIZONTAL_POD_AUTOSCALER.resource: horizontal_pod_autoscalers.TABLE,
    kinds.INGRESS.resource: ingresses.TABLE,
    kinds.INGRESS_CLASS.resource: ingresses.CLASSES,
    kinds.JOB.resource: jobs.TABLE,
    kinds.LEASE.resource: leases.TABLE,
    kinds.LIMIT_RANGE.resource: quotas.RANGES,
    kinds.NAMESPACE.resource: namespaces.TABLE,
    kinds.NETWORK_POLICY.resource: network_policies.TABLE,
    kinds.NODE.resource: nodes.TABLE,
    kinds.PERSISTENT_VOLUME.resource: persistent_volumes.TABLE,
    kinds.PERSISTENT_VOLUME_CLAIM.resource: persistent_volumes.CLAIMS,
    kinds.POD.resource: pods.TABLE,
    kinds.POD_DISRUPTION_BUDGET.resource: pod_disruption_budgets.TABLE,
    kinds.POD_TEMPLATE.resource: pod_templates.TABLE,
    kinds.PRIORITY_CLASS.resource: priority_classes.TABLE,
    kinds.REPLICATION_CONTROLLER.resource: replication_controllers.TABLE,
    kinds.REPLICA_SET.resource: replica_sets.TABLE,
    kinds.RESOURCE_QUOTA.resource: quotas.TABLE,
    kinds.RUNTIME_CLASS.resource: runtime_classes.TABLE,
    kinds.CLUSTER_ROLE.resource: roles.TABLE,
    kinds.CLUSTER_ROLE_BINDING.resource: role_bindings.TABLE,
    kinds.ROLE.resource: roles.TABLE,
    kinds.ROLE_BINDING.resource: role_bindings.TABLE,
    kinds.SCALE.resource: scales.TABLE,
    kinds.SECRET.resource: secrets.TABLE,
    kinds.SERVICE.resource: services.TABLE,
    kinds.SERVICE_ACCOUNT.resource: service_accounts.TABLE,
    kinds.STATEFUL_SET.resource: stateful_sets.TABLE,
    kinds.STORAGE_CLASS.resource: storage_classes.TABLE,
}

# Source: Kubernetes v1.36, apiserver/pkg/registry/rest/table.go: kinds without columns of their own.
PLAIN: Table[Any] = Table(
    columns=(NAME, AGE),
    cells=lambda obj, now: (obj.metadata.name, render_since(obj.metadata.creation_timestamp, now)),
)


def table_of(kind: Kind[Any]) -> Table[Any]:
    """Return the kind's table; one of name and age where it has none of its own."""
    return custom_table(kind) if kind.custom is not None else TABLES.get(kind.resource, PLAIN)
