"""Decides which datagram addresses lead to which backends now. Pure: called by `proxy` for `stale`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pinnace.network.host_ports import HostPort
from pinnace.network.service_facts import ServiceFacts
from pinnace.network.stale import Front


def compute_fronts(
    services: Iterable[ServiceFacts], held: Mapping[HostPort, str]
) -> dict[Front, frozenset[tuple[str, int]]]:
    """Return the backends behind each datagram address and port; host ports only while they are held."""
    fronts: dict[Front, frozenset[tuple[str, int]]] = {}
    for service in services:
        for port in service.ports:
            if port.protocol != "udp":
                continue
            backends = frozenset((backend.address, backend.port) for backend in port.backends)
            for address in service.cluster_ips + service.external_ips:
                fronts[Front(address, port.port)] = backends
            for number in (port.port if service.load_balanced else 0, port.node_port):
                if number and HostPort("udp", number) in held:
                    fronts[Front("", number)] = backends
    return fronts
