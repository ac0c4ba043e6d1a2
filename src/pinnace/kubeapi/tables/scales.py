"""The table of the scale view, whatever kind it is a view of. Source: Kubernetes v1.36, pkg/printers/internalversion."""

from pinnace.kube.objects.autoscaling_v1 import Scale
from pinnace.kubeapi.tables.columns import AGE, NAME, Cell, Column, Table, render_since


def _cells(scale: Scale, now: float) -> tuple[Cell, ...]:
    return (
        scale.metadata.name,
        scale.spec.replicas or 0,
        scale.status.replicas or 0,
        render_since(scale.metadata.creation_timestamp, now),
    )


TABLE = Table(
    columns=(
        NAME,
        Column("Desired", "How many pods are wanted.", type="integer"),
        Column("Available", "How many pods there are.", type="integer"),
        AGE,
    ),
    cells=_cells,
)
