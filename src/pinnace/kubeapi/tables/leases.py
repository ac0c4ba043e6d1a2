"""The table of Leases."""

from pinnace.kube.objects.coordination_v1 import Lease
from pinnace.kubeapi.tables.columns import AGE, NAME, Cell, Column, Table, render_since


def _cells(lease: Lease, now: float) -> tuple[Cell, ...]:
    meta = lease.metadata
    return meta.name, lease.spec.holder_identity, render_since(meta.creation_timestamp, now)


TABLE = Table(columns=(NAME, Column("Holder", "Who holds it now."), AGE), cells=_cells)
