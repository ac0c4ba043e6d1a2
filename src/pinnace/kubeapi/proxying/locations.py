"""Decides where a request to a `proxy` subresource goes: to which address and port, with or without TLS. Pure.

Called by `serving.py`. Source: Kubernetes v1.36, pkg/registry/core/{pod,service,node} (ResourceLocation) and
apimachinery/pkg/util/net/port_split.go; the messages are Kubernetes' own.
"""

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pinnace.base.errors import ApiError, Reason
from pinnace.kube.objects.core_v1 import Node, Pod, Service
from pinnace.kube.objects.discovery_v1 import EndpointSlice

KUBELET_PORT = 10250  # Source: Kubernetes v1.36, pkg/cluster/ports, KubeletPort


@dataclass(frozen=True, slots=True)
class Location:
    """Where a request goes."""

    host: str
    port: int
    tls: bool = False

    @property
    def authority(self) -> str:
        """The host and port as a Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a name in a path asks for. Shape: `port` is "" when none is named; else a number or a port's name."""

    name: str
    port: str = ""
    tls: bool = False


def parse_wish(text: str) -> Wish | None:
    """Return the parts of `[[SCHEME:]NAME[:PORT]]`, None for what is none. Example: "https:web:443"."""
    parts = text.split(":")
    match parts:
        case [name] if name:
            return Wish(name)
        case [name, port] if name:
            return Wish(name, port)
        case ["" | "http" | "https" as scheme, name, port] if name:
            return Wish(name, port, scheme == "https")
    return None


def locate_pod(pod: Pod, wish: Wish) -> Location:
    """Return where a pod listens: at the wished port, else at the first that one of its containers names.

    Raises: ApiError BadRequest, NotFound.
    """
    port = wish.port
    if not port:
        named = [p.container_port for c in pod.spec.containers for p in c.ports[:1] if p.container_port]
        port = str(named[0]) if named else ""
    number = _read_port(port, wish.tls)
    if number is None:
        raise ApiError(Reason.BAD_REQUEST, f'invalid pod request "{wish.name}:{port}"')
    if not pod.status.pod_ip:
        raise ApiError(Reason.BAD_REQUEST, "address not allowed")  # what a cluster says of a pod without one
    _check_address(pod.status.pod_ip)
    return Location(pod.status.pod_ip, number, wish.tls)


def locate_service(
    service: Service,
    slices: Sequence[EndpointSlice],
    wish: Wish,
    choose: Callable[[Sequence[tuple[str, int]]], tuple[str, int]],
) -> Location:
    """Return one of a Service's ready endpoints, by `choose`. Raises: ApiError ServiceUnavailable."""
    name, port = service.metadata.name, wish.port
    if port.isdigit():
        found = next((p for p in service.spec.ports if p.port == int(port)), None)
        if found is None:
            raise ApiError(
                Reason.SERVICE_UNAVAILABLE, f'no service port {int(port)} found for service "{name}"'
            )
        port = found.name
    places: list[tuple[str, int]] = [
        (address, int(one.port))
        for piece in slices
        for one in piece.ports
        if (one.name or "") == port and one.port
        for endpoint in piece.endpoints
        if endpoint.conditions is None or endpoint.conditions.ready is not False
        if endpoint.target_ref is not None
        for address in endpoint.addresses
        if _is_proxyable(address)
    ]
    if not places:
        shown = name if not any(piece.endpoints for piece in slices) else _shown(wish)
        raise ApiError(Reason.SERVICE_UNAVAILABLE, f'no endpoints available for service "{shown}"')
    address, number = choose(places)
    return Location(address, number, wish.tls)


def locate_node(node: Node, wish: Wish) -> Location | None:
    """Return where a node listens at the wished port; None for what the node serves itself.

    Raises: ApiError BadRequest.
    """
    number = _read_port(wish.port, True) if wish.port else KUBELET_PORT
    if number is None:
        raise ApiError(Reason.BAD_REQUEST, f'invalid node request "{_shown(wish)}"')
    if number == KUBELET_PORT:
        return None
    address = next((a.address for a in node.status.addresses if a.type == "InternalIP"), "")
    if not address:
        raise ApiError(Reason.BAD_REQUEST, "address not allowed")
    _check_address(address)
    return Location(address, number, wish.tls)


def _shown(wish: Wish) -> str:
    text = f"{wish.name}:{wish.port}" if wish.port else wish.name
    return f"https:{text}" if wish.tls else text


def _read_port(text: str, tls: bool) -> int | None:
    if not text:
        return 443 if tls else 80
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 65536 else None


def _check_address(address: str) -> None:
    if not _is_proxyable(address):
        raise ApiError(Reason.BAD_REQUEST, "address not allowed")


def _is_proxyable(address: str) -> bool:
    """Say whether a request may be passed on to an address. Source: pkg/proxy/util, IsProxyableIP."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found  # ::ffff:127.0.0.1 is this machine, too
    return not (found.is_loopback or found.is_link_local or found.is_multicast or found.is_unspecified)
