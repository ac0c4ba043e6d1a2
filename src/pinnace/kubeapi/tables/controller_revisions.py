"""The table of ControllerRevisions. Source: Kubernetes v1.36, pkg/printers/internalversion, printControllerRevision."""

from pinnace.kube.objects.apps_v1 import ControllerRevision
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.kubeapi.tables.columns import AGE, NAME, NONE, Cell, Column, Table, render_since


def render_controller(meta: ObjectMeta) -> str:
    """Return who controls an object. Example: "daemonset.apps/web"."""
    for owner in meta.owner_references:
        if owner.controller:
            group = owner.api_version.rpartition("/")[0]
            kind = f"{owner.kind}.{group}" if group else owner.kind
            return f"{kind.lower()}/{owner.name}"
    return NONE


def _cells(revision: ControllerRevision, now: float) -> tuple[Cell, ...]:
    return (
        revision.metadata.name,
        render_controller(revision.metadata),
        revision.revision or 0,
        render_since(revision.metadata.creation_timestamp, now),
    )


TABLE = Table(
    columns=(
        NAME,
        Column("Controller", "Who keeps the state."),
        Column("Revision", "Which of the states it is.", type="integer"),
        AGE,
    ),
    cells=_cells,
)
