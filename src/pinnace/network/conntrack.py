"""Reads and deletes entries of the kernel's connection tracking.

Called by `proxy` in a thread. Blocking; decides nothing: which entries are stale is `stale.py`'s decision.

Source: Linux, include/uapi/linux/netfilter/nfnetlink_conntrack.h; the filter of dumps exists since 5.8, and is only an
optimisation here: what comes back is filtered again.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from pinnace.network.netlink import (
    DUMP,
    NETFILTER,
    NetlinkSocket,
    attribute,
    iter_attributes,
    nested,
    parse_attributes,
    u32,
)

TCP, UDP = socket.IPPROTO_TCP, socket.IPPROTO_UDP

_GET, _DELETE = (1 << 8) | 1, (1 << 8) | 2
_ORIGINAL, _REPLY, _PROTOCOL_INFO, _TIMEOUT, _FILTER = 1, 2, 4, 7, 25
_TUPLE_IP, _TUPLE_PROTOCOL = 1, 2
_FILTER_ORIGINAL_FLAGS, _FILTER_REPLY_FLAGS = 1, 2
_FLAG_SOURCE, _FLAG_PROTOCOL = 1 << 0, 1 << 3
_FAMILY = struct.pack("=BBH", socket.AF_INET, 0, 0)

# Source: Linux, include/uapi/linux/netfilter/nf_conntrack_tcp.h, enum tcp_conntrack.
_TCP_STATES = (
    "none",
    "syn_sent",
    "syn_recv",
    "established",
    "fin_wait",
    "close_wait",
    "last_ack",
    "time_wait",
    "close",
)
_OPEN_STATES = frozenset(_TCP_STATES[1:6])


@dataclass(frozen=True, slots=True)
class Flow:
    """One tracked connection: as the client sees it (`to_*`), and who really answers (`server_*`).

    Units: `left_s` is when the kernel forgets it unless another packet comes. `state` is "" but for TCP.
    """

    protocol: int
    client: str
    client_port: int
    to: str
    to_port: int
    server: str
    server_port: int
    state: str
    left_s: int
    original: bytes

    @property
    def is_open(self) -> bool:
        """Say whether a TCP connection has not been closed by both ends."""
        return self.state in _OPEN_STATES


def list_flows(protocol: int, *, server: str = "") -> tuple[Flow, ...]:
    """Return the tracked flows of one protocol, of one answering address if `server` is given."""
    flags = _FLAG_PROTOCOL | (_FLAG_SOURCE if server else 0)
    address = attribute(1, IPv4Address(server).packed) if server else attribute(1, b"\0" * 4)
    wanted = nested(
        _REPLY,
        nested(_TUPLE_IP, address, attribute(2, b"\0" * 4)),
        nested(_TUPLE_PROTOCOL, attribute(1, bytes((protocol,)))),
    )
    chosen = nested(_FILTER, u32(_FILTER_ORIGINAL_FLAGS, 0), u32(_FILTER_REPLY_FLAGS, flags))
    with NetlinkSocket(NETFILTER) as kernel:
        try:
            answers = kernel.request(_GET, DUMP, _FAMILY + wanted + chosen)
        except OSError:  # no such filter: an older kernel
            answers = kernel.request(_GET, DUMP, _FAMILY)
    flows = [flow for answer in answers if (flow := _parse_flow(answer.body)) is not None]
    return tuple(flow for flow in flows if flow.protocol == protocol and server in ("", flow.server))


def delete_flows(flows: Iterable[Flow]) -> int:
    """Delete tracked flows, so that their next packet is looked up anew; return how many there still were."""
    deleted = 0
    with NetlinkSocket(NETFILTER) as kernel:
        for flow in flows:
            try:
                kernel.request(_DELETE, 0, _FAMILY + attribute(_ORIGINAL | 0x8000, flow.original))
                deleted += 1
            except FileNotFoundError:
                continue
    return deleted


def read_timeout_s(state: str) -> int:
    """Return how long the kernel remembers a silent TCP connection in this state; 0 when it doesn't say."""
    try:
        with open(f"/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_{state}") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def _parse_flow(body: bytes) -> Flow | None:
    original = reply = b""
    state, left_s = "", 0
    for kind, value in iter_attributes(body, 4):
        if kind == _ORIGINAL:
            original = value
        elif kind == _REPLY:
            reply = value
        elif kind == _TIMEOUT:
            left_s = int(struct.unpack(">I", value)[0])
        elif kind == _PROTOCOL_INFO:
            tcp = parse_attributes(parse_attributes(value).get(1, b""))
            if 1 in tcp and tcp[1][0] < len(_TCP_STATES):
                state = _TCP_STATES[tcp[1][0]]
    there, back = _parse_tuple(original), _parse_tuple(reply)
    if there is None or back is None:
        return None
    return Flow(there[0], there[1], there[2], there[3], there[4], back[1], back[2], state, left_s, original)


def _parse_tuple(data: bytes) -> tuple[int, str, int, str, int] | None:
    parts = parse_attributes(data)
    addresses, protocol = (
        parse_attributes(parts.get(_TUPLE_IP, b"")),
        parse_attributes(parts.get(_TUPLE_PROTOCOL, b"")),
    )
    if not {1, 2} <= addresses.keys() or 1 not in protocol or len(addresses[1]) != 4:
        return None
    source_port, target_port = (int.from_bytes(protocol.get(kind, b"\0\0")) for kind in (2, 3))
    return (
        protocol[1][0],
        socket.inet_ntoa(addresses[1]),
        source_port,
        socket.inet_ntoa(addresses[2]),
        target_port,
    )
