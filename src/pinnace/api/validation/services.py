"""Checks a Service: its type, ports, addresses and families, and what may change of them. Pure.

Source: Kubernetes v1.36, pkg/apis/core/validation, ValidateService and ValidateServiceUpdate;
pkg/registry/core/service/storage/alloc.go, initIPFamilyFields (one stack only).
"""

from ipaddress import ip_address
from typing import Any

from pinnace.api.validation.addresses import is_ip, validate_endpoint_ip, validate_ip, validate_range
from pinnace.api.validation.containers import PROTOCOLS
from pinnace.api.validation.metadata import validate_labels
from pinnace.api.validation.names import check_label_name, check_qualified_name, check_subdomain
from pinnace.api.validation.probes import validate_port_or_name
from pinnace.api.validation.problems import Problems
from pinnace.kube.objects.core_v1 import Service, ServicePort, ServiceSpec

EXTERNAL = ("LoadBalancer", "NodePort")
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_FAMILIES = ("IPv4", "IPv6")
_FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
_AFFINITY_MOST_S = 86400
_NODE_PORT = 10250
_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_HINTS = "service.kubernetes.io/topology-aware-hints"
_MODE = "service.kubernetes.io/topology-mode"
_ONLY_BALANCED = "may only be used when `type` is 'LoadBalancer'"
_FIXED = "may not change once set"


def is_headless(spec: ServiceSpec) -> bool:
    """Say whether a Service has no address of its own."""
    return spec.cluster_ip == "None"


def is_exposed(spec: ServiceSpec) -> bool:
    """Say whether a Service can be reached from outside of the cluster."""
    return spec.type in EXTERNAL or (spec.type == "ClusterIP" and bool(spec.external_ips))


def needs_health_check(spec: ServiceSpec) -> bool:
    """Say whether a balancer asks a port of the node for the Service's pods."""
    return spec.type == "LoadBalancer" and spec.external_traffic_policy == "Local"


def validate_service(service: Service, problems: Problems) -> None:
    """Check a Service as it is."""
    spec, notes = service.spec, service.metadata.annotations
    if _MODE in notes and _HINTS in notes and notes[_MODE] != notes[_HINTS]:
        words = f"must match annotations[{_HINTS}] when both are specified"
        problems.invalid(f"metadata.annotations[{_MODE}]", notes[_MODE], words)
    if not spec.ports and not is_headless(spec) and spec.type != "ExternalName":
        problems.required("spec.ports")
    _validate_type(spec, problems)
    names: set[str] = set()
    for index, port in enumerate(spec.ports):
        _validate_port(port, len(spec.ports) > 1, names, f"spec.ports[{index}]", problems)
    validate_labels(spec.selector, "spec.selector", problems)
    _validate_affinity(spec, problems)
    if spec.type != "ExternalName":
        _validate_addresses(spec, problems)
    for index, address in enumerate(spec.external_ips):
        validate_endpoint_ip(address, f"spec.externalIPs[{index}]", problems)
    problems.one_of("spec.type", spec.type, _TYPES, required=True)
    _validate_unique_ports(spec, problems)
    _validate_balancer(service, problems)
    _validate_traffic(spec, problems)


def _validate_type(spec: ServiceSpec, problems: Problems) -> None:
    """Check what one type needs, or can't have."""
    if spec.type == "LoadBalancer":
        for index, port in enumerate(spec.ports):
            if port.port == _NODE_PORT:
                words = f"may not expose port {_NODE_PORT} externally since it is used by kubelet"
                problems.invalid(f"spec.ports[{index}]", port.port, words)
    if spec.type in EXTERNAL and is_headless(spec):
        problems.invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {spec.type} services")
    if spec.type != "ExternalName":
        return
    words = "may not be set for ExternalName services"
    for name, value in (
        ("clusterIPs", spec.cluster_ips or spec.cluster_ip),
        ("ipFamilies", spec.ip_families),
        ("ipFamilyPolicy", spec.ip_family_policy),
    ):
        if value:
            problems.forbidden(f"spec.{name}", words)
    name = spec.external_name.removesuffix(".")
    if name:
        problems.each("spec.externalName", name, check_subdomain(name))
    else:
        problems.required("spec.externalName")


def _validate_port(
    port: ServicePort, require_name: bool, names: set[str], path: str, problems: Problems
) -> None:
    if require_name and not port.name:
        problems.required(f"{path}.name")
    elif port.name:
        problems.each(f"{path}.name", port.name, check_label_name(port.name))
        if port.name in names:
            problems.duplicate(f"{path}.name", port.name)
        names.add(port.name)
    problems.port(f"{path}.port", port.port)
    problems.one_of(f"{path}.protocol", port.protocol, PROTOCOLS, required=True)
    validate_port_or_name(port.target_port, f"{path}.targetPort", problems)
    if port.app_protocol:
        problems.each(f"{path}.appProtocol", port.app_protocol, check_qualified_name(port.app_protocol))


