"""Holds what a person can choose about the write path. Built by `daemon/` and `simulate/`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """Ranges and bounds of the write path.

    Units: `event_ttl_s` seconds; `cache_size` decoded objects.
    Shape: the first address of `service_range` belongs to the Service `kubernetes`, `dns_ip` to `kube-dns`.
    """

    service_range: str = "10.96.0.0/16"
    dns_ip: str = "10.96.0.10"
    node_port_first: int = 30000  # Source: Kubernetes v1.36, kube-apiserver --service-node-port-range
    node_port_last: int = 32767
    event_ttl_s: float = 3600.0  # Source: Kubernetes v1.36, kube-apiserver --event-ttl
    cache_size: int = 20_000
