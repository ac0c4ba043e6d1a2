"""The tables of ResourceQuotas and LimitRanges. Source: Kubernetes v1.36, pkg/printers/internalversion/printers.go."""

from pinnace.kube.objects.core_v1 import LimitRange, ResourceQuota
from pinnace.kube.quantity import canonical
from pinnace.kubeapi.tables.columns import AGE, NAME, Cell, Column, Table, render_since


def _cells(quota: ResourceQuota, now: float) -> tuple[Cell, ...]:
    status = quota.status
    requests: list[str] = []
    limits: list[str] = []
    for name in sorted(status.hard):
        text = f"{name}: {canonical(status.used.get(name, 0))}/{canonical(status.hard[name])}"
        (limits if name.startswith("limits.") else requests).append(text)
    meta = quota.metadata
    return meta.name, ", ".join(requests), ", ".join(limits), render_since(meta.creation_timestamp, now)


TABLE = Table(
    columns=(
        NAME,
        Column("Request", "What is used of what may be: requests and objects."),
        Column("Limit", "What is used of what may be: limits."),
        AGE,
    ),
    cells=_cells,
)


def _range_cells(limits: LimitRange, now: float) -> tuple[Cell, ...]:
    return limits.metadata.name, limits.metadata.creation_timestamp


RANGES = Table(columns=(NAME, Column("Created At", "When it was created.")), cells=_range_cells)
