"""Reads `-p [IP:][HOST:]CONTAINER[/PROTOCOL]`, with ranges, and shows ports as `ps` does. Pure.

Source: docker/go-connections, nat/nat.go (ParsePortSpec); docker/cli, formatter/container.go (DisplayablePorts).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from pinnace.base.errors import UserError
from pinnace.kube.objects.pinnace_v1 import PortBinding

PROTOCOLS = ("tcp", "udp", "sctp")
_HOW = "-p [IP:][HOSTPORT:]CONTAINERPORT[/tcp|udp], such as 8080:80"


def parse_publish(text: str) -> tuple[PortBinding, ...]:
    """Return the bindings. Raises: UserError.

    Example: "127.0.0.1:8000-8001:80-81" binds 8000 to 80 and 8001 to 81 there; "80" lets the kernel choose.
    """
    body, slash, protocol = text.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    if protocol not in PROTOCOLS:
        raise UserError(f"invalid port {text!r}: unknown protocol {protocol!r}", _HOW)
    left, _, container = body.rpartition(":")
    if left.startswith("["):
        raise UserError(f"invalid port {text!r}: IPv6 addresses are not published", _HOW)
    ip, _, host = left.rpartition(":")
    if ip:
        try:
            ip = str(ipaddress.IPv4Address(ip))
        except ValueError:
            raise UserError(f"invalid port {text!r}: {ip!r} is not an IPv4 address", _HOW) from None
    inside = _parse_range(container, text)
    outside = _parse_range(host, text) if host else [0] * len(inside)
    if len(inside) != len(outside):
        raise UserError(f"invalid port {text!r}: the ranges are not of one length", _HOW)
    return tuple(
        PortBinding(container_port=to, protocol=protocol, host_ip=ip, host_port=port)
        for to, port in zip(inside, outside, strict=True)
    )


def parse_exposed(text: str) -> tuple[str, ...]:
    """Return ports as "80/tcp". Example: "53/udp", "8000-8001". Raises: UserError."""
    body, slash, protocol = text.partition("/")
    if slash and protocol.lower() not in PROTOCOLS:
        raise UserError(f"invalid port {text!r}: unknown protocol {protocol!r}", "PORT[/tcp|udp]")
    return tuple(f"{port}/{protocol.lower() or 'tcp'}" for port in _parse_range(body, text))


def _parse_range(text: str, whole: str) -> list[int]:
    first, dash, last = text.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise UserError(f"invalid port {whole!r}: {text!r} is not a port", _HOW)
    low, high = int(first), int(last or first)
    if not 1 <= low <= high <= 65535:
        raise UserError(f"invalid port {whole!r}: {text} is out of range", "ports go from 1 to 65535")
    return list(range(low, high + 1))


def render_ports(bindings: Iterable[PortBinding], exposed: Iterable[str] = ()) -> str:
    """Return the PORTS cell. Example: "0.0.0.0:8080->80/tcp, 9090/tcp"."""
    bound = sorted(bindings, key=lambda b: (b.container_port, b.protocol, b.host_port))
    taken = {f"{b.container_port}/{b.protocol}" for b in bound}
    cells = [f"{b.host_ip or '0.0.0.0'}:{b.host_port}->{b.container_port}/{b.protocol}" for b in bound]
    cells += [port for port in sorted(exposed, key=lambda p: int(p.split("/")[0])) if port not in taken]
    return ", ".join(cells)
