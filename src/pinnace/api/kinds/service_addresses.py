"""Gives a Service its cluster address and node ports, and says what it holds.

Called while a write is prepared, after validation; `Addresses` is the table that it claims from.
Source: Kubernetes v1.36, pkg/registry/core/service/storage/alloc.go (rules and words).
"""

from typing import Any

from msgspec.structs import replace

from pinnace.api.allocation import Addresses, Claim
from pinnace.api.validation.problems import Problems
from pinnace.base.errors import ApiError, Reason
from pinnace.kube.kinds import SERVICE
from pinnace.kube.objects.core_v1 import Service, ServicePort
from pinnace.store.interface import Key


def claim_of(service: Service) -> Claim:
    """Return everything that a stored Service holds."""
    addresses = tuple(
        ip for ip in (service.spec.cluster_ips or (service.spec.cluster_ip,)) if ip not in ("", "None")
    )
    ports = [port.node_port for port in service.spec.ports if port.node_port]
    if service.spec.health_check_node_port:
        ports.append(service.spec.health_check_node_port)
    return Claim(addresses, tuple(dict.fromkeys(ports)))


def allocate(service: Service, addresses: Addresses) -> Service:
    """Return the Service with what it lacks; claims stay with its key until they are settled.

    Raises: ApiError Invalid when what it asks for is taken or out of range, InternalError when nothing is left.
    """
    key = Key(SERVICE.resource, service.metadata.namespace, service.metadata.name)
    spec = service.spec
    if spec.type == "ExternalName":
        return service
    problems = Problems()
    changes: dict[str, Any] = {}
    if spec.cluster_ip == "None":
        changes["cluster_ips"] = ("None",)
    else:
        address = _choose_address(service, key, addresses, problems)
        changes.update(cluster_ip=address, cluster_ips=(address,))
    if _wants_node_ports(service):
        changes["ports"] = _choose_ports(spec.ports, key, addresses, problems)
        if spec.type == "LoadBalancer" and spec.external_traffic_policy == "Local":
            changes["health_check_node_port"] = _choose_health_port(service, key, addresses, problems)
    if problems:
        raise problems.to_error(SERVICE.kind, SERVICE.group, service.metadata.name)
    return replace(service, spec=replace(spec, **changes))


def _wants_node_ports(service: Service) -> bool:
    spec = service.spec
    if spec.type == "LoadBalancer":
        return spec.allocate_load_balancer_node_ports is not False or any(
            port.node_port for port in spec.ports
        )
    return spec.type == "NodePort"


def _choose_address(service: Service, key: Key, addresses: Addresses, problems: Problems) -> str:
    wished = service.spec.cluster_ip or (service.spec.cluster_ips[0] if service.spec.cluster_ips else "")
    if not wished:
        if (key.namespace, key.name) == ("default", "kubernetes"):
            wished = addresses.kubernetes_ip
        else:
            return _required(addresses.choose_address(key), key)
    path = "spec.clusterIPs"
    if not addresses.contains(wished):
        problems.invalid(
            path,
            [wished],
            f"failed to allocate IP {wished}: the provided IP ({wished}) is not in the valid range. "
            f"The range of valid IPs is {addresses.service_range}",
        )
    elif not addresses.claim_address(key, wished):
        problems.invalid(path, [wished], f"failed to allocate IP {wished}: provided IP is already allocated")
    return wished


def _required(address: str | None, key: Key) -> str:
    if address is None:
        raise ApiError(Reason.INTERNAL_ERROR, f"failed to allocate a serviceIP for {key.name}: range is full")
    return address


def _choose_ports(
    ports: tuple[ServicePort, ...], key: Key, addresses: Addresses, problems: Problems
) -> tuple[ServicePort, ...]:
    asked = [port.node_port for port in ports if port.node_port]
    chosen: dict[int, int] = {}  # port number -> node port: TCP and UDP of one number share one
    result: list[ServicePort] = []
    for index, port in enumerate(ports):
        if port.node_port:
            _claim_port(port.node_port, f"spec.ports[{index}].nodePort", key, addresses, problems)
            result.append(port)
            continue
        node_port = chosen.get(port.port) or addresses.choose_port(key, avoid=asked)
        if node_port is None:
            raise ApiError(
                Reason.INTERNAL_ERROR, f"failed to allocate a nodePort for {key.name}: range is full"
            )
        chosen[port.port] = node_port
        result.append(replace(port, node_port=node_port))
    return tuple(result)


def _claim_port(port: int, path: str, key: Key, addresses: Addresses, problems: Problems) -> None:
    if not addresses.port_allowed(port):
        problems.invalid(
            path,
            port,
            f"provided port is not in the valid range. The range of valid ports is {addresses.port_range}",
        )
    elif not addresses.claim_port(key, port):
        problems.invalid(path, port, "provided port is already allocated")


def _choose_health_port(service: Service, key: Key, addresses: Addresses, problems: Problems) -> int | None:
    wished = service.spec.health_check_node_port
    if not wished:
        return addresses.choose_port(key)
    _claim_port(wished, "spec.healthCheckNodePort", key, addresses, problems)
    return wished
