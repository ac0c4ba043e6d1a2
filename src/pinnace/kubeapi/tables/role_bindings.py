"""The table of RoleBindings and ClusterRoleBindings. Source: Kubernetes v1.36, pkg/printers/internalversion, printRoleBinding."""

from collections.abc import Iterable

from pinnace.kube.objects.rbac_v1 import ClusterRoleBinding, RoleBinding, Subject
from pinnace.kubeapi.tables.columns import AGE, NAME, Cell, Column, Table, render_since


def _cells(binding: RoleBinding | ClusterRoleBinding, now: float) -> tuple[Cell, ...]:
    meta, role = binding.metadata, binding.role_ref
    subjects = binding.subjects
    return (
        meta.name,
        f"{role.kind}/{role.name}",
        render_since(meta.creation_timestamp, now),
        _render(subjects, "User"),
        _render(subjects, "Group"),
        _render(subjects, "ServiceAccount"),
    )


def _render(subjects: Iterable[Subject], kind: str) -> str:
    """Return the names of the subjects of one kind; those of accounts with their namespace."""
    return ", ".join(
        f"{one.namespace}/{one.name}" if kind == "ServiceAccount" else one.name
        for one in subjects
        if one.kind == kind
    )


TABLE = Table(
    columns=(
        NAME,
        Column("Role", "The role that is granted."),
        AGE,
        Column("Users", "The users that have it.", priority=1),
        Column("Groups", "The groups that have it.", priority=1),
        Column("ServiceAccounts", "The service accounts that have it.", priority=1),
    ),
    cells=_cells,
)
