"""Hands out Services' cluster addresses and node ports.

Used by the Service's row while a write is prepared. What is taken is what the store's Services hold plus what writes
under way have claimed: the table is filled from the store at the start, and set right after every write from what the
store then holds, so that it can't drift.
Invariant: no two Services have one address or one node port.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from pinnace.api.settings import ApiSettings
from pinnace.base.chance import Chance
from pinnace.store.interface import Key

# Source: Kubernetes v1.36, KEP-3070: the first part of the range is left to addresses that are asked for by name.
_STATIC_LEAST = 16
_STATIC_MOST = 256


@dataclass(frozen=True, slots=True)
class Claim:
    """Everything that one Service holds."""

    addresses: tuple[str, ...] = ()
    node_ports: tuple[int, ...] = ()


class Addresses:
    """Which Service holds which address and which node port."""

    def __init__(self, settings: ApiSettings, chance: Chance) -> None:
        self._chance = chance
        self._network = ip_network(settings.service_range)
        self._first = int(self._network.network_address) + 1
        self._size = self._network.num_addresses - 2
        self._ports = range(settings.node_port_first, settings.node_port_last + 1)
        self._reserved = {self._render(self._first), settings.dns_ip}
        self._addresses: dict[str, Key] = {}
        self._node_ports: dict[int, Key] = {}
        self._claims: dict[Key, Claim] = {}
        self.kubernetes_ip = self._render(self._first)

    def _render(self, number: int) -> str:
        return str(ip_address(number))

    def settle(self, key: Key, claim: Claim | None) -> None:
        """Let a Service hold exactly this (None: nothing, it is gone); what it held beyond it is free again."""
        before = self._claims.pop(key, Claim())
        for address in before.addresses:
            self._addresses.pop(address, None)
        for port in before.node_ports:
            self._node_ports.pop(port, None)
        if claim is None or not (claim.addresses or claim.node_ports):
            return
        self._claims[key] = claim
        self._addresses.update((address, key) for address in claim.addresses)
        self._node_ports.update((port, key) for port in claim.node_ports)

    def contains(self, address: str) -> bool:
        """Say whether an address can be given to a Service."""
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return parsed in self._network and parsed not in (
            self._network.network_address,
            self._network.broadcast_address,
        )

    @property
    def service_range(self) -> str:
        """The range as text."""
        return str(self._network)

    @property
    def port_range(self) -> str:
        """The node ports as text."""
        return f"{self._ports.start}-{self._ports.stop - 1}"

    def port_allowed(self, port: int) -> bool:
        """Say whether a number is a node port."""
        return port in self._ports

    def choose_address(self, key: Key) -> str | None:
        """Claim a free address, from the upper part of the range while it has some; None when all are taken."""
        static = min(max(_STATIC_LEAST, self._size // 16), _STATIC_MOST) if self._size > _STATIC_LEAST else 0
        for low, high in ((static, self._size), (0, static)):
            found = self._pick(low, high)
            if found is not None:
                self.claim_address(key, found)
                return found
        return None

    def _pick(self, low: int, high: int) -> str | None:
        if high <= low:
            return None
        start = self._chance.integer(low, high - 1)
        for step in range(high - low):
            address = self._render(self._first + low + (start - low + step) % (high - low))
            if address not in self._addresses and address not in self._reserved:
                return address
        return None

    def choose_port(self, key: Key, avoid: Iterable[int] = ()) -> int | None:
        """Claim a free node port; None when all are taken."""
        start = self._chance.integer(0, len(self._ports) - 1)
        avoided = set(avoid)
        for step in range(len(self._ports)):
            port = self._ports[(start + step) % len(self._ports)]
            if port not in self._node_ports and port not in avoided:
                self.claim_port(key, port)
                return port
        return None

    def claim_address(self, key: Key, address: str) -> bool:
        """Claim this very address; False when another Service holds it."""
        if self._addresses.setdefault(address, key) != key:
            return False
        held = self._claims.get(key, Claim())
        if address not in held.addresses:
            self._claims[key] = Claim((*held.addresses, address), held.node_ports)
        return True

    def claim_port(self, key: Key, port: int) -> bool:
        """Claim this very port; False when another Service holds it."""
        if self._node_ports.setdefault(port, key) != key:
            return False
        held = self._claims.get(key, Claim())
        if port not in held.node_ports:
            self._claims[key] = Claim(held.addresses, (*held.node_ports, port))
        return True
