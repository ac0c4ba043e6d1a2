"""The table of ConfigMaps."""

from pinnace.kube.objects.core_v1 import ConfigMap
from pinnace.kubeapi.tables.columns import AGE, NAME, Cell, Column, Table, render_since


def _cells(config_map: ConfigMap, now: float) -> tuple[Cell, ...]:
    meta = config_map.metadata
    return (
        meta.name,
        len(config_map.data) + len(config_map.binary_data),
        render_since(meta.creation_timestamp, now),
    )


TABLE = Table(columns=(NAME, Column("Data", "How many entries there are."), AGE), cells=_cells)
