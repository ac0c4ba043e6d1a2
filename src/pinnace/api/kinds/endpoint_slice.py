"""The EndpointSlice's row. Pure. Source: Kubernetes v1.36, pkg/apis/discovery/validation and v1/defaults.go."""

from msgspec.structs import replace

from pinnace.api.strategy import Strategy
from pinnace.api.validation.addresses import validate_endpoint_ip
from pinnace.api.validation.containers import PROTOCOLS
from pinnace.api.validation.names import check_label_name, check_subdomain
from pinnace.api.validation.problems import Problems
from pinnace.kube.kinds import ENDPOINT_SLICE
from pinnace.kube.objects.discovery_v1 import EndpointPort, EndpointSlice

_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
_ADDRESSES_MOST = 100
_ENDPOINTS_MOST = 1000
_PORTS_MOST = 20000


def _default(piece: EndpointSlice) -> EndpointSlice:
    if all(port.protocol for port in piece.ports):
        return piece
    return replace(piece, ports=tuple(replace(port, protocol=port.protocol or "TCP") for port in piece.ports))


def _validate(piece: EndpointSlice, problems: Problems) -> None:
    problems.one_of("addressType", piece.address_type, _ADDRESS_TYPES, required=True)
    if len(piece.endpoints) > _ENDPOINTS_MOST:
        problems.too_many("endpoints", len(piece.endpoints), _ENDPOINTS_MOST)
    for index, endpoint in enumerate(piece.endpoints):
        path = f"endpoints[{index}]"
        if not endpoint.addresses:
            problems.required(f"{path}.addresses", "must contain at least 1 address")
        elif len(endpoint.addresses) > _ADDRESSES_MOST:
            problems.too_many(f"{path}.addresses", len(endpoint.addresses), _ADDRESSES_MOST)
        for at, address in enumerate(endpoint.addresses):
            _validate_address(piece.address_type, address, f"{path}.addresses[{at}]", problems)
        if endpoint.hostname:
            problems.each(f"{path}.hostname", endpoint.hostname, check_label_name(endpoint.hostname))
    _validate_ports(piece.ports, problems)


def _validate_address(kind: str, address: str, path: str, problems: Problems) -> None:
    if kind == "FQDN":
        problems.each(path, address, check_subdomain(address))
    elif kind in _ADDRESS_TYPES:
        validate_endpoint_ip(address, path, problems)
        if (":" in address) != (kind == "IPv6"):
            problems.invalid(path, address, f"must be an {kind} address")


def _validate_ports(ports: tuple[EndpointPort, ...], problems: Problems) -> None:
    if len(ports) > _PORTS_MOST:
        problems.too_many("ports", len(ports), _PORTS_MOST)
    names: set[str] = set()
    for index, port in enumerate(ports):
        path = f"ports[{index}]"
        if port.name:
            problems.each(f"{path}.name", port.name, check_label_name(port.name))
        if port.name in names:
            problems.duplicate(f"{path}.name", port.name)
        names.add(port.name)
        problems.one_of(f"{path}.protocol", port.protocol, PROTOCOLS, required=True)


def _validate_update(new: EndpointSlice, old: EndpointSlice, problems: Problems) -> None:
    if new.address_type != old.address_type:
        problems.immutable("addressType", new.address_type)


STRATEGY = Strategy(
    kind=ENDPOINT_SLICE,
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    generation=True,
    unconditional_update=True,
)
