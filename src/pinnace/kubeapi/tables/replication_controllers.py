"""The table of ReplicationControllers. Source: Kubernetes v1.36, pkg/printers/internalversion/printers.go."""

from pinnace.kube.objects.core_v1 import ReplicationController
from pinnace.kubeapi.tables.columns import (
    AGE,
    CONTAINERS,
    IMAGES,
    NAME,
    SELECTOR,
    Cell,
    Column,
    Table,
    render_containers,
    render_labels,
    render_since,
)


def _cells(controller: ReplicationController, now: float) -> tuple[Cell, ...]:
    spec, status = controller.spec, controller.status
    return (
        controller.metadata.name,
        spec.replicas or 0,
        status.replicas,
        status.ready_replicas or 0,
        render_since(controller.metadata.creation_timestamp, now),
        *render_containers(spec.template.spec.containers),
        render_labels(spec.selector),
    )


TABLE = Table(
    columns=(
        NAME,
        Column("Desired", "How many pods are wanted.", type="integer"),
        Column("Current", "How many pods there are.", type="integer"),
        Column("Ready", "How many pods are ready.", type="integer"),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    cells=_cells,
)