def _validate_unique_ports(spec: ServiceSpec, problems: Problems) -> None:
    if spec.type == "ClusterIP":
        for index, port in enumerate(spec.ports):
            if port.node_port:
                words = "may not be used when `type` is 'ClusterIP'"
                problems.forbidden(f"spec.ports[{index}].nodePort", words)
    node_ports: set[tuple[str, int]] = set()
    for index, port in enumerate(spec.ports):
        if port.node_port and (port.protocol, port.node_port) in node_ports:
            problems.duplicate(f"spec.ports[{index}].nodePort", port.node_port)
        node_ports.add((port.protocol, port.node_port or 0))
    ports: set[tuple[str, int]] = set()
    for index, port in enumerate(spec.ports):
        if (port.protocol, port.port) in ports:
            shown = ServicePort(protocol=port.protocol, port=port.port)
            problems.duplicate(f"spec.ports[{index}]", shown)
        ports.add((port.protocol, port.port))


def _validate_affinity(spec: ServiceSpec, problems: Problems) -> None:
    problems.one_of("spec.sessionAffinity", spec.session_affinity, ("ClientIP", "None"), required=True)
    path, config = "spec.sessionAffinityConfig", spec.session_affinity_config
    if spec.session_affinity != "ClientIP":
        if spec.session_affinity == "None" and config is not None:
            problems.forbidden(path, "must not be set when session affinity is None")
        return
    words = "when session affinity type is ClientIP"
    if config is None:
        problems.required(path, words)
    elif config.client_ip is None:
        problems.required(f"{path}.clientIP", words)
    elif config.client_ip.timeout_seconds is None:
        problems.required(f"{path}.clientIP.timeoutSeconds", words)
    elif not 0 < config.client_ip.timeout_seconds <= _AFFINITY_MOST_S:
        words = f"must be greater than 0 and less than {_AFFINITY_MOST_S}"
        problems.invalid(f"{path}.clientIP.timeoutSeconds", config.client_ip.timeout_seconds, words)


def _validate_addresses(spec: ServiceSpec, problems: Problems) -> None:
    """Check addresses and families, each alone and with one another."""
    path, addresses = "spec.clusterIPs", spec.cluster_ips or ((spec.cluster_ip,) if spec.cluster_ip else ())
    if spec.cluster_ip and addresses[0] != spec.cluster_ip:
        problems.invalid(path, addresses, "first value must match `clusterIP`")
    elif not spec.cluster_ip and addresses:
        problems.invalid(path, addresses, "must be empty when `clusterIP` is not specified")
    _validate_families(spec, problems)
    right = True
    for index, address in enumerate(addresses):
        if index == 0 and address == "None":
            if len(addresses) > 1:
                right = False
                problems.invalid(path, addresses, "'None' must be the first and only value")
            continue
        right = validate_ip(address, f"{path}[{index}]", problems, canonical=True) and right
    if len(addresses) > 2:
        problems.invalid(path, addresses, "may only hold up to 2 values")
    if not right:
        return
    _validate_stack(spec, problems)
    if is_headless(spec):
        return
    versions = [ip_address(address).version for address in addresses]
    if len(versions) > 1 and len(set(versions)) < 2:
        problems.invalid(path, addresses, "may specify no more than one IP for each IP family")
    for index, (address, family) in enumerate(zip(addresses, spec.ip_families, strict=False)):
        if family in _FAMILIES and f"IPv{versions[index]}" != family:
            words = f"expected an {family} value as indicated by `ipFamilies[{index}]`"
            problems.invalid(f"{path}[{index}]", address, words)


def _validate_families(spec: ServiceSpec, problems: Problems) -> None:
    seen: set[str] = set()
    for index, family in enumerate(spec.ip_families):
        if family not in _FAMILIES:
            problems.not_supported(f"spec.ipFamilies[{index}]", family, _FAMILIES)
        if family in seen:
            problems.duplicate(f"spec.ipFamilies[{index}]", family)
        seen.add(family)
    problems.one_of("spec.ipFamilyPolicy", spec.ip_family_policy, _FAMILY_POLICIES)


def _validate_stack(spec: ServiceSpec, problems: Problems) -> None:
    """Check that nothing of a second family is asked for: there are only IPv4 addresses here."""
    policy, path = spec.ip_family_policy, "spec.ipFamilyPolicy"
    if is_headless(spec) and not spec.selector:
        return  # its endpoints may have any address
    if policy == "SingleStack":
        for name, values in (("clusterIPs", spec.cluster_ips), ("ipFamilies", spec.ip_families)):
            if len(values) == 2:
                words = f"must be RequireDualStack or PreferDualStack when multiple {name} are specified"
                problems.invalid(path, policy, words)
    elif policy == "RequireDualStack":
        problems.invalid(path, policy, "this cluster is not configured for dual-stack services")
    for index, family in enumerate(spec.ip_families):
        if family == "IPv6":
            problems.invalid(f"spec.ipFamilies[{index}]", family, "not configured on this cluster")


