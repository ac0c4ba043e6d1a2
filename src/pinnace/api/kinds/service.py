"""The Service's row: defaults, type changes, validation. Its addresses are chosen in `service_addresses.py`. Pure.

Source: Kubernetes v1.36, pkg/apis/core/v1/defaults.go, pkg/registry/core/service, pkg/apis/core/validation.
"""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from pinnace.api.kinds.service_addresses import allocate, claim_of
from pinnace.api.strategy import Allocation, Strategy
from pinnace.api.validation.names import check_label_1035
from pinnace.api.validation.services import (
    EXTERNAL,
    validate_service,
    validate_service_status,
    validate_service_update,
)
from pinnace.kube.kinds import SERVICE
from pinnace.kube.objects.core_v1 import (
    ClientIPConfig,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
    SessionAffinityConfig,
)

AFFINITY_S = 10800


def _default(service: Service) -> Service:
    spec = service.spec
    kind = spec.type or "ClusterIP"
    changes: dict[str, Any] = {
        "type": kind,
        "session_affinity": spec.session_affinity or "None",
        "ports": tuple(map(_default_port, spec.ports)),
    }
    if spec.session_affinity == "ClientIP" and _affinity_seconds(spec) is None:
        changes["session_affinity_config"] = SessionAffinityConfig(
            client_ip=ClientIPConfig(timeout_seconds=AFFINITY_S)
        )
    elif changes["session_affinity"] == "None":
        changes["session_affinity_config"] = None
    if kind != "ExternalName":
        changes.update(_default_cluster(spec, kind))
    return replace(service, spec=replace(spec, **changes))


def _default_cluster(spec: ServiceSpec, kind: str) -> dict[str, Any]:
    changes: dict[str, Any] = {"internal_traffic_policy": spec.internal_traffic_policy or "Cluster"}
    exposed = kind in EXTERNAL or (kind == "ClusterIP" and spec.external_ips)
    if exposed and not spec.external_traffic_policy:
        changes["external_traffic_policy"] = "Cluster"
    if kind == "LoadBalancer" and spec.allocate_load_balancer_node_ports is None:
        changes["allocate_load_balancer_node_ports"] = True
    # A headless Service without a selector may point at addresses of both families.
    both = spec.cluster_ip == "None" and not spec.selector
    if not spec.ip_family_policy:
        changes["ip_family_policy"] = "RequireDualStack" if both else "SingleStack"
    if not spec.ip_families:
        changes["ip_families"] = ("IPv4", "IPv6") if both else ("IPv4",)
    return changes


def _affinity_seconds(spec: ServiceSpec) -> int | None:
    config = spec.session_affinity_config
    return None if config is None or config.client_ip is None else config.client_ip.timeout_seconds


def _default_port(port: ServicePort) -> ServicePort:
    if port.protocol and port.target_port not in (None, 0, ""):
        return port
    target = port.port if port.target_port in (None, 0, "") else port.target_port
    return replace(port, protocol=port.protocol or "TCP", target_port=target)


def _prepare_create(service: Service) -> Service:
    spec = service.spec
    if spec.cluster_ip and not spec.cluster_ips:
        spec = replace(spec, cluster_ips=(spec.cluster_ip,))
    return replace(service, spec=spec, status=ServiceStatus())


def _prepare_update(new: Service, old: Service) -> Service:
    """Keep the status, and what a type change doesn't name: an unset address stays, what the new type can't have goes.

    Source: Kubernetes v1.36, pkg/registry/core/service/strategy.go, patchAllocatedValues and dropTypeDependentFields.
    """
    spec = _align_addresses(new.spec, old.spec)
    changes: dict[str, Any] = {}
    if (
        spec.type != "ExternalName"
        and old.spec.type != "ExternalName"
        and not spec.cluster_ip
        and not spec.cluster_ips
    ):
        changes["cluster_ip"], changes["cluster_ips"] = old.spec.cluster_ip, old.spec.cluster_ips
    if spec.type in EXTERNAL and old.spec.type in EXTERNAL:
        changes["ports"] = _keep_node_ports(spec.ports, old.spec.ports)
        if not spec.health_check_node_port:
            changes["health_check_node_port"] = old.spec.health_check_node_port
    spec = replace(spec, **changes)
    if spec.type != old.spec.type:
        spec = _drop_foreign(spec, old.spec)
    return replace(new, spec=spec, status=old.status if spec.type == "LoadBalancer" else ServiceStatus())


def _align_addresses(new: ServiceSpec, old: ServiceSpec) -> ServiceSpec:
    """Let the list follow the one address where the writer changed only that. Source: same file, NormalizeClusterIPs."""
    if new.cluster_ip == old.cluster_ip or new.cluster_ips != old.cluster_ips:
        return new
    first = (new.cluster_ip,) if new.cluster_ip else ()
    return replace(new, cluster_ips=(*first, *(old.cluster_ips[1:] if first else ())))


def _keep_node_ports(new: tuple[ServicePort, ...], old: tuple[ServicePort, ...]) -> tuple[ServicePort, ...]:
    held = {(port.protocol, port.port): port.node_port for port in old}
    return tuple(
        port if port.node_port else replace(port, node_port=held.get((port.protocol, port.port)))
        for port in new
    )


def _drop_foreign(spec: ServiceSpec, old: ServiceSpec) -> ServiceSpec:
    """Drop what only the old type could have, where the writer has just left it standing."""
    changes: dict[str, Any] = {}
    if spec.type == "ExternalName" and spec.cluster_ip == old.cluster_ip:
        changes.update(
            cluster_ip="", cluster_ips=(), ip_families=(), ip_family_policy="", internal_traffic_policy=""
        )
    if spec.type not in EXTERNAL:
        same = {(port.protocol, port.port): port.node_port for port in old.ports}
        changes["ports"] = tuple(
            replace(port, node_port=None) if port.node_port == same.get((port.protocol, port.port)) else port
            for port in spec.ports
        )
        if spec.external_traffic_policy == old.external_traffic_policy:
            changes["external_traffic_policy"] = ""
        changes["health_check_node_port"] = None
    if spec.type != "LoadBalancer":
        changes["allocate_load_balancer_node_ports"] = None
        if spec.load_balancer_class == old.load_balancer_class:
            changes["load_balancer_class"] = ""
    return replace(spec, **changes)


def _prepare_status(new: Service, old: Service) -> Service:
    ingress = new.status.load_balancer.ingress
    if all(one.ip_mode or not one.ip for one in ingress):
        return replace(old, status=new.status)
    filled = tuple(replace(one, ip_mode="VIP") if one.ip and not one.ip_mode else one for one in ingress)
    balancer = replace(new.status.load_balancer, ingress=filled)
    return replace(old, status=replace(new.status, load_balancer=balancer))


def _index(service: Service) -> Mapping[str, str]:
    return {"spec.clusterIP": service.spec.cluster_ip}


STRATEGY = Strategy(
    kind=SERVICE,
    name_rule=check_label_1035,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    validate=validate_service,
    validate_update=validate_service_update,
    validate_status=validate_service_status,
    index=_index,
    allocation=Allocation(allocate=allocate, claim=claim_of),
)
