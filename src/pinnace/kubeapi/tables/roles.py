"""The table of Roles and ClusterRoles: when they were made. Source: Kubernetes v1.36, apiserver/pkg/registry/rest/table.go."""

from pinnace.kube.objects.rbac_v1 import ClusterRole, Role
from pinnace.kubeapi.tables.columns import NAME, Cell, Column, Table


def _cells(role: Role | ClusterRole, now: float) -> tuple[Cell, ...]:
    return role.metadata.name, role.metadata.creation_timestamp


TABLE = Table(columns=(NAME, Column("Created At", "When the object was created.", type="date")), cells=_cells)
