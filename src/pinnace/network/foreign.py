"""Gets along with other programs' firewalls: puts our accept rules into chains that drop, and takes them out again.

Called by `daemon` (start, remove_all) and for `status`. It looks when nftables changed by other hands than ours;
iptables-legacy tells nobody, so where its table is in use it is looked at every ten seconds.
Invariant: all rules of ours in foreign chains carry the bridge's name as their comment, and are found again by it, also
those that a killed daemon left.
"""

from __future__ import annotations

import asyncio
import logging
import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from pinnace.base.clock import Clock
from pinnace.base.errors import HostError
from pinnace.base.spawn import run
from pinnace.base.tasks import Tasks
from pinnace.network.addresses import derive_table_name
from pinnace.network.bridge import Network
from pinnace.network.events import KernelEvents
from pinnace.network.foreign_rules import (
    DOCKER_CHAIN,
    FORWARD,
    INPUT,
    IPTABLES,
    IPTABLES_LEGACY,
    NFT,
    Accept,
    ForeignChain,
    Place,
    decide_accepts,
    find_own,
    parse_iptables,
    parse_nft_chain,
    render_iptables_rule,
    render_nft_deletion,
    render_nft_insertion,
)
from pinnace.network.netlink import iter_attributes
from pinnace.network.nft import Nft

log = logging.getLogger("pinnace.network")

QUIET_S = 0.2  # a firewall is loaded in many steps; look when it is done
LEGACY_POLL_S = 10.0
_LEGACY_TABLES = Path("/proc/net/ip_tables_names")
_IPTABLES_CHAINS = frozenset({"FORWARD", "INPUT", "OUTPUT"})
_TABLE_NAME = 1


