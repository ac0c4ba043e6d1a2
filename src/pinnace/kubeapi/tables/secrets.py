"""The table of Secrets: never their values."""

from pinnace.kube.objects.core_v1 import Secret
from pinnace.kubeapi.tables.columns import AGE, NAME, Cell, Column, Table, render_since


def _cells(secret: Secret, now: float) -> tuple[Cell, ...]:
    meta = secret.metadata
    return meta.name, secret.type, len(secret.data), render_since(meta.creation_timestamp, now)


TABLE = Table(
    columns=(
        NAME,
        Column("Type", "What the entries are for."),
        Column("Data", "How many entries there are."),
        AGE,
    ),
    cells=_cells,
)
