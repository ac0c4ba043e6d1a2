"""Decides which tracked datagram flows lead to a place that they should no longer reach.

Pure: called by `proxy` after new rules are applied. TCP connections are never stale: they end by themselves, which is
what makes a rollout lossless. A datagram flow never ends while its client sends, so it would stick to a dead pod.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pinnace.network.conntrack import Flow


@dataclass(frozen=True, slots=True)
class Front:
    """An address and port that clients send datagrams to; an empty address stands for the host's own."""

    address: str
    port: int


def find_stale_flows(
    flows: Iterable[Flow], served: Mapping[Front, frozenset[tuple[str, int]]], host_addresses: frozenset[str]
) -> tuple[Flow, ...]:
    """Return the flows to a known front that are answered by something which is not among its backends."""
    stale = []
    for flow in flows:
        front = Front(flow.to, flow.to_port)
        if front not in served and flow.to in host_addresses:
            front = Front("", flow.to_port)
        backends = served.get(front)
        if backends is not None and (flow.server, flow.server_port) not in backends:
            stale.append(flow)
    return tuple(stale)
