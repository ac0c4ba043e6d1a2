"""The table of PodTemplates. Source: Kubernetes v1.36, pkg/printers/internalversion/printers.go, printPodTemplate."""

from pinnace.kube.objects.core_v1 import PodTemplate
from pinnace.kubeapi.tables.columns import NAME, Cell, Column, Table, render_containers, render_labels


def _cells(template: PodTemplate, now: float) -> tuple[Cell, ...]:
    return (
        template.metadata.name,
        *render_containers(template.template.spec.containers),
        render_labels(template.template.metadata.labels),
    )


TABLE = Table(
    columns=(
        NAME,
        Column("Containers", "The template's containers."),
        Column("Images", "The images of the template's containers."),
        Column("Pod Labels", "The labels of the template's pods."),
    ),
    cells=_cells,
)
