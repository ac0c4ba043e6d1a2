"""Makes and reads links, addresses and routes: one function per request to the kernel.

Called by `bridge` in its thread, with a socket of the namespace that is meant. Blocking; keeps no state.

Source: Linux, include/uapi/linux/{rtnetlink,if_link,if_addr,veth}.h.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from pinnace.network.netlink import (
    CREATE,
    DUMP,
    EXCLUSIVE,
    REPLACE,
    ROUTE,
    NetlinkSocket,
    attribute,
    nested,
    parse_attributes,
    text,
    u8,
    u32,
)

NEW_LINK, DELETE_LINK, GET_LINK = 16, 17, 18
NEW_ADDRESS, DELETE_ADDRESS, GET_ADDRESS = 20, 21, 22
NEW_ROUTE, DELETE_ROUTE, GET_ROUTE = 24, 25, 26

_LINK = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")  # rtmsg: family, dst, src, tos, table, protocol, scope, type, flags

_MAC, _NAME, _MTU, _PEER, _MASTER, _INFO, _ALIAS, _NAMESPACE_FD = 1, 3, 4, 5, 10, 18, 20, 28
_INFO_KIND, _INFO_DATA, _INFO_PORT_KIND, _INFO_PORT_DATA = 1, 2, 4, 5
_BRIDGE_PORT_HAIRPIN = 4  # IFLA_BRPORT_MODE
_VETH_PEER = 1
_ADDRESS_ADDRESS, _ADDRESS_LOCAL = 1, 2
_ROUTE_TO, _ROUTE_DEVICE, _ROUTE_GATEWAY, _ROUTE_SOURCE = 1, 4, 5, 7

_UP = 0x1
_TABLE_MAIN, _PROTOCOL_STATIC, _UNICAST = 254, 4, 1
_SCOPE_UNIVERSE, _SCOPE_LINK = 0, 253
_TYPE_LOCAL_TABLE = 255
_CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Device:
    """A network device as the kernel describes it; `peer` is the index of a veth's other end."""

    index: int
    name: str
    mac: str
    mtu: int
    master: int
    peer: int
    alias: str
    kind: str
    up: bool


@dataclass(frozen=True, slots=True)
class Route:
    """One IPv4 route of the main table."""

    network: IPv4Network
    device: int
    gateway: str


@contextmanager
def inside(netns_path: str) -> Iterator[None]:
    """Let this thread stand in another network namespace; only netlink sockets and sysctls are touched there."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(netns_path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _set_namespace(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _set_namespace(home)
    finally:
        os.close(home)


def list_devices(kernel: NetlinkSocket) -> tuple[Device, ...]:
    """Return all devices of the socket's namespace, in the kernel's order."""
    answers = kernel.request(GET_LINK, DUMP, _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0))
    return tuple(parse_device(answer.body) for answer in answers)


def find_device(kernel: NetlinkSocket, name: str) -> Device | None:
    """Return one device by its name."""
    try:
        answers = kernel.request(GET_LINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + text(_NAME, name))
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == 19:  # ENODEV
            return None
        raise
    return parse_device(answers[0].body) if answers else None


def parse_device(body: bytes) -> Device:
    """Unpack a link message."""
    _, _, index, flags, _ = _LINK.unpack_from(body)
    found = parse_attributes(body, _LINK.size)
    info = parse_attributes(found.get(_INFO, b""))
    return Device(
        index=index,
        name=_text(found.get(_NAME)),
        mac=":".join(f"{byte:02x}" for byte in found.get(_MAC, b"")),
        mtu=_number(found.get(_MTU)),
        master=_number(found.get(_MASTER)),
        peer=_number(found.get(_PEER)),
        alias=_text(found.get(_ALIAS)),
        kind=_text(info.get(_INFO_KIND)),
        up=bool(flags & _UP),
    )


def add_bridge(kernel: NetlinkSocket, name: str, mac: str, mtu: int, alias: str) -> int:
    """Make a bridge, set it up, and return its index. Raises: NetlinkError (EEXIST when the name is taken)."""
    body = _LINK.pack(socket.AF_UNSPEC, 0, 0, _UP, _UP) + b"".join(
        (
            text(_NAME, name),
            attribute(_MAC, _pack_mac(mac)),
            u32(_MTU, mtu),
            nested(_INFO, attribute(_INFO_KIND, b"bridge")),
        )
    )
    kernel.request(NEW_LINK, CREATE | EXCLUSIVE, body)
    device = find_device(kernel, name)
    if device is None:
        raise OSError(19, f"{name} vanished right after it was made")
    set_device(kernel, device.index, up=True, alias=alias)
    return device.index


def add_pair(
    kernel: NetlinkSocket,
    name: str,
    *,
    bridge: int,
    mtu: int,
    alias: str,
    netns_fd: int,
    inner: str,
    inner_mac: str,
) -> int:
    """Make a veth pair, one end a hairpin port of the bridge, the other in a namespace; return the port's index."""
    peer = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + b"".join(
        (
            text(_NAME, inner),
            attribute(_MAC, _pack_mac(inner_mac)),
            u32(_MTU, mtu),
            u32(_NAMESPACE_FD, netns_fd),
        )
    )
    body = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + b"".join(
        (
            text(_NAME, name),
            u32(_MTU, mtu),
            nested(_INFO, attribute(_INFO_KIND, b"veth"), nested(_INFO_DATA, attribute(_VETH_PEER, peer))),
        )
    )
    kernel.request(NEW_LINK, CREATE | EXCLUSIVE, body)
    device = find_device(kernel, name)
    if device is None:
        raise OSError(19, f"{name} vanished right after it was made")
    write_sysctl(f"net/ipv6/conf/{name}/disable_ipv6", "1")
    enslave(kernel, device.index, bridge, alias=alias)
    return device.index


