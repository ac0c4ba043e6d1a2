"""Decides what names a Service has: its own address, or those of its ready pods.

Pure but for `ApiFacts`, which reads the API's memory when a question comes, so that an answer is never older than that.

Source: Kubernetes DNS-Based Service Discovery specification 1.1.0 (github.com/kubernetes/dns, docs/specification.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Protocol

from pinnace.api.facade import Api
from pinnace.kube.kinds import ENDPOINT_SLICE, NAMESPACE, SERVICE
from pinnace.kube.objects.core_v1 import Service
from pinnace.kube.objects.discovery_v1 import EndpointSlice
from pinnace.network.service_facts import SERVICE_NAME_LABEL

HEADLESS = "None"  # Source: Kubernetes, core/v1, ClusterIPNone


@dataclass(frozen=True, slots=True)
class NamedPort:
    """A port that an SRV record tells. `protocol` is "tcp" or "udp"."""

    name: str
    protocol: str
    port: int


@dataclass(frozen=True, slots=True)
class EndpointName:
    """A ready pod behind a headless Service: its name below the Service's, its address, its ports."""

    hostname: str
    address: str
    ports: tuple[NamedPort, ...]


@dataclass(frozen=True, slots=True)
class ServiceNames:
    """What can be asked about one Service. A Service with an address has no `endpoints` here."""

    namespace: str
    name: str
    addresses: tuple[str, ...] = ()
    external_name: str = ""
    ports: tuple[NamedPort, ...] = ()
    endpoints: tuple[EndpointName, ...] = ()


class DnsFacts(Protocol):
    """What an answer may depend on."""

    @property
    def zone(self) -> str:
        """The cluster's domain, without a dot at its end."""

    @property
    def ranges(self) -> tuple[IPv4Network, ...]:
        """The ranges whose addresses are ours, so that nobody outside is asked about them."""

    def find_service(self, namespace: str, name: str) -> ServiceNames | None:
        """Return one Service's names."""

    def has_namespace(self, name: str) -> bool:
        """Say whether a namespace exists."""

    def find_name_of(self, address: str) -> str:
        """Return the full name that an address of ours has, without a dot at its end; "" if none."""


def compute_service_names(service: Service, slices: Iterable[EndpointSlice]) -> ServiceNames:
    """Return the names of one Service."""
    spec, meta = service.spec, service.metadata
    if spec.type == "ExternalName":
        return ServiceNames(meta.namespace, meta.name, external_name=spec.external_name.rstrip("."))
    ports = tuple(NamedPort(port.name, (port.protocol or "TCP").lower(), port.port) for port in spec.ports)
    if spec.cluster_ip and spec.cluster_ip != HEADLESS:
        addresses = tuple(ip for ip in (spec.cluster_ips or (spec.cluster_ip,)) if ":" not in ip)
        return ServiceNames(meta.namespace, meta.name, addresses=addresses, ports=ports)
    return ServiceNames(meta.namespace, meta.name, ports=ports, endpoints=_collect_endpoints(slices))


def _collect_endpoints(slices: Iterable[EndpointSlice]) -> tuple[EndpointName, ...]:
    found: dict[str, EndpointName] = {}
    for each in slices:
        if each.address_type != "IPv4":
            continue
        ports = tuple(NamedPort(p.name or "", (p.protocol or "TCP").lower(), p.port or 0) for p in each.ports)
        for endpoint in each.endpoints:
            if endpoint.conditions.ready is False:
                continue
            for address in endpoint.addresses[:1]:
                hostname = endpoint.hostname or address.replace(".", "-")
                found.setdefault(address, EndpointName(hostname, address, ports))
    return tuple(found[address] for address in sorted(found, key=lambda a: int(IPv4Address(a))))


class ApiFacts:
    """Facts read from the API at the moment of the question."""

    def __init__(
        self, api: Api, zone: str, ranges: tuple[IPv4Network, ...], fixed: Mapping[str, str]
    ) -> None:
        self._api = api
        self._fixed = fixed
        self.zone = zone
        self.ranges = ranges

    def find_service(self, namespace: str, name: str) -> ServiceNames | None:
        """Return one Service's names."""
        service = self._api.find(SERVICE, namespace, name)
        if service is None:
            return None
        slices = self._list_slices(namespace, name) if service.spec.cluster_ip == HEADLESS else ()
        return compute_service_names(service, slices)

    def has_namespace(self, name: str) -> bool:
        """Say whether a namespace exists."""
        return self._api.find(NAMESPACE, "", name) is not None

    def find_name_of(self, address: str) -> str:
        """Return the name of a Service's address, or of a pod with a hostname behind a headless Service."""
        if address in self._fixed:
            return self._fixed[address]
        for service in self._api.list(SERVICE):
            meta = service.metadata
            if address in (service.spec.cluster_ips or (service.spec.cluster_ip,)):
                return f"{meta.name}.{meta.namespace}.svc.{self.zone}"
        for item in self._api.list(ENDPOINT_SLICE):
            for endpoint in item.endpoints:
                owner = item.metadata.labels.get(SERVICE_NAME_LABEL)
                if endpoint.hostname and owner and address in endpoint.addresses:
                    return f"{endpoint.hostname}.{owner}.{item.metadata.namespace}.svc.{self.zone}"
        return ""

    def _list_slices(self, namespace: str, name: str) -> tuple[EndpointSlice, ...]:
        def belongs(labels: Mapping[str, str]) -> bool:
            return labels.get(SERVICE_NAME_LABEL) == name

        return self._api.list(ENDPOINT_SLICE, namespace, labels=belongs)
