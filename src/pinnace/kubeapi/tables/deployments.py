"""The table of Deployments."""

from pinnace.kube.objects.apps_v1 import Deployment
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


def _cells(deployment: Deployment, now: float) -> tuple[Cell, ...]:
    spec, status = deployment.spec, deployment.status
    return (
        deployment.metadata.name,
        f"{status.ready_replicas or 0}/{spec.replicas or 0}",
        status.updated_replicas or 0,
        status.available_replicas or 0,
        render_since(deployment.metadata.creation_timestamp, now),
        *render_containers(spec.template.spec.containers),
        render_selector(spec.selector),
    )


TABLE = Table(
    columns=(
        NAME,
        Column("Ready", "How many of the wanted pods are ready."),
        Column("Up-to-date", "How many pods have the current template."),
        Column("Available", "How many pods have been ready for long enough."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    cells=_cells,
)
