"""The Service's row: defaults, type changes, validation. Its addresses are chosen in `service_addresses.py`. Pure.

Source: Kubernetes v1.36, pkg/apis/core/v1/defaults.go, pkg/registry/core/service, pkg/apis/core/validation.
"""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from pinnace.api.kinds.service_addresses import allocate, claim_of
from pinnace.api.strategy import Allocation, Strategy
from pinnace.api.validation.addresses import NOT_AN_IP, is_ip, validate_endpoint_ip
from pinnace.api.validation.containers import PROTOCOLS
from pinnace.api.validation.metadata import validate_labels
from pinnace.api.validation.names import check_label_1035, check_label_name, check_subdomain
from pinnace.api.validation.probes import validate_port_or_name
from pinnace.api.validation.problems import Problems
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
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_EXTERNAL = ("LoadBalancer", "NodePort")


def _default(service: Service) -> Service:
    spec = service.spec
    kind = spec.type or "ClusterIP"
    changes: dict[str, Any] = {
        "type": kind,
        "session_affinity": spec.session_affinity or "None",
        "ports": tuple(map(_default_port, spec.ports)),
    }
    if spec.session_affinity == "ClientIP" and spec.session_affinity_config is None:
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
    if kind in _EXTERNAL and not spec.external_traffic_policy:
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


def _default_port(port: ServicePort) -> ServicePort:
    if port.protocol and port.target_port not in (None, 0, ""):
        return port
    target = port.port if port.target_port in (None, 0, "") else port.target_port
    return replace(port, protocol=port.protocol or "TCP", target_port=target)


def _prepare_create(service: Service) -> Service:
    return replace(service, status=ServiceStatus())


def _prepare_update(new: Service, old: Service) -> Service:
    """Keep the status, and what a type change doesn't name: an unset address stays, what the new type can't have goes.

    Source: Kubernetes v1.36, pkg/registry/core/service/strategy.go, patchAllocatedValues and dropTypeDependentFields.
    """
    spec = new.spec
    changes: dict[str, Any] = {}
    if (
        spec.type != "ExternalName"
        and old.spec.type != "ExternalName"
        and not spec.cluster_ip
        and not spec.cluster_ips
    ):
        changes["cluster_ip"], changes["cluster_ips"] = old.spec.cluster_ip, old.spec.cluster_ips
    if spec.type in _EXTERNAL and old.spec.type in _EXTERNAL:
        changes["ports"] = _keep_node_ports(spec.ports, old.spec.ports)
        if not spec.health_check_node_port:
            changes["health_check_node_port"] = old.spec.health_check_node_port
    spec = replace(spec, **changes)
    if spec.type != old.spec.type:
        spec = _drop_foreign(spec, old.spec)
    return replace(new, spec=spec, status=old.status if spec.type == "LoadBalancer" else ServiceStatus())


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
    if spec.type not in _EXTERNAL:
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
    return replace(old, status=new.status)


def _validate(service: Service, problems: Problems) -> None:
    spec = service.spec
    headless = spec.cluster_ip == "None"
    if not spec.ports and not headless and spec.type != "ExternalName":
        problems.required("spec.ports")
    if spec.type in _EXTERNAL and headless:
        problems.invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {spec.type} services")
    if spec.type == "ExternalName":
        _validate_external_name(spec, problems)
    _validate_ports(spec, problems)
    validate_labels(spec.selector, "spec.selector", problems)
    _validate_affinity(spec, problems)
    _validate_addresses(spec, problems)
    problems.one_of("spec.type", spec.type, _TYPES, required=True)
    if spec.external_traffic_policy:
        if spec.type not in _EXTERNAL and not spec.external_ips:
            problems.invalid(
                "spec.externalTrafficPolicy",
                spec.external_traffic_policy,
                "may only be set for externally-accessible services",
            )
        problems.one_of("spec.externalTrafficPolicy", spec.external_traffic_policy, ("Cluster", "Local"))
    if spec.type != "ExternalName":
        problems.one_of(
            "spec.internalTrafficPolicy", spec.internal_traffic_policy, ("Cluster", "Local"), required=True
        )
    if spec.type != "LoadBalancer":
        for name, value in (
            ("allocateLoadBalancerNodePorts", spec.allocate_load_balancer_node_ports),
            ("loadBalancerClass", spec.load_balancer_class or None),
            ("loadBalancerSourceRanges", spec.load_balancer_source_ranges or None),
        ):
            if value is not None:
                problems.forbidden(f"spec.{name}", "may only be used when `type` is 'LoadBalancer'")


