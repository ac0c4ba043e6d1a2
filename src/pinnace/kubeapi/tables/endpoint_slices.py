"""The table of EndpointSlices."""

from pinnace.kube.objects.discovery_v1 import EndpointPort, EndpointSlice
from pinnace.kubeapi.tables.columns import AGE, NAME, UNSET, Cell, Column, Table, render_since, render_some


def _render_port(port: EndpointPort) -> str:
    if port.port is not None:
        return str(port.port)
    return port.name or "*"


def _cells(slice_: EndpointSlice, now: float) -> tuple[Cell, ...]:
    addresses = [address for endpoint in slice_.endpoints for address in endpoint.addresses]
    return (
        slice_.metadata.name,
        slice_.address_type,
        render_some([_render_port(port) for port in slice_.ports], empty=UNSET),
        render_some(addresses, empty=UNSET),
        render_since(slice_.metadata.creation_timestamp, now),
    )


TABLE = Table(
    columns=(
        NAME,
        Column("AddressType", "What kind of addresses the slice holds."),
        Column("Ports", "The ports of each endpoint."),
        Column("Endpoints", "The addresses."),
        AGE,
    ),
    cells=_cells,
)