def enslave(kernel: NetlinkSocket, index: int, bridge: int, *, alias: str | None = None) -> None:
    """Make a device an up, hairpin port of the bridge."""
    set_device(kernel, index, up=True, master=bridge, alias=alias)
    hairpin = nested(
        _INFO,
        attribute(_INFO_PORT_KIND, b"bridge"),
        nested(_INFO_PORT_DATA, u8(_BRIDGE_PORT_HAIRPIN, 1)),
    )
    kernel.request(NEW_LINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0) + hairpin)


def set_device(
    kernel: NetlinkSocket,
    index: int,
    *,
    up: bool | None = None,
    master: int | None = None,
    alias: str | None = None,
    mtu: int | None = None,
) -> None:
    """Change what is given of one device."""
    attributes = b""
    if master is not None:
        attributes += u32(_MASTER, master)
    if alias is not None:
        attributes += attribute(_ALIAS, alias.encode())
    if mtu is not None:
        attributes += u32(_MTU, mtu)
    flags, change = (_UP if up else 0, 0 if up is None else _UP)
    kernel.request(NEW_LINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, index, flags, change) + attributes)


def delete_device(kernel: NetlinkSocket, index: int) -> None:
    """Delete a device; one that is gone already is fine."""
    try:
        kernel.request(DELETE_LINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0))
    except OSError as error:
        if error.errno != 19:  # ENODEV
            raise


def add_address(kernel: NetlinkSocket, index: int, address: IPv4Address, prefix: int) -> None:
    """Give a device an address; one that it has already is fine."""
    body = _ADDRESS.pack(socket.AF_INET, prefix, 0, _SCOPE_UNIVERSE, index)
    body += attribute(_ADDRESS_LOCAL, address.packed) + attribute(_ADDRESS_ADDRESS, address.packed)
    kernel.request(NEW_ADDRESS, CREATE | REPLACE, body)


def delete_address(kernel: NetlinkSocket, index: int, address: IPv4Address, prefix: int) -> None:
    """Take an address from a device."""
    body = _ADDRESS.pack(socket.AF_INET, prefix, 0, _SCOPE_UNIVERSE, index)
    kernel.request(DELETE_ADDRESS, 0, body + attribute(_ADDRESS_LOCAL, address.packed))


def list_addresses(kernel: NetlinkSocket) -> tuple[tuple[int, IPv4Address, IPv4Network], ...]:
    """Return (device index, address, its network) of all IPv4 addresses."""
    answers = kernel.request(GET_ADDRESS, DUMP, _ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0))
    found = []
    for answer in answers:
        _, prefix, _, _, index = _ADDRESS.unpack_from(answer.body)
        attributes = parse_attributes(answer.body, _ADDRESS.size)
        packed = attributes.get(_ADDRESS_LOCAL) or attributes.get(_ADDRESS_ADDRESS)
        if packed:
            address = IPv4Address(packed)
            found.append((index, address, IPv4Network((address, prefix), strict=False)))
    return tuple(found)


def parse_address_index(body: bytes) -> int:
    """Return the device that an address message is about."""
    return int(_ADDRESS.unpack_from(body)[4])


def add_route(
    kernel: NetlinkSocket,
    network: IPv4Network,
    device: int,
    *,
    gateway: IPv4Address | None = None,
    source: IPv4Address | None = None,
) -> None:
    """Add a route of the main table; with a gateway, that gateway must be reachable already."""
    scope = _SCOPE_LINK if gateway is None else _SCOPE_UNIVERSE
    body = _ROUTE.pack(
        socket.AF_INET, network.prefixlen, 0, 0, _TABLE_MAIN, _PROTOCOL_STATIC, scope, _UNICAST, 0
    ) + u32(_ROUTE_DEVICE, device)
    if network.prefixlen:
        body += attribute(_ROUTE_TO, network.network_address.packed)
    if gateway is not None:
        body += attribute(_ROUTE_GATEWAY, gateway.packed)
    if source is not None:
        body += attribute(_ROUTE_SOURCE, source.packed)
    kernel.request(NEW_ROUTE, CREATE | REPLACE, body)


def list_routes(kernel: NetlinkSocket) -> tuple[Route, ...]:
    """Return the IPv4 unicast routes, without those of the local table."""
    answers = kernel.request(GET_ROUTE, DUMP, _ROUTE.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0))
    found = []
    for answer in answers:
        _, prefix, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(answer.body)
        if kind != _UNICAST or table == _TYPE_LOCAL_TABLE:
            continue
        attributes = parse_attributes(answer.body, _ROUTE.size)
        network = IPv4Network((attributes.get(_ROUTE_TO, b"\0\0\0\0"), prefix))
        gateway = attributes.get(_ROUTE_GATEWAY)
        found.append(
            Route(
                network, _number(attributes.get(_ROUTE_DEVICE)), str(IPv4Address(gateway)) if gateway else ""
            )
        )
    return tuple(found)


def open_route_socket() -> NetlinkSocket:
    """Return a socket for links, addresses and routes of the thread's namespace."""
    return NetlinkSocket(ROUTE)


def write_sysctl(name: str, value: str) -> bool:
    """Set a kernel setting, if this kernel has it; say whether it has."""
    path = f"/proc/sys/{name}"
    try:
        with open(path, "r+") as file:
            if file.read().strip() != value:
                file.seek(0)
                file.write(value)
    except FileNotFoundError:
        return False
    return True


def _set_namespace(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")


def _pack_mac(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def _text(value: bytes | None) -> str:
    return "" if value is None else value.rstrip(b"\0").decode(errors="replace")


def _number(value: bytes | None) -> int:
    return 0 if not value else int(struct.unpack_from("=I", value)[0])