def _validate_balancer(service: Service, problems: Problems) -> None:
    spec, balanced = service.spec, service.spec.type == "LoadBalancer"
    note = service.metadata.annotations.get(_RANGES)
    if spec.load_balancer_source_ranges:
        path = "spec.LoadBalancerSourceRanges"
        if not balanced:
            problems.forbidden(path, _ONLY_BALANCED)
        for index, text in enumerate(spec.load_balancer_source_ranges):
            validate_range(text.strip(), f"{path}[{index}]", problems)
    elif note is not None:
        path = f"metadata.annotations[{_RANGES}]"
        if not balanced:
            problems.forbidden(path, _ONLY_BALANCED)
        for text in note.strip().split(",") if note.strip() else ():
            validate_range(text.strip(), path, problems)
    if spec.allocate_load_balancer_node_ports is not None and not balanced:
        problems.forbidden("spec.allocateLoadBalancerNodePorts", _ONLY_BALANCED)
    name = spec.load_balancer_class
    if name and not balanced:
        problems.forbidden("spec.loadBalancerClass", _ONLY_BALANCED)
    elif name:
        problems.each("spec.loadBalancerClass", name, check_qualified_name(name))


def _validate_traffic(spec: ServiceSpec, problems: Problems) -> None:
    policies = ("Cluster", "Local")
    path = "spec.externalTrafficPolicy"
    if is_exposed(spec):
        problems.one_of(path, spec.external_traffic_policy, policies, required=True)
    elif spec.external_traffic_policy:
        words = "may only be set for externally-accessible services"
        problems.invalid(path, spec.external_traffic_policy, words)
    port = spec.health_check_node_port
    if port and not needs_health_check(spec):
        words = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        problems.invalid("spec.healthCheckNodePort", port, words)
    elif port:
        problems.port("spec.healthCheckNodePort", port)
    required = spec.type != "ExternalName"
    problems.one_of("spec.internalTrafficPolicy", spec.internal_traffic_policy, policies, required=required)
    problems.one_of("spec.trafficDistribution", spec.traffic_distribution, _DISTRIBUTIONS)


def validate_service_update(new: Service, old: Service, problems: Problems) -> None:
    """Check what changed: an address and its family stay, unless the Service gets or loses all of them."""
    before, now = old.spec, new.spec
    if before.type == now.type == "LoadBalancer" and before.load_balancer_class != now.load_balancer_class:
        problems.invalid("spec.loadBalancerClass", now.load_balancer_class or None, _FIXED)
    port = before.health_check_node_port
    if port and needs_health_check(before) and needs_health_check(now) and now.health_check_node_port != port:
        problems.forbidden("spec.healthCheckNodePort", "field is immutable")
    if "ExternalName" in (before.type, now.type):
        return
    held, has = _addresses_of(before), _addresses_of(now)
    if held and not (is_headless(before) and is_headless(now)):
        if not has:
            problems.invalid("spec.clusterIPs[0]", has, "primary clusterIP can not be unset")
        for index, (one, other) in enumerate(zip(held, has, strict=False)):
            if one != other:
                problems.invalid(f"spec.clusterIPs[{index}]", has, _FIXED)
    if is_headless(before) or is_headless(now):
        return
    if before.ip_families and now.ip_families and before.ip_families[0] != now.ip_families[0]:
        problems.invalid("spec.ipFamilies[0]", now.ip_families, _FIXED)


def _addresses_of(spec: ServiceSpec) -> tuple[str, ...]:
    return spec.cluster_ips or ((spec.cluster_ip,) if spec.cluster_ip else ())


def validate_service_status(new: Service, old: Service, problems: Problems) -> None:
    """Check the addresses at which a balancer answers."""
    path = "status.loadBalancer.ingress"
    ingress: tuple[Any, ...] = new.status.load_balancer.ingress
    if ingress and new.spec.type != "LoadBalancer":
        problems.forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")
        return
    for index, one in enumerate(ingress):
        where = f"{path}[{index}]"
        if one.ip:
            validate_ip(one.ip, f"{where}.ip", problems, canonical=True)
        if one.ip_mode and not one.ip:
            problems.forbidden(f"{where}.ipMode", "may not be specified when `ip` is not set")
        problems.one_of(f"{where}.ipMode", one.ip_mode, ("Proxy", "VIP"))
        if one.hostname:
            problems.each(f"{where}.hostname", one.hostname, check_subdomain(one.hostname))
            if is_ip(one.hostname):
                words = "must be a DNS name, not an IP address"
                problems.invalid(f"{where}.hostname", one.hostname, words)
