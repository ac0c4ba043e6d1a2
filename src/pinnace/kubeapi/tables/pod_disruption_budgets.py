"""The table of PodDisruptionBudgets. Source: Kubernetes v1.36, pkg/printers/internalversion/printers.go."""

from pinnace.kube.objects.policy_v1 import PodDisruptionBudget
from pinnace.kubeapi.tables.columns import AGE, NAME, Cell, Column, Table, render_since

_ABSENT = "N/A"


def _cells(budget: PodDisruptionBudget, now: float) -> tuple[Cell, ...]:
    spec = budget.spec
    return (
        budget.metadata.name,
        _ABSENT if spec.min_available is None else str(spec.min_available),
        _ABSENT if spec.max_unavailable is None else str(spec.max_unavailable),
        budget.status.disruptions_allowed or 0,
        render_since(budget.metadata.creation_timestamp, now),
    )


TABLE = Table(
    columns=(
        NAME,
        Column("Min Available", "How many pods must stay."),
        Column("Max Unavailable", "How many pods may be missing."),
        Column("Allowed Disruptions", "How many pods may be evicted now.", type="integer"),
        AGE,
    ),
    cells=_cells,
)
