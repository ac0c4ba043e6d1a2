"""Builders of Services, slices and facts."""

from __future__ import annotations

from typing import Any

from pinnace.kube.objects.core_v1 import Service, ServicePort, ServiceSpec
from pinnace.kube.objects.discovery_v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.network.rules import BaseFacts
from pinnace.network.service_facts import Backend, PortFacts, ServiceFacts

BASE = BaseFacts("pinnace", "pinnace0", "10.244.0.0/20", "10.96.0.0/16", "10.244.0.1", "10.96.0.10", 10053)


def service(name: str = "web", ip: str = "10.96.0.5", *ports: ServicePort, **spec: Any) -> Service:
    ports = ports or (ServicePort(name="http", port=80, protocol="TCP"),)
    return Service(
        metadata=ObjectMeta(namespace="default", name=name),
        spec=ServiceSpec(cluster_ip=ip, ports=ports, **{"type": "ClusterIP", **spec}),
    )


def slice_of(
    *endpoints: Endpoint, port: int = 8080, name: str = "http", protocol: str = "TCP", family: str = "IPv4"
) -> EndpointSlice:
    return EndpointSlice(
        metadata=ObjectMeta(namespace="default", name="web-x", labels={"kubernetes.io/service-name": "web"}),
        address_type=family,
        endpoints=endpoints,
        ports=(EndpointPort(name=name, port=port, protocol=protocol),),
    )


def endpoint(
    ip: str,
    ready: bool | None = True,
    serving: bool | None = None,
    terminating: bool | None = None,
    hostname: str = "",
) -> Endpoint:
    conditions = EndpointConditions(ready=ready, serving=serving, terminating=terminating)
    return Endpoint(addresses=(ip,), conditions=conditions, hostname=hostname)


def facts(*backends: Backend, **changes: Any) -> ServiceFacts:
    port = PortFacts("http", changes.pop("protocol", "tcp"), 80, changes.pop("node_port", 0), backends)
    defaults: dict[str, Any] = {
        "namespace": "default",
        "name": "web",
        "cluster_ips": ("10.96.0.5",),
        "external_ips": (),
        "load_balanced": False,
        "sticky": False,
        "source_ranges": (),
        "ports": (port,),
    }
    return ServiceFacts(**{**defaults, **changes})
