"""The Endpoints' row. Pure. Source: Kubernetes v1.36, pkg/apis/core/validation, ValidateEndpoints."""

from msgspec.structs import replace

from pinnace.api.strategy import Strategy
from pinnace.api.validation.addresses import validate_endpoint_ip
from pinnace.api.validation.containers import PROTOCOLS
from pinnace.api.validation.names import check_label_name, check_qualified_name, check_subdomain
from pinnace.api.validation.problems import Problems
from pinnace.kube.kinds import ENDPOINTS
from pinnace.kube.objects.core_v1 import EndpointPort, Endpoints, EndpointSubset


def _default(endpoints: Endpoints) -> Endpoints:
    if all(port.protocol for subset in endpoints.subsets for port in subset.ports):
        return endpoints
    return replace(endpoints, subsets=tuple(map(_default_subset, endpoints.subsets)))


def _default_subset(subset: EndpointSubset) -> EndpointSubset:
    ports = tuple(port if port.protocol else replace(port, protocol="TCP") for port in subset.ports)
    return replace(subset, ports=ports)


def _validate(endpoints: Endpoints, problems: Problems) -> None:
    for index, subset in enumerate(endpoints.subsets):
        path = f"subsets[{index}]"
        if not subset.addresses and not subset.not_ready_addresses:
            problems.required(path, "must specify `addresses` or `notReadyAddresses`")
        for name, addresses in (
            ("addresses", subset.addresses),
            ("notReadyAddresses", subset.not_ready_addresses),
        ):
            for at, address in enumerate(addresses):
                validate_endpoint_ip(address.ip, f"{path}.{name}[{at}].ip", problems)
                for wire, text, rule in (
                    ("hostname", address.hostname, check_label_name),
                    ("nodeName", address.node_name, check_subdomain),
                ):
                    if text:
                        problems.each(f"{path}.{name}[{at}].{wire}", text, rule(text))
        for at, port in enumerate(subset.ports):
            _validate_port(port, len(subset.ports) > 1, f"{path}.ports[{at}]", problems)


def _validate_port(port: EndpointPort, require_name: bool, path: str, problems: Problems) -> None:
    if require_name and not port.name:
        problems.required(f"{path}.name")
    elif port.name:
        problems.each(f"{path}.name", port.name, check_label_name(port.name))
    problems.port(f"{path}.port", port.port or 0)
    problems.one_of(f"{path}.protocol", port.protocol, PROTOCOLS, required=True)
    if port.app_protocol:
        problems.each(f"{path}.appProtocol", port.app_protocol, check_qualified_name(port.app_protocol))


STRATEGY = Strategy(kind=ENDPOINTS, default=_default, validate=_validate, create_on_update=True)
