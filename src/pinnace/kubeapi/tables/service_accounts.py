"""The table of ServiceAccounts."""

from pinnace.kube.objects.core_v1 import ServiceAccount
from pinnace.kubeapi.tables.columns import AGE, NAME, Cell, Column, Table, render_since


def _cells(account: ServiceAccount, now: float) -> tuple[Cell, ...]:
    meta = account.metadata
    return meta.name, len(account.secrets), render_since(meta.creation_timestamp, now)


TABLE = Table(columns=(NAME, Column("Secrets", "How many Secrets it names."), AGE), cells=_cells)
