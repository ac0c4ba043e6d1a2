"""Holds ports of the host with bound sockets, so that nobody else gets them and nobody's own server is shadowed.

Called by `proxy`. The sockets carry no traffic: the rules translate packets before a socket sees them. A connection
that still arrives (rules flushed by somebody) is reset at once rather than left hanging.
Invariant: a port is in `held` exactly while its socket is open; each has one owner.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pinnace.network.host_ports import HostPort, find_owner

_BACKLOG = 16
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with 0 s
_TCP_LISTEN = "0A"  # Source: Linux, include/net/tcp_states.h


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a port can't be held: `owner` of ours has it, or somebody else (`owner` is ""), or `reason` says it."""

    port: HostPort
    owner: str
    reason: str


class Holders:
    """The sockets of one instance."""

    def __init__(self) -> None:
        self._sockets: dict[HostPort, socket.socket] = {}
        self._owners: dict[HostPort, str] = {}

    @property
    def held(self) -> dict[HostPort, str]:
        """Return who holds what."""
        return dict(self._owners)

    def acquire(self, owner: str, ports: Iterable[HostPort]) -> tuple[Refusal, ...]:
        """Hold ports for `owner`; return those that can't be. The others are held, also those held before."""
        return tuple(
            refusal for port in sorted(ports) if (refusal := self._acquire_one(owner, port)) is not None
        )

    def acquire_any(self, owner: str, protocol: str, address: str) -> HostPort:
        """Hold a port that the kernel chooses. Raises: OSError."""
        held = _bind(HostPort(protocol, 0, address))
        port = HostPort(protocol, held.getsockname()[1], address)
        self._keep(owner, port, held)
        return port

    def release(self, owner: str, *, keep: Iterable[HostPort] = ()) -> None:
        """Let go of all ports of `owner` but those to `keep`."""
        kept = set(keep)
        for port in [port for port, its in self._owners.items() if its == owner and port not in kept]:
            self._drop(port)

    def close(self) -> None:
        """Let go of everything."""
        for port in list(self._sockets):
            self._drop(port)

    def _acquire_one(self, owner: str, port: HostPort) -> Refusal | None:
        if self._owners.get(port) == owner:
            return None
        other = find_owner(port, self._owners, other_than=owner)
        if other is not None:
            return Refusal(port, other, f"it belongs to {other}")
        try:
            self._keep(owner, port, _bind(port))
        except OSError as error:
            reason = (
                "it is in use" if error.errno == errno.EADDRINUSE else (error.strerror or str(error)).lower()
            )
            return Refusal(port, "", reason)
        return None

    def _keep(self, owner: str, port: HostPort, held: socket.socket) -> None:
        self._sockets[port] = held
        self._owners[port] = owner
        if port.protocol == "tcp":
            asyncio.get_running_loop().add_reader(held.fileno(), _turn_away, held)

    def _drop(self, port: HostPort) -> None:
        held = self._sockets.pop(port)
        del self._owners[port]
        if port.protocol == "tcp":
            asyncio.get_running_loop().remove_reader(held.fileno())
        held.close()


def find_holder(port: HostPort) -> str:
    """Return which process has a port, as "nginx (pid 812)"; "" when it can't be told. Blocking: reads /proc.

    Source: proc(5), /proc/net/tcp and /proc/[pid]/fd.
    """
    inodes = {inode for name in (port.protocol, f"{port.protocol}6") for inode in _read_inodes(name, port)}
    if not inodes:
        return ""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in sorted((p for p in os.listdir("/proc") if p.isdigit()), key=int):
        with suppress(OSError):
            for descriptor in os.scandir(f"/proc/{process}/fd"):
                with suppress(OSError):
                    if os.readlink(descriptor.path) in wanted:
                        return f"{Path(f'/proc/{process}/comm').read_text().strip()} (pid {process})"
    return ""


def _read_inodes(name: str, port: HostPort) -> list[str]:
    try:
        lines = Path(f"/proc/self/net/{name}").read_text().splitlines()[1:]
    except OSError:
        return []
    found = []
    for line in lines:
        fields = line.split()
        local_port = int(fields[1].rpartition(":")[2], 16)
        if (
            local_port == port.port
            and fields[9] != "0"
            and (port.protocol == "udp" or fields[3] == _TCP_LISTEN)
        ):
            found.append(fields[9])
    return found


def _bind(port: HostPort) -> socket.socket:
    kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM, "sctp": socket.SOCK_SEQPACKET}[port.protocol]
    number = socket.IPPROTO_SCTP if port.protocol == "sctp" else 0
    held = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, number)
    try:
        if port.protocol == "tcp":  # else connections of an earlier server, in TIME_WAIT, would be in the way
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((port.address, port.port))
        if port.protocol == "tcp":
            held.listen(_BACKLOG)
    except OSError:
        held.close()
        raise
    return held


def _turn_away(held: socket.socket) -> None:
    with suppress(OSError):
        client, _ = held.accept()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        client.close()
