"""Makes the instance's bridge and the links of its pods, and puts them back when somebody takes them away.

Called by `sandbox` (attach, detach) and `daemon` (ensure, remove_all). All netlink work runs in one thread of its own;
the loop never waits. The kernel is the only state: the alias of each link names its key and address, the alias of the
bridge where the next address is looked for, so a restarted daemon finds everything as it was.
Invariant: after `attach(key)` returns, the key's address is reachable from the host; after `detach(key)` nothing of it is left.

Pods have a /32 address and reach everything, each other too, through the gateway. So each packet passes the host's
connection tracking, and a pod that talks to a Service gets its answers translated back (with a common subnet the answer
would take the short way across the bridge, untranslated, unless br_netfilter happens to be loaded).
IPv6 is switched off on a pod's eth0 (its lo keeps ::1), on the bridge and on its ports.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import TypeVar

from pinnace.base.errors import HostError
from pinnace.network import links
from pinnace.network.addresses import (
    DEFAULT_PODS_RANGE,
    DEFAULT_SERVICES_RANGE,
    Addresses,
    choose_range,
    derive_bridge_name,
    derive_mac,
    derive_port_name,
    find_overlaps,
)
from pinnace.network.aliases import parse_alias, render_alias
from pinnace.network.events import KernelEvents
from pinnace.network.netlink import NetlinkSocket

log = logging.getLogger("pinnace.network")

T = TypeVar("T")

INNER_NAME = "eth0"
_HOST_PREFIX = 32


@dataclass(frozen=True, slots=True)
class Link:
    """What a pod got: its address, where it sends packets, and its device's MAC and MTU."""

    key: str
    ip: str
    gateway: str
    mac: str
    mtu: int
    device: str


@dataclass(frozen=True, slots=True)
class _State:
    """What is known of the bridge; replaced as a whole by the thread."""

    index: int
    mtu: int
    addresses: Addresses
    links: dict[str, Link]


