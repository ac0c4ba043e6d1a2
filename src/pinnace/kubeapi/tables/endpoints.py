"""The table of Endpoints."""

from pinnace.kube.objects.core_v1 import Endpoints
from pinnace.kubeapi.tables.columns import AGE, NAME, Cell, Column, Table, render_since, render_some


def _list_addresses(endpoints: Endpoints) -> list[str]:
    found: list[str] = []
    for subset in endpoints.subsets:
        addresses = [address.ip for address in subset.addresses]
        if not subset.ports:
            found += addresses
        for port in subset.ports:
            found += [_join(address, port.port) for address in addresses]
    return found


def _join(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _cells(endpoints: Endpoints, now: float) -> tuple[Cell, ...]:
    return (
        endpoints.metadata.name,
        render_some(_list_addresses(endpoints)),
        render_since(endpoints.metadata.creation_timestamp, now),
    )


TABLE = Table(columns=(NAME, Column("Endpoints", "Where the Service's pods answer."), AGE), cells=_cells)
