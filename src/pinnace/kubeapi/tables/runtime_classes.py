"""The table of RuntimeClasses. Source: Kubernetes v1.36, pkg/printers/internalversion/printers.go."""

from pinnace.kube.objects.node_v1 import RuntimeClass
from pinnace.kubeapi.tables.columns import AGE, NAME, Cell, Column, Table, render_since


def _cells(runtime: RuntimeClass, now: float) -> tuple[Cell, ...]:
    meta = runtime.metadata
    return meta.name, runtime.handler, render_since(meta.creation_timestamp, now)


TABLE = Table(columns=(NAME, Column("Handler", "How the node calls the runtime."), AGE), cells=_cells)