def _validate_external_name(spec: ServiceSpec, problems: Problems) -> None:
    if spec.cluster_ip or spec.cluster_ips:
        problems.forbidden("spec.clusterIPs", "may not be set for ExternalName services")
    if spec.external_name:
        name = spec.external_name.removesuffix(".")
        problems.each("spec.externalName", spec.external_name, check_subdomain(name))
    else:
        problems.required("spec.externalName")


def _validate_ports(spec: ServiceSpec, problems: Problems) -> None:
    names: set[str] = set()
    pairs: set[tuple[str, int]] = set()
    node_pairs: set[tuple[str, int]] = set()
    for index, port in enumerate(spec.ports):
        path = f"spec.ports[{index}]"
        if port.name:
            problems.each(f"{path}.name", port.name, check_label_name(port.name))
            if port.name in names:
                problems.duplicate(f"{path}.name", port.name)
            names.add(port.name)
        elif len(spec.ports) > 1:
            problems.required(f"{path}.name")
        problems.port(f"{path}.port", port.port)
        problems.one_of(f"{path}.protocol", port.protocol, PROTOCOLS, required=True)
        validate_port_or_name(port.target_port, f"{path}.targetPort", problems)
        if port.node_port:
            if spec.type not in _EXTERNAL:
                problems.forbidden(f"{path}.nodePort", f"may not be used when `type` is '{spec.type}'")
            if (port.protocol, port.node_port) in node_pairs:
                problems.duplicate(f"{path}.nodePort", port.node_port)
            node_pairs.add((port.protocol, port.node_port))
        if (port.protocol, port.port) in pairs:
            problems.duplicate(path, ServicePort(protocol=port.protocol, port=port.port))
        pairs.add((port.protocol, port.port))


def _validate_affinity(spec: ServiceSpec, problems: Problems) -> None:
    problems.one_of("spec.sessionAffinity", spec.session_affinity, ("ClientIP", "None"), required=True)
    if spec.session_affinity != "ClientIP":
        return
    config = spec.session_affinity_config
    if config is None or config.client_ip is None:
        problems.required("spec.sessionAffinityConfig", "when session affinity type is ClientIP")
        return
    timeout = config.client_ip.timeout_seconds
    if timeout is None:
        problems.required(
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds", "when session affinity type is ClientIP"
        )
    elif not 0 < timeout <= 86400:
        problems.invalid(
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
            timeout,
            "must be greater than 0 and less than 86400",
        )


def _validate_addresses(spec: ServiceSpec, problems: Problems) -> None:
    if spec.cluster_ip and spec.cluster_ip != "None" and not is_ip(spec.cluster_ip):
        problems.invalid("spec.clusterIPs[0]", spec.cluster_ip, NOT_AN_IP)
    if spec.cluster_ips and spec.cluster_ips[0] != spec.cluster_ip:
        problems.invalid("spec.clusterIPs", spec.cluster_ips, "first value must match `clusterIP`")
    for index, address in enumerate(spec.external_ips):
        validate_endpoint_ip(address, f"spec.externalIPs[{index}]", problems)


def _validate_update(new: Service, old: Service, problems: Problems) -> None:
    before, now = old.spec, new.spec
    if "ExternalName" in (before.type, now.type) or not before.cluster_ip:
        return
    if now.cluster_ip != before.cluster_ip:
        problems.invalid("spec.clusterIPs[0]", now.cluster_ip, "may not change once set")


def _validate_status(new: Service, old: Service, problems: Problems) -> None:
    for index, ingress in enumerate(new.status.load_balancer.ingress):
        if ingress.ip and not is_ip(ingress.ip):
            problems.invalid(f"status.loadBalancer.ingress[{index}].ip", ingress.ip, NOT_AN_IP)


def _index(service: Service) -> Mapping[str, str]:
    return {"spec.clusterIP": service.spec.cluster_ip}


STRATEGY = Strategy(
    kind=SERVICE,
    name_rule=check_label_1035,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=_validate_status,
    index=_index,
    allocation=Allocation(allocate=allocate, claim=claim_of),
)
