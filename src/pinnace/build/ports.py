"""Reads the ports of EXPOSE. Pure.

Source: BuildKit, dockerfile2llb/convert_expose.go (behaviour): [[IP:]HOST-PORT:]PORT[-LAST][/PROTOCOL], of which an image
keeps only what is inside the container.
"""

from __future__ import annotations

PROTOCOLS = ("tcp", "udp", "sctp")
PORT_MAX = 65535


def parse_ports(text: str) -> list[str]:
    """Return the ports of one word as an image's configuration names them. Raises: ValueError.

    Example: "8000-8001/UDP" → ["8000/udp", "8001/udp"].
    """
    ports, _, protocol = text.rpartition(":")[2].partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in PROTOCOLS:
        raise ValueError(f"invalid port: {text!r}: invalid proto: {protocol}")
    first, dash, last = ports.partition("-")
    parts = (first, last if dash else first)
    numbers = [int(part) if part.isdecimal() and part.isascii() else -1 for part in parts]
    if not 0 <= numbers[0] <= numbers[1] <= PORT_MAX:
        raise ValueError(f"invalid containerPort: {ports or text!r}")
    return [f"{port}/{protocol}" for port in range(numbers[0], numbers[1] + 1)]