class Network:
    """The bridge of one instance, its addresses and its links.

    `on_report(message)` hears what happened behind our back, in a sentence for an Event or `status`.
    """

    def __init__(
        self,
        instance: str = "pinnace",
        *,
        pods_range: str | IPv4Network = DEFAULT_PODS_RANGE,
        services_range: str | IPv4Network = DEFAULT_SERVICES_RANGE,
        on_report: Callable[[str], None] | None = None,
    ) -> None:
        self.instance = instance
        self.bridge = derive_bridge_name(instance)
        self._wanted = IPv4Network(pods_range)
        self.services_range = IPv4Network(services_range)
        self._on_report = on_report or (lambda message: log.warning("%s", message))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"{self.bridge}-netlink")
        self._kernel: NetlinkSocket | None = None
        self._state: _State | None = None
        self._events: KernelEvents | None = None
        self._repair: asyncio.Task[None] | None = None
        self._removing = False
        self._address_listeners: list[Callable[[], None]] = []

    @property
    def range(self) -> IPv4Network:
        """The pods' range that was chosen. Raises: HostError before `ensure`."""
        return self._known().addresses.network

    @property
    def gateway(self) -> str:
        """The bridge's address, where DNS and API listen. Raises: HostError before `ensure`."""
        return str(self._known().addresses.gateway)

    @property
    def mtu(self) -> int:
        """The MTU of the bridge and of each link, the uplink's."""
        return self._known().mtu

    def list_links(self) -> Mapping[str, Link]:
        """Return the links that exist, by key."""
        return dict(self._known().links)

    def on_address_change(self, listener: Callable[[], None]) -> None:
        """Have `listener` called when the host's addresses or routes change."""
        self._address_listeners.append(listener)

    async def ensure(self) -> None:
        """Make the bridge, or take over the one that an earlier daemon left, with all its links.

        Raises: HostError when no range is free or the kernel refuses.
        """
        self._removing = False
        if self._events is None:
            self._events = KernelEvents.of_links(self._hear, self._schedule_repair)
        await self._in_thread(self._ensure)

    async def attach(self, netns_path: str | os.PathLike[str], key: str, *, hostname: str = "") -> Link:
        """Give a network namespace its eth0, address and routes; the same key in the same namespace changes nothing.

        A key keeps its address until `detach`, also when its namespace was made anew.
        Raises: HostError when the namespace is missing or the range is full.
        """
        return await self._in_thread(lambda: self._attach(os.fspath(netns_path), key, hostname))

    async def detach(self, key: str) -> None:
        """Remove the link of `key` and release its address; nothing to remove is fine."""
        await self._in_thread(lambda: self._detach(key))

    async def remove_all(self) -> None:
        """Remove the bridge and all links of this instance; forwarding stays on, since others may rely on it by now."""
        self._removing = True
        await self._stop_listening()
        await self._in_thread(self._remove_all)

    async def close(self) -> None:
        """Stop listening and end the thread; bridge and links stay, for the next daemon."""
        await self._stop_listening()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close_socket)
        self._thread.shutdown(wait=False)

    # What follows runs in the thread.

    def _ensure(self) -> None:
        kernel = self._open()
        devices = links.list_devices(kernel)
        ours = next((device for device in devices if device.name == self.bridge), None)
        if ours is not None and ours.kind != "bridge":
            raise HostError(
                f"{self.bridge} exists and is no bridge ({ours.kind or 'a device'})",
                hint="choose another PINNACE_NAME",
            )
        addresses = self._find_addresses(kernel, devices, ours)
        mtu = find_uplink_mtu(kernel, devices)
        if ours is None:
            mac = derive_mac(addresses.gateway)
            index = links.add_bridge(kernel, self.bridge, mac, mtu, self._render_bridge_alias(addresses))
        else:
            index = ours.index
            links.set_device(kernel, index, up=True, mtu=mtu if mtu != ours.mtu else None)
        self._set_up_bridge(kernel, index, addresses)
        known = self._collect_links(kernel, devices, index, mtu, addresses)
        self._state = _State(index, mtu, addresses, known)

    def _find_addresses(
        self, kernel: NetlinkSocket, devices: tuple[links.Device, ...], ours: links.Device | None
    ) -> Addresses:
        if self._state is not None:
            return self._state.addresses
        index = ours.index if ours is not None else -1
        present = [entry for entry in links.list_addresses(kernel) if entry[0] == index]
        foreign = [route.network for route in links.list_routes(kernel) if route.device != index]
        foreign += [network for owner, _, network in links.list_addresses(kernel) if owner != index]
        if overlaps := find_overlaps(self.services_range, foreign):
            self._on_report(
                f"Services range {self.services_range} overlaps {overlaps[0]} of this host: "
                "choose another with --service-range if Services can't be reached"
            )
        owners = self._read_owners(devices)
        network = present[0][2] if present and owners else choose_range(self._wanted, foreign)
        if network != self._wanted and not (present and owners):
            self._on_report(f"pods range {self._wanted} is taken on this host; {network} is used")
        for _, address, its in present:
            if its != network:  # an earlier run had another range, and no pod is left from it
                links.delete_address(kernel, index, address, its.prefixlen)
        cursor = int(parse_alias(ours.alias).get("next", "0")) if ours is not None else 0
        return Addresses.restore(network, owners, cursor)

    def _read_owners(self, devices: tuple[links.Device, ...]) -> dict[str, IPv4Address]:
        owners = {}
        for device in devices:
            alias = parse_alias(device.alias)
            if device.kind == "veth" and alias.get("instance") == self.instance and "key" in alias:
                owners[alias["key"]] = IPv4Address(alias["ip"])
        return owners

    def _set_up_bridge(self, kernel: NetlinkSocket, index: int, addresses: Addresses) -> None:
        links.write_sysctl("net/ipv4/ip_forward", "1")
        here = f"net/ipv4/conf/{self.bridge}"
        links.write_sysctl(
            f"{here}/route_localnet", "1"
        )  # 127.0.0.1:PORT of the host is translated to a pod's address
        # Pods must not learn to bypass the gateway. The kernel takes "all" or the device's own, so both must be 0; other
        # devices keep theirs, which is 1 unless somebody wanted otherwise.
        links.write_sysctl(f"{here}/send_redirects", "0")
        links.write_sysctl("net/ipv4/conf/all/send_redirects", "0")
        links.write_sysctl(f"{here}/rp_filter", "2")  # strict checking would drop answers to 127.0.0.1
        links.write_sysctl(f"net/ipv6/conf/{self.bridge}/disable_ipv6", "1")
        links.add_address(kernel, index, addresses.gateway, addresses.network.prefixlen)
        foreign = [
            r for r in links.list_routes(kernel) if r.network == self.services_range and r.device != index
        ]
        if not foreign:  # another instance with the same range has it: the rules work without it
            links.add_route(kernel, self.services_range, index, source=addresses.gateway)

    def _collect_links(
        self,
        kernel: NetlinkSocket,
        devices: tuple[links.Device, ...],
        bridge: int,
        mtu: int,
        addresses: Addresses,
    ) -> dict[str, Link]:
        found = {}
        for device in devices:
            alias = parse_alias(device.alias)
            if device.kind != "veth" or alias.get("instance") != self.instance or "key" not in alias:
                continue
            if device.master != bridge or not device.up:
                links.enslave(kernel, device.index, bridge)
            address = IPv4Address(alias["ip"])
            link = self._describe(alias["key"], address, addresses.gateway, device.mtu or mtu, device.name)
            found[link.key] = link
        return found

    def _attach(self, netns_path: str, key: str, hostname: str) -> Link:
        state, kernel = self._known(), self._open()
        address = state.addresses.allocate(key)
        name = derive_port_name(self.instance, key)
        link = self._describe(key, address, state.addresses.gateway, state.mtu, name)
        try:
            there = os.open(netns_path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            if key not in state.links:
                state.addresses.release(key)
            raise HostError(
                f"network namespace {netns_path} of {key} can't be opened: {error.strerror}",
                errno=error.errno,
            ) from error
        try:
            port = links.find_device(kernel, name)
            with links.inside(netns_path):
                inner_kernel = links.open_route_socket()
            with inner_kernel:
                inner = links.find_device(inner_kernel, INNER_NAME)
                if port is not None and (
                    inner is None or inner.peer != port.index or inner.index != port.peer
                ):
                    links.delete_device(
                        kernel, port.index
                    )  # its other end is in a namespace that is no longer the key's
                    port = None
                if port is None:
                    alias = render_alias(instance=self.instance, key=key, ip=str(address), host=hostname)
                    links.add_pair(
                        kernel,
                        name,
                        bridge=state.index,
                        mtu=state.mtu,
                        alias=alias,
                        netns_fd=there,
                        inner=INNER_NAME,
                        inner_mac=link.mac,
                    )
                    links.set_device(kernel, state.index, alias=self._render_bridge_alias(state.addresses))
                with links.inside(netns_path):
                    links.write_sysctl(f"net/ipv6/conf/{INNER_NAME}/disable_ipv6", "1")
                self._set_up_inner(inner_kernel, address, state.addresses.gateway)
        except OSError as error:
            self._detach(key)
            raise HostError(f"link of {key} can't be made: {error}", errno=error.errno) from error
        finally:
            os.close(there)
        state.links[key] = link
        return link

    @staticmethod
    def _set_up_inner(kernel: NetlinkSocket, address: IPv4Address, gateway: IPv4Address) -> None:
        links.set_device(kernel, 1, up=True)  # lo is always 1
        device = links.find_device(kernel, INNER_NAME)
        if device is None:
            raise OSError(errno.ENODEV, f"{INNER_NAME} is missing inside")
        links.add_address(kernel, device.index, address, _HOST_PREFIX)
        links.set_device(kernel, device.index, up=True)
        links.add_route(kernel, IPv4Network((gateway, 32)), device.index, source=address)
        links.add_route(kernel, IPv4Network("0.0.0.0/0"), device.index, gateway=gateway)

    def _detach(self, key: str) -> None:
        state, kernel = self._known(), self._open()
        port = links.find_device(kernel, derive_port_name(self.instance, key))
        if port is not None:
            links.delete_device(kernel, port.index)
        state.links.pop(key, None)
        state.addresses.release(key)

    def _remove_all(self) -> None:
        kernel = self._open()
        for device in links.list_devices(kernel):
            alias = parse_alias(device.alias)
            if device.kind == "veth" and alias.get("instance") == self.instance:
                links.delete_device(kernel, device.index)
        ours = links.find_device(kernel, self.bridge)
        if ours is not None and ours.kind == "bridge":
            links.delete_device(kernel, ours.index)
        self._state = None

    def _open(self) -> NetlinkSocket:
        if self._kernel is None:
            self._kernel = links.open_route_socket()
        return self._kernel

    def _close_socket(self) -> None:
        if self._kernel is not None:
            self._kernel.close()
            self._kernel = None

    # What follows runs on the loop.

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except OSError as error:
            if error.errno == errno.EPERM:
                raise HostError(
                    "the network can't be set up without root", errno=error.errno, hint="sudo pinnace up"
                )
            raise HostError(f"network {self.bridge}: {error}", errno=error.errno) from error

    def _known(self) -> _State:
        if self._state is None:
            raise HostError(f"bridge {self.bridge} is not set up", hint="pinnace up")
        return self._state

    def _describe(self, key: str, address: IPv4Address, gateway: IPv4Address, mtu: int, device: str) -> Link:
        return Link(key, str(address), str(gateway), derive_mac(address), mtu, device)

    def _render_bridge_alias(self, addresses: Addresses) -> str:
        return render_alias(instance=self.instance, next=str(addresses.cursor))

    def _hear(self, kind: int, body: bytes) -> None:
        if kind in (links.NEW_ADDRESS, links.DELETE_ADDRESS, links.NEW_ROUTE, links.DELETE_ROUTE):
            for listener in self._address_listeners:
                listener()
            if kind == links.DELETE_ADDRESS and self._state is not None and self._is_gateway_lost(body):
                self._schedule_repair()
        elif kind == links.DELETE_LINK and self._state is not None:
            device = links.parse_device(body)
            if device.index == self._state.index and device.name == self.bridge:
                self._schedule_repair()

    def _is_gateway_lost(self, body: bytes) -> bool:
        return links.parse_address_index(body) == self._known().index

    def _schedule_repair(self) -> None:
        if not self._removing and (self._repair is None or self._repair.done()):
            self._repair = asyncio.get_running_loop().create_task(self._mend(), name=f"{self.bridge}/repair")

    async def _mend(self) -> None:
        try:
            was_missing = await self._in_thread(self._is_damaged)
            if was_missing:
                await self._in_thread(self._ensure)
                self._on_report(f"bridge {self.bridge} was removed or changed by somebody; it was made again")
        except HostError as error:
            self._on_report(
                f"bridge {self.bridge} was removed by somebody and can't be made again: {error.message}"
            )

    def _is_damaged(self) -> bool:
        state, kernel = self._state, self._open()
        if state is None:
            return False
        device = links.find_device(kernel, self.bridge)
        if device is None or device.index != state.index or not device.up:
            return True
        present = [address for index, address, _ in links.list_addresses(kernel) if index == state.index]
        return state.addresses.gateway not in present

    async def _stop_listening(self) -> None:
        if self._events is not None:
            self._events.close()
            self._events = None
        if self._repair is not None:
            self._repair.cancel()
            await asyncio.gather(self._repair, return_exceptions=True)
            self._repair = None


def find_uplink_mtu(kernel: NetlinkSocket, devices: tuple[links.Device, ...]) -> int:
    """Return the MTU of the device that the default route uses; 1500 without one."""
    routes = [route for route in links.list_routes(kernel) if route.network.prefixlen == 0]
    uplink = next((device for route in routes for device in devices if device.index == route.device), None)
    return uplink.mtu if uplink is not None and uplink.mtu else 1500


def find_main_address() -> str:
    """Return the host's main address: the source of packets that leave by the default route, else 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(
                ("192.0.2.1", 9)
            )  # connecting a datagram socket sends nothing. Source: RFC 5737, TEST-NET-1
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
