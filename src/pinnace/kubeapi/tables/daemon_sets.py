"""The table of DaemonSets. Source: Kubernetes v1.36, pkg/printers/internalversion/printers.go, printDaemonSet."""

from pinnace.kube.objects.apps_v1 import DaemonSet
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
    render_selector,
    render_since,
)


def _cells(daemon_set: DaemonSet, now: float) -> tuple[Cell, ...]:
    spec, status = daemon_set.spec, daemon_set.status
    return (
        daemon_set.metadata.name,
        status.desired_number_scheduled,
        status.current_number_scheduled,
        status.number_ready,
        status.updated_number_scheduled or 0,
        status.number_available or 0,
        render_labels(spec.template.spec.node_selector),
        render_since(daemon_set.metadata.creation_timestamp, now),
        *render_containers(spec.template.spec.containers),
        render_selector(spec.selector),
    )


TABLE = Table(
    columns=(
        NAME,
        Column("Desired", "How many nodes should run a pod.", type="integer"),
        Column("Current", "How many nodes run one.", type="integer"),
        Column("Ready", "How many of the pods are ready.", type="integer"),
        Column("Up-to-date", "How many nodes run a pod of the current template.", type="integer"),
        Column("Available", "How many pods have been ready for long enough.", type="integer"),
        Column("Node Selector", "Which nodes are meant."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    cells=_cells,
)
