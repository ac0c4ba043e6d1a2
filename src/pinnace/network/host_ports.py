"""Names the ports of the host that Services and containers want, and decides who of ours has one already.

Pure. Called by `holders` and `proxy`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pinnace.network.service_facts import ServiceFacts

ANY_ADDRESS = "0.0.0.0"


@dataclass(frozen=True, slots=True, order=True)
class HostPort:
    """A port of the host, on all its addresses unless `address` is one of them."""

    protocol: str
    port: int
    address: str = ANY_ADDRESS

    def overlaps(self, other: HostPort) -> bool:
        """Say whether both can't be held at once."""
        same = self.protocol == other.protocol and self.port == other.port
        return same and (self.address == other.address or ANY_ADDRESS in (self.address, other.address))

    def __str__(self) -> str:
        place = "" if self.address == ANY_ADDRESS else f"{self.address}:"
        return f"{place}{self.port}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The host ports that one Service wants."""

    load_balancer: frozenset[HostPort]
    node: frozenset[HostPort]

    @property
    def all(self) -> frozenset[HostPort]:
        """Both kinds."""
        return self.load_balancer | self.node


def compute_wanted(facts: ServiceFacts) -> Wanted:
    """Return the host ports of a Service: its ports when it is load-balanced, and its node ports."""
    node = frozenset(HostPort(port.protocol, port.node_port) for port in facts.ports if port.node_port)
    if not facts.load_balanced:
        return Wanted(frozenset(), node)
    return Wanted(frozenset(HostPort(port.protocol, port.port) for port in facts.ports), node)


def find_owner(port: HostPort, held: Mapping[HostPort, str], *, other_than: str) -> str | None:
    """Return who of ours holds a port that overlaps, unless it is the one who asks."""
    owners: Iterable[str] = (
        owner for mine, owner in held.items() if owner != other_than and mine.overlaps(port)
    )
    return next(iter(owners), None)
