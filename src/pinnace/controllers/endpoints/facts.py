"""Decides, for one Service and one pod, whether the pod is an endpoint, in what condition, and on which ports.

Pure. Called by `slices.py` and `legacy.py`. Source: Kubernetes v1.36, staging endpointslice/utils.go and
pkg/controller/endpoint/endpoints_controller.go.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pinnace.controllers.pods import is_ended, is_ready, is_terminating
from pinnace.kube.objects.core_v1 import ObjectReference, Pod, Service, ServicePort

MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
SLICE_MANAGER = "endpointslice-controller.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"
HEADLESS = "service.kubernetes.io/headless"


@dataclass(frozen=True, slots=True, order=True)
class Port:
    """One port of an endpoint, resolved to a number."""

    name: str
    port: int
    protocol: str
    app_protocol: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """One pod behind a Service. `ready`: may get new connections; `serving`: ready but for its termination."""

    pod: Pod
    ip: str
    ready: bool
    serving: bool
    terminating: bool
    hostname: str
    ports: tuple[Port, ...]


def is_headless(service: Service) -> bool:
    """Say whether the Service has no address of its own."""
    return service.spec.cluster_ip == "None"


def has_endpoints(service: Service) -> bool:
    """Say whether endpoints are ours to make: there is a selector, and the Service is no alias."""
    return bool(service.spec.selector) and service.spec.type != "ExternalName"


def find_members(service: Service, pods: Iterable[Pod]) -> tuple[Member, ...]:
    """Return the pods that the selector finds, have an address and have not ended; sorted by name."""
    wanted = service.spec.selector.items()
    chosen = (
        pod
        for pod in pods
        if wanted <= pod.metadata.labels.items() and pod.status.pod_ip and not is_ended(pod)
    )
    return tuple(_as_member(service, pod) for pod in sorted(chosen, key=lambda pod: pod.metadata.name))


def _as_member(service: Service, pod: Pod) -> Member:
    serving, terminating = is_ready(pod), is_terminating(pod)
    named = pod.spec.hostname and pod.spec.subdomain == service.metadata.name
    return Member(
        pod=pod,
        ip=pod.status.pod_ip,
        ready=bool(service.spec.publish_not_ready_addresses) or (serving and not terminating),
        serving=serving,
        terminating=terminating,
        hostname=pod.spec.hostname if named else "",
        ports=resolve_ports(service.spec.ports, pod),
    )


def resolve_ports(ports: Sequence[ServicePort], pod: Pod) -> tuple[Port, ...]:
    """Return the ports with their targets as numbers; a target name that the pod lacks is left out.

    Example: targetPort "http" of a pod whose container has containerPort 8000 named "http" is 8000.
    """
    found = ((port, _resolve(port, pod)) for port in ports)
    return tuple(
        Port(port.name, number, port.protocol or "TCP", port.app_protocol)
        for port, number in found
        if number is not None
    )


def _resolve(port: ServicePort, pod: Pod) -> int | None:
    target = port.target_port
    if isinstance(target, int):
        return target or port.port
    if not target:
        return port.port
    sidecars = (c for c in pod.spec.init_containers if c.restart_policy == "Always")
    for container in (*pod.spec.containers, *sidecars):
        for candidate in container.ports:
            if candidate.name == target and (candidate.protocol or "TCP") == (port.protocol or "TCP"):
                return candidate.container_port
    return None


def reference_to(pod: Pod) -> ObjectReference:
    """Return the reference by which an endpoint names its pod."""
    return ObjectReference(
        kind="Pod", namespace=pod.metadata.namespace, name=pod.metadata.name, uid=pod.metadata.uid
    )
