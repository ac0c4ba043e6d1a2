"""Decides what of a Service and its EndpointSlices matters to packets.

Pure: called by `proxy`. Never asks who listens on the host.
Invariant: a backend is ready, or (only if none is) serving while it terminates; never anything else.

Source: Kubernetes v1.36, pkg/proxy/topology.go (CategorizeEndpoints), for the fall-back to terminating endpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from pinnace.kube.objects.core_v1 import Service, ServicePort
from pinnace.kube.objects.discovery_v1 import EndpointSlice

SERVICE_NAME_LABEL = "kubernetes.io/service-name"  # Source: Kubernetes, discovery/v1, LabelServiceName
LOAD_BALANCER_CLASS = "pinnace.dev/host"  # a Service that names another class is left to somebody else
_PROTOCOLS = {"": "tcp", "TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}


@dataclass(frozen=True, slots=True, order=True)
class Backend:
    """Where new connections go. `terminating` is true only for the fall-back when nothing is ready."""

    address: str
    port: int
    terminating: bool = False


@dataclass(frozen=True, slots=True)
class PortFacts:
    """One port of a Service, with its backends in order; 0 means that there is no node port."""

    name: str
    protocol: str
    port: int
    node_port: int
    backends: tuple[Backend, ...]


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """What packets to one Service need to know; empty `cluster_ips` for headless and external ones."""

    namespace: str
    name: str
    cluster_ips: tuple[str, ...]
    external_ips: tuple[str, ...]
    load_balanced: bool
    sticky: bool
    source_ranges: tuple[str, ...]
    ports: tuple[PortFacts, ...]

    @property
    def serving_addresses(self) -> frozenset[str]:
        """The addresses that get new connections because they are ready."""
        return frozenset(b.address for port in self.ports for b in port.backends if not b.terminating)


def compute_service_facts(service: Service, slices: Iterable[EndpointSlice]) -> ServiceFacts:
    """Return the facts of one Service; of a headless or external one, without ports.

    Shape: backends are ordered by address and port, each once.
    """
    spec = service.spec
    cluster_ips = tuple(ip for ip in (spec.cluster_ips or (spec.cluster_ip,)) if _is_ipv4(ip))
    own = [each for each in slices if each.address_type == "IPv4"]
    load_balanced = spec.type == "LoadBalancer" and spec.load_balancer_class in ("", LOAD_BALANCER_CLASS)
    ports = (
        tuple(_compute_port(port, own) for port in spec.ports if port.protocol in _PROTOCOLS)
        if cluster_ips
        else ()
    )
    return ServiceFacts(
        namespace=service.metadata.namespace,
        name=service.metadata.name,
        cluster_ips=cluster_ips,
        external_ips=tuple(ip for ip in spec.external_ips if _is_ipv4(ip)),
        load_balanced=load_balanced and bool(cluster_ips),
        sticky=spec.session_affinity == "ClientIP",
        source_ranges=tuple(r.strip() for r in spec.load_balancer_source_ranges if _is_ipv4_network(r)),
        ports=ports,
    )


def find_backends(port_name: str, protocol: str, slices: Sequence[EndpointSlice]) -> tuple[Backend, ...]:
    """Return the backends of one named port: the ready ones, else those that still serve while they terminate."""
    ready: set[Backend] = set()
    fallback: set[Backend] = set()
    for each in slices:
        for port in each.ports:
            if (
                (port.name or "") != port_name
                or port.port is None
                or _PROTOCOLS.get(port.protocol) != protocol
            ):
                continue
            for endpoint in each.endpoints:
                conditions = endpoint.conditions
                is_ready = conditions.ready is not False and not conditions.terminating
                serves = (
                    conditions.serving if conditions.serving is not None else conditions.ready is not False
                )
                for address in endpoint.addresses[
                    :1
                ]:  # the others are the same endpoint. Source: discovery/v1, Endpoint
                    if is_ready or (conditions.terminating and conditions.ready):  # publishNotReadyAddresses
                        ready.add(Backend(address, port.port))
                    elif serves and conditions.terminating:
                        fallback.add(Backend(address, port.port, terminating=True))
    return tuple(sorted(ready or fallback, key=lambda b: (int(IPv4Address(b.address)), b.port)))


def _compute_port(port: ServicePort, slices: Sequence[EndpointSlice]) -> PortFacts:
    protocol = _PROTOCOLS[port.protocol]
    return PortFacts(
        port.name, protocol, port.port, port.node_port or 0, find_backends(port.name, protocol, slices)
    )


def _is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_ipv4_network(text: str) -> bool:
    try:
        IPv4Network(text.strip(), strict=False)
    except ValueError:
        return False
    return True
