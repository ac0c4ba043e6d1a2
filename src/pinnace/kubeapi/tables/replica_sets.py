"""The table of ReplicaSets."""

from pinnace.kube.objects.apps_v1 import ReplicaSet
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
    render_selector,
    render_since,
)


def _cells(replica_set: ReplicaSet, now: float) -> tuple[Cell, ...]:
    spec, status = replica_set.spec, replica_set.status
    return (
        replica_set.metadata.name,
        spec.replicas or 0,
        status.replicas or 0,
        status.ready_replicas or 0,
        render_since(replica_set.metadata.creation_timestamp, now),
        *render_containers(spec.template.spec.containers),
        render_selector(spec.selector),
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
