"""The table of StatefulSets. Source: Kubernetes v1.36, pkg/printers/internalversion/printers.go, printStatefulSet."""

from pinnace.kube.objects.apps_v1 import StatefulSet
from pinnace.kubeapi.tables.columns import (
    AGE,
    CONTAINERS,
    IMAGES,
    NAME,
    Cell,
    Column,
    Table,
    render_containers,
    render_since,
)


def _cells(stateful_set: StatefulSet, now: float) -> tuple[Cell, ...]:
    spec = stateful_set.spec
    return (
        stateful_set.metadata.name,
        f"{stateful_set.status.ready_replicas or 0}/{spec.replicas or 0}",
        render_since(stateful_set.metadata.creation_timestamp, now),
        *render_containers(spec.template.spec.containers),
    )


TABLE = Table(
    columns=(NAME, Column("Ready", "How many of the wanted pods are ready."), AGE, CONTAINERS, IMAGES),
    cells=_cells,
)