class ForeignFirewalls:
    """Watches the firewalls of others. `ports` are those of the gateway that pods need: API and DNS."""

    def __init__(
        self,
        network: Network,
        clock: Clock,
        *,
        ports: Sequence[tuple[str, int]] = (),
        on_report: Callable[[str], None] | None = None,
    ) -> None:
        self._network = network
        self._clock = clock
        self._ports = tuple(ports)
        self._on_report = on_report or (lambda message: log.info("%s", message))
        self._table = derive_table_name(network.instance).encode()
        self._nft = Nft()
        self._tasks = Tasks("foreign-firewalls")
        self._events: KernelEvents | None = None
        self._wake = asyncio.Event()
        self._placed: tuple[Accept, ...] = ()
        self._said: frozenset[str] = frozenset()

    async def start(self) -> None:
        """Place what is needed now, then follow changes."""
        self._events = KernelEvents.of_rules(self._hear, self._wake.set)
        await self._check_safely()
        self._tasks.spawn(self._run(), "check", forever=True)
        self._tasks.spawn(self._poll_legacy(), "poll legacy", forever=True)

    async def close(self) -> None:
        """Stop following; the rules stay, so that connections go on."""
        if self._events is not None:
            self._events.close()
            self._events = None
        await self._tasks.close()

    async def remove_all(self) -> None:
        """Stop, and take out all rules of ours."""
        await self.close()
        for (place, _), handle in find_own(await self._read_chains(), self._network.bridge).items():
            await self._delete(place, handle)
        self._placed = ()

    def status(self) -> tuple[str, ...]:
        """Return a line for each foreign chain that has rules of ours, for `status`."""
        places = sorted({accept.place for accept in self._placed})
        counts = {place: sum(accept.place == place for accept in self._placed) for place in places}
        return tuple(f"{place}: {counts[place]} accept rules for {self._network.bridge}" for place in places)

    async def check(self) -> bool:
        """Bring foreign chains to what is needed; say whether something was changed. Raises: HostError."""
        network = self._network
        chains = await self._read_chains()
        wanted = decide_accepts(chains, network.bridge, network.gateway, self._ports)
        present = find_own(chains, network.bridge)
        missing = [accept for accept in wanted if (accept.place, accept.mark) not in present]
        needed = {(accept.place, accept.mark) for accept in wanted}
        surplus = [
            (place, handle) for (place, mark), handle in present.items() if (place, mark) not in needed
        ]
        for accept in missing:
            await self._insert(accept)
        for place, handle in surplus:
            await self._delete(place, handle)
        self._placed = wanted
        self._tell(missing)
        return bool(missing or surplus)

    def _tell(self, missing: Sequence[Accept]) -> None:
        for place in sorted({accept.place for accept in missing}):
            again = "put back" if str(place) in self._said else "put"
            self._on_report(
                f"{place} drops packets of pods: accept rules for {self._network.bridge} were {again} there"
            )
        self._said |= {str(accept.place) for accept in missing}

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._clock.sleep(QUIET_S)
            await self._check_safely()

    async def _check_safely(self) -> None:
        try:
            await self.check()
        except HostError as error:
            log.warning("other programs' firewalls can't be checked: %s", error.message)

    async def _poll_legacy(self) -> None:
        while True:
            await self._clock.sleep(LEGACY_POLL_S)
            if _has_legacy_filter():
                self._wake.set()

    def _hear(self, kind: int, body: bytes) -> None:
        first = next(iter_attributes(body, 4), None)
        if (
            first is not None
            and first[0] == _TABLE_NAME
            and first[1]
            and not first[1].startswith(self._table + b"\0")
        ):
            self._wake.set()

    # ------------------------------------------------------------------ reading

    async def _read_chains(self) -> tuple[ForeignChain, ...]:
        listed = [entry["chain"] for entry in await self._nft.read_json("list", "chains") if "chain" in entry]
        found: list[ForeignChain] = []
        if any(_is_iptables(chain) for chain in listed) and shutil.which(IPTABLES):
            found += await self._read_iptables(IPTABLES)
        if _has_legacy_filter() and shutil.which(IPTABLES_LEGACY):
            found += await self._read_iptables(IPTABLES_LEGACY)
        for chain in listed:
            if (
                chain.get("hook") in (FORWARD, INPUT)
                and chain["family"] in ("ip", "inet")
                and not self._is_known(chain)
            ):
                try:
                    entries = await self._nft.read_json(
                        "list", "chain", chain["family"], chain["table"], chain["name"]
                    )
                except HostError as error:
                    log.info("a foreign chain went away while it was looked at: %s", error.message)
                    continue
                found.append(parse_nft_chain(chain, [entry["rule"] for entry in entries if "rule" in entry]))
        return tuple(found)

    async def _read_iptables(self, program: str) -> tuple[ForeignChain, ...]:
        listed = await run([program, "-w", "-S"])
        return parse_iptables(listed.stdout.decode(errors="replace"), program)

    def _is_known(self, chain: dict[str, str]) -> bool:
        """Say whether a chain is ours, or one that iptables tells about."""
        ours = chain["table"].encode() == self._table
        return ours or (_is_iptables(chain) and shutil.which(IPTABLES) is not None)

    # ------------------------------------------------------------------ writing

    async def _insert(self, accept: Accept) -> None:
        place = accept.place
        if place.backend == NFT:
            await self._nft.apply(render_nft_insertion(accept))
        else:
            await run([place.backend, "-w", "-I", place.chain, *render_iptables_rule(accept)])

    async def _delete(self, place: Place, handle: str) -> None:
        try:
            if place.backend == NFT:
                await self._nft.apply(render_nft_deletion(place, handle))
            else:
                await run([place.backend, "-w", "-D", place.chain, *shlex.split(handle)])
        except HostError as error:
            log.info("a rule in %s was gone already: %s", place, error.message)


def _is_iptables(chain: dict[str, str]) -> bool:
    named = chain["name"] in _IPTABLES_CHAINS or chain["name"] == DOCKER_CHAIN
    return chain["family"] == "ip" and chain["table"] == "filter" and named


def _has_legacy_filter() -> bool:
    try:
        return "filter" in _LEGACY_TABLES.read_text().split()
    except OSError:
        return False
