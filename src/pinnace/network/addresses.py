"""Decides the names, the range and the addresses of an instance's network.

Pure: called by `bridge` with what it saw on the host. Never looks at the host itself.
Invariant: a derived device name has at most 15 bytes, and no two keys ever hold one address.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from pinnace.base.errors import HostError

DEVICE_NAME_BYTES = 15  # Source: Linux, include/uapi/linux/if.h, IFNAMSIZ - 1
DEFAULT_PODS_RANGE = IPv4Network("10.244.0.0/20")
DEFAULT_SERVICES_RANGE = IPv4Network("10.96.0.0/16")

# Where to look for a free range, in this order, after the wanted one. Source: RFC 1918.
_PRIVATE = (IPv4Network("10.0.0.0/8"), IPv4Network("172.16.0.0/12"), IPv4Network("192.168.0.0/16"))
_BROAD_PREFIX = 12  # a route as wide as this (a VPN's 10.0.0.0/8) says little about one /20 in it


def derive_bridge_name(instance: str) -> str:
    """Return the bridge's name: the instance's with a 0, shortened with a digest where it must be.

    Example: "pinnace" → "pinnace0"; "team/blue-staging" → "teambl-4f1e8a0".
    """
    clean = re.sub(r"[^A-Za-z0-9_-]", "", instance)
    if clean == instance and 0 < len(clean) < DEVICE_NAME_BYTES and clean[0].isalnum():
        return f"{clean}0"
    return f"{clean.lstrip('-_')[:6] or 'net'}-{_digest(instance, 6)}0"


def derive_table_name(instance: str) -> str:
    """Return the name of the nftables table: the bridge's without its 0, made a legal nft identifier."""
    name = derive_bridge_name(instance)[:-1]
    return name if name[0].isalpha() else f"t{name}"


def derive_port_name(instance: str, key: str) -> str:
    """Return the name of the host's end of a link. Example: "veth3f9c01ab72"."""
    return f"veth{_digest(f'{instance}/{key}', 10)}"


def derive_mac(address: IPv4Address) -> str:
    """Return a locally administered address made of the IPv4 one, so that neighbours' memory stays right.

    Example: 10.244.0.5 → "0a:58:0a:f4:00:05".
    """
    return ":".join(f"{byte:02x}" for byte in b"\x0a\x58" + address.packed)


def choose_range(wanted: IPv4Network, taken: Iterable[IPv4Network]) -> IPv4Network:
    """Return `wanted`, or the next range of its size that no foreign route or link overlaps.

    Only when everything is covered do routes of /12 and wider count as free space.
    Raises: HostError when there is none.
    """
    foreign = [network for network in taken if network.prefixlen > 0]
    narrow = [network for network in foreign if network.prefixlen > _BROAD_PREFIX]
    for obstacles in (foreign, narrow):
        for candidate in _candidates(wanted):
            if not any(candidate.overlaps(obstacle) for obstacle in obstacles):
                return candidate
    raise HostError(
        f"no free range for pods: {wanted} and all private ranges of its size overlap routes of this host",
        hint="choose one with --pod-range",
    )


def find_overlaps(network: IPv4Network, taken: Iterable[IPv4Network]) -> tuple[IPv4Network, ...]:
    """Return the foreign networks that share addresses with `network`; default routes don't count."""
    return tuple(other for other in taken if other.prefixlen > _BROAD_PREFIX and other.overlaps(network))


@dataclass(slots=True)
class Addresses:
    """The addresses of one range: the first is the gateway's, each other one belongs to at most one key.

    `cursor` moves on with each allocation, so a released address comes back only after the whole range was used.
    """

    network: IPv4Network
    taken: dict[str, IPv4Address]
    cursor: int

    @classmethod
    def restore(cls, network: IPv4Network, taken: Mapping[str, IPv4Address], cursor: int = 0) -> Addresses:
        """Return the state that the kernel's links tell about."""
        return cls(network, dict(taken), cursor)

    @property
    def gateway(self) -> IPv4Address:
        """The bridge's own address."""
        return self.network.network_address + 1

    def allocate(self, key: str) -> IPv4Address:
        """Return the address of `key`, a new one if it has none. Raises: HostError when the range is full."""
        if key in self.taken:
            return self.taken[key]
        used = set(self.taken.values())
        size = self.network.num_addresses - 3  # without the network, the gateway and the broadcast address
        for step in range(size):
            position = (self.cursor + step) % size
            address = self.network.network_address + 2 + position
            if address not in used:
                self.cursor = (position + 1) % size
                self.taken[key] = address
                return address
        raise HostError(
            f"all {size} pod addresses of {self.network} are in use",
            hint="delete pods, or set a wider --pod-range",
        )

    def release(self, key: str) -> None:
        """Forget `key`; it need not exist."""
        self.taken.pop(key, None)


def _candidates(wanted: IPv4Network) -> Iterator[IPv4Network]:
    yield wanted
    home = next((private for private in _PRIVATE if wanted.subnet_of(private)), None)
    if home is not None:
        size = wanted.num_addresses
        for start in range(int(wanted.network_address) + size, int(home.broadcast_address), size):
            yield IPv4Network((start, wanted.prefixlen))
    for private in _PRIVATE:
        if private != home and wanted.prefixlen >= private.prefixlen:
            yield from private.subnets(new_prefix=wanted.prefixlen)


def _digest(value: str, length: int) -> str:
    return hashlib.sha256(value.encode()).hexdigest()[:length]
