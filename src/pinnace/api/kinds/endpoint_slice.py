"""The EndpointSlice's row. Pure. Source: Kubernetes v1.36, pkg/apis/discovery/validation and v1/defaults.go."""

from msgspec.structs import replace

from pinnace.api.strategy import Strategy
from pinnace.api.validation.addresses import validate_endpoint_ip
from pinnace.api.validation.containers import PROTOCOLS
from pinnace.api.validation.names import (
    check_label_name,
    check_label_value,
    check_qualified_name,
    check_subdomain,
)
from pinnace.api.validation.problems import Problems
from pinnace.kube.kinds import ENDPOINT_SLICE
from pinnace.kube.objects.discovery_v1 import EndpointHints, EndpointPort, EndpointSlice

_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
_ADDRESSES_MOST = 100
_ENDPOINTS_MOST = 1000
_PORTS_MOST = 20000
_ZONES_MOST = 8


def _default(piece: EndpointSlice) -> EndpointSlice:
    if all(port.protocol and port.name is not None for port in piece.ports):
        return piece
    ports = (replace(port, name=port.name or "", protocol=port.protocol or "TCP") for port in piece.ports)
    return replace(piece, ports=tuple(ports))


def _validate(piece: EndpointSlice, problems: Problems) -> None:
    problems.one_of("addressType", piece.address_type, _ADDRESS_TYPES, required=True)
    if len(piece.endpoints) > _ENDPOINTS_MOST:
        problems.too_many("endpoints", len(piece.endpoints), _ENDPOINTS_MOST)
    for index, endpoint in enumerate(piece.endpoints if len(piece.endpoints) <= _ENDPOINTS_MOST else ()):
        path = f"endpoints[{index}]"
        if not endpoint.addresses:
            problems.required(f"{path}.addresses", "must contain at least 1 address")
        elif len(endpoint.addresses) > _ADDRESSES_MOST:
            problems.too_many(f"{path}.addresses", len(endpoint.addresses), _ADDRESSES_MOST)
        for at, address in enumerate(endpoint.addresses):
            _validate_address(piece.address_type, address, f"{path}.addresses[{at}]", problems)
        if endpoint.node_name:
            problems.each(f"{path}.nodeName", endpoint.node_name, check_subdomain(endpoint.node_name))
        if endpoint.hostname:
            problems.each(f"{path}.hostname", endpoint.hostname, check_label_name(endpoint.hostname))
        if endpoint.hints is not None:
            _validate_zones(endpoint.hints, f"{path}.hints.forZones", problems)
    _validate_ports(piece.ports, problems)


def _validate_zones(hints: EndpointHints, path: str, problems: Problems) -> None:
    if len(hints.for_zones) > _ZONES_MOST:
        problems.too_many(path, len(hints.for_zones), _ZONES_MOST)
        return
    seen: set[str] = set()
    for index, zone in enumerate(hints.for_zones):
        if zone.name in seen:
            problems.duplicate(f"{path}[{index}].name", zone.name)
        seen.add(zone.name)
        problems.each(f"{path}[{index}].name", zone.name, check_label_value(zone.name))


def _validate_address(kind: str, address: str, path: str, problems: Problems) -> None:
    if kind == "FQDN":
        _validate_domain(address, path, problems)
    elif kind in _ADDRESS_TYPES:
        validate_endpoint_ip(address, path, problems)
        if (":" in address) != (kind == "IPv6"):
            problems.invalid(path, address, f"must be an {kind} address")


def _validate_domain(text: str, path: str, problems: Problems) -> None:
    """Check a full domain name. Source: apimachinery, IsFullyQualifiedDomainName."""
    name = text.removesuffix(".")
    wrong = check_subdomain(name)
    if not text:
        problems.required(path)
    elif wrong:
        problems.invalid(path, name, ",".join(wrong))
    elif "." not in name:
        problems.invalid(path, name, "should be a domain with at least two segments separated by dots")


def _validate_ports(ports: tuple[EndpointPort, ...], problems: Problems) -> None:
    if len(ports) > _PORTS_MOST:
        problems.too_many("ports", len(ports), _PORTS_MOST)
        return
    names: set[str | None] = set()
    for index, port in enumerate(ports):
        path = f"ports[{index}]"
        if port.name:
            problems.each(f"{path}.name", port.name, check_label_name(port.name))
        if port.name in names:
            problems.duplicate(f"{path}.name", port.name)
        names.add(port.name)
        problems.one_of(f"{path}.protocol", port.protocol, PROTOCOLS, required=True)
        if port.app_protocol:
            problems.each(f"{path}.appProtocol", port.app_protocol, check_qualified_name(port.app_protocol))


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
