"""The table of Namespaces."""

from pinnace.kube.objects.core_v1 import Namespace
from pinnace.kubeapi.tables.columns import AGE, NAME, Cell, Column, Table, render_since


def _cells(namespace: Namespace, now: float) -> tuple[Cell, ...]:
    meta = namespace.metadata
    return meta.name, namespace.status.phase, render_since(meta.creation_timestamp, now)


TABLE = Table(columns=(NAME, Column("Status", "Active or Terminating."), AGE), cells=_cells)
