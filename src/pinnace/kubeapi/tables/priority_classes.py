"""The table of PriorityClasses. Source: Kubernetes v1.36, pkg/printers/internalversion/printers.go."""

from pinnace.kube.objects.scheduling_v1 import PriorityClass
from pinnace.kubeapi.tables.columns import AGE, NAME, Cell, Column, Table, render_since


def _cells(priority: PriorityClass, now: float) -> tuple[Cell, ...]:
    return (
        priority.metadata.name,
        priority.value or 0,
        bool(priority.global_default),
        render_since(priority.metadata.creation_timestamp, now),
        priority.preemption_policy,
    )


TABLE = Table(
    columns=(
        NAME,
        Column("Value", "The priority of its pods.", type="integer"),
        Column("Global-Default", "Whether it is for pods that name no class.", type="boolean"),
        AGE,
        Column("PreemptionPolicy", "Whether its pods push out others."),
    ),
    cells=_cells,
)
