"""Keeps the rules of Services and published ports in the kernel as the API has them.

Called by `daemon` (start, close, remove_all), `engine` (publish) and `node` (settled, drained). Watches tell which
Service to look at anew; what is applied follows from what is stored. Changes that come while one is being applied go
together into the next. Rules stay when the daemon ends, so that connections go on.
Invariant: `settled(address)` returns only when no applied rule leads new connections there because it is ready.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pinnace.api.facade import Api
from pinnace.base.clock import Clock
from pinnace.base.errors import HostError, PinnaceError, UserError
from pinnace.base.tasks import Tasks
from pinnace.kube.kinds import ENDPOINT_SLICE, SERVICE, Kind
from pinnace.network import conntrack
from pinnace.network.addresses import derive_table_name
from pinnace.network.bridge import Network, find_main_address
from pinnace.network.holders import Holders, Refusal
from pinnace.network.host_ports import ANY_ADDRESS, HostPort
from pinnace.network.load_balancer import LoadBalancerReporter, describe_refusal
from pinnace.network.nft import Nft
from pinnace.network.rules import (
    NOTHING,
    BaseFacts,
    Fragment,
    PublishedPort,
    merge_fragments,
    render_published,
    render_table,
    render_update,
)
from pinnace.network.service_book import GONE, Entry, ServiceBook, ServiceKey
from pinnace.network.stale import find_stale_flows
from pinnace.network.stale_facts import compute_fronts
from pinnace.network.table_watch import TableWatch

log = logging.getLogger("pinnace.network")

PORT_RETRY_S = (
    2.0  # the kernel tells nobody that a port became free, so this one is polled while a Service waits
)
APPLY_GAP_S = 0.01  # changes of a burst go together
FAILED_RETRY_S = 1.0
DRAIN_POLL_S = 0.1  # connection tracking's events come for every packet's change on the host; reading now and then is less
SERVICE_DNS_IP = "10.96.0.10"

PublishedKey = tuple[str, HostPort]


@dataclass(frozen=True, slots=True)
class ProxyStatus:
    """What `status` shows of the rules."""

    table: str
    services: int
    published: int
    waiting: tuple[str, ...]
    last_error: str


class ServiceProxy:
    """The rules of one instance. `dns_port` is where our name server listens on the gateway; 0 for none."""

    def __init__(
        self,
        api: Api,
        network: Network,
        clock: Clock,
        *,
        dns_ip: str = SERVICE_DNS_IP,
        dns_port: int = 0,
        on_failure: Callable[[str, BaseException], None] | None = None,
    ) -> None:
        self._api = api
        self._network = network
        self._clock = clock
        self._dns = (dns_ip, dns_port)
        self._nft = Nft()
        self._holders = Holders()
        self._book = ServiceBook(api, self._holders)
        self._reporter = LoadBalancerReporter(api)
        self._tasks = Tasks("service-proxy", on_failure)
        self._table = derive_table_name(network.instance)
        self._main_address = ""
        self._watch: TableWatch | None = None

        self._dirty: set[ServiceKey | PublishedKey] = set()
        self._whole = True  # the next application replaces the whole table
        self._wake = asyncio.Event()
        self._requested = 0
        self._applied = 0
        self._changed = asyncio.Condition()
        self._last_error = ""
        self._failures = 0

        self._entries: dict[ServiceKey, Entry] = {}
        self._published: dict[PublishedKey, PublishedPort] = {}
        self._fragments: dict[ServiceKey | PublishedKey, Fragment] = {}
        self._serving: Counter[str] = Counter()
        self._to_report: set[ServiceKey] = set()
        self._report_wake = asyncio.Event()

    # ------------------------------------------------------------------ life

    async def start(self) -> None:
        """Apply all rules, then follow changes. Ports published before are among them. Raises: HostError."""
        self._main_address = find_main_address()
        self._watch = TableWatch(self._table, self._hear_tampering, self._hear_loss)
        self._mark(self._book.list_keys(), whole=True)
        await self._apply()
        self._tasks.spawn(self._run(), "apply", forever=True)
        self._tasks.spawn(self._run_reports(), "report", forever=True)
        self._tasks.spawn(self._follow(SERVICE, self._note_service), "watch services", forever=True)
        self._tasks.spawn(
            self._follow(ENDPOINT_SLICE, self._note_slice), "watch endpoint slices", forever=True
        )
        self._tasks.spawn(self._retry_ports(), "retry ports", forever=True)
        self._network.on_address_change(self._hear_address_change)

    async def close(self) -> None:
        """Stop following and let go of the ports; the rules stay for the next daemon."""
        await self._tasks.close()
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        self._holders.close()

    async def remove_all(self) -> None:
        """Stop, and remove the table."""
        await self.close()
        await self._nft.delete_table(self._table)

    def status(self) -> ProxyStatus:
        """Return what `status` shows."""
        waiting = tuple(sorted(f"{k.owner}: {r.port}" for k, e in self._entries.items() for r in e.refusals))
        return ProxyStatus(self._table, len(self._entries), len(self._published), waiting, self._last_error)

    # ------------------------------------------------------------------ published ports

    async def publish(
        self, key: str, host_ip: str, host_port: int, protocol: str, target_ip: str, target_port: int
    ) -> int:
        """Lead a port of the host to a container; return the port, chosen by the kernel when `host_port` is 0.

        Before `start` the rule is kept for the first application; afterwards it works when this returns.
        Raises: UserError, naming who has the port.
        """
        address = host_ip or ANY_ADDRESS
        if host_port == 0:
            port = self._acquire_any(key, protocol, address)
        else:
            port = HostPort(protocol, host_port, address)
            for refusal in self._holders.acquire(key, (port,)):
                raise await _explain(refusal)
        self._published[key, port] = PublishedPort(key, port, target_ip, target_port)
        self._mark([(key, port)])
        await self._wait_applied()
        return port.port

    async def unpublish(self, key: str) -> None:
        """Take back all that was published under `key`; nothing is fine. The ports are free when this returns."""
        gone = [each for each in self._published if each[0] == key]
        for each in gone:
            del self._published[each]
        if gone:
            self._mark(gone)
            await self._wait_applied()
        self._holders.release(key)
        self._mark_waiting()

    # ------------------------------------------------------------------ for a pod that ends

    async def settled(self, address: str, *, timeout_s: float | None = None) -> bool:
        """Wait until no new connections go to a pod's address because it is ready; False when the time is over.

        A pod that is the last one of its Service still gets connections while it serves and terminates, as in
        Kubernetes; that doesn't count.
        """
        goal = self._requested if self._watch is not None else 0
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: self._applied >= goal and not self._serving[address])
        except TimeoutError:
            return False
        return True

    async def open_connections(self, address: str, *, active_within_s: float | None = None) -> int:
        """Return how many TCP connections are open to a pod; with `active_within_s`, only those not silent for longer."""
        return await asyncio.to_thread(_count_open, address, active_within_s)

    async def drained(self, address: str, *, timeout_s: float, active_within_s: float | None = None) -> int:
        """Wait until no connection to a pod is open; return how many still are when the time is over."""
        deadline = self._clock.monotonic() + timeout_s
        while True:
            count = await self.open_connections(address, active_within_s=active_within_s)
            left_s = deadline - self._clock.monotonic()
            if count == 0 or left_s <= 0:
                return count
            await self._clock.sleep(min(DRAIN_POLL_S, left_s))

    # ------------------------------------------------------------------ what changed

    def _mark(self, keys: Iterable[ServiceKey | PublishedKey], *, whole: bool = False) -> None:
        self._dirty.update(keys)
        self._whole = self._whole or whole
        self._requested += 1
        self._wake.set()

    async def _follow(self, kind: Kind[Any], note: Callable[[Any], None]) -> None:
        while True:
            try:
                async for change in self._api.watch(kind):
                    note(change.object)
            except PinnaceError as error:
                log.warning("watch of %s ended: %s; starting anew", kind.plural, error.message)
            await self._clock.sleep(FAILED_RETRY_S)
            self._mark([*self._book.list_keys(), *self._entries])

    def _note_service(self, service: Any) -> None:
        self._mark([ServiceKey(service.metadata.namespace, service.metadata.name)])

    def _note_slice(self, item: Any) -> None:
        key = self._book.note_slice(item)
        if key is not None:
            self._mark([key])

    def _hear_tampering(self) -> None:
        log.warning("rules of table %s were changed by somebody; they are put back", self._table)
        self._mark([], whole=True)

    def _hear_loss(self) -> None:
        self._tasks.spawn(self._check_table(), "check table")

    async def _check_table(self) -> None:
        if ("ip", self._table) not in await self._nft.list_tables():
            self._hear_tampering()

    def _hear_address_change(self) -> None:
        address = find_main_address()
        if address != self._main_address:
            self._main_address = address
            self._queue_reports(key for key, entry in self._entries.items() if entry.balanced)

    def _mark_waiting(self) -> None:
        waiting = [key for key, entry in self._entries.items() if entry.refusals]
        if waiting:
            self._mark(waiting)

    async def _retry_ports(self) -> None:
        while True:
            await self._clock.sleep(PORT_RETRY_S)
            self._mark_waiting()

    # ------------------------------------------------------------------ applying

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            try:
                await self._apply()
            except HostError as error:
                if error.message != self._last_error:
                    log.error("rules of table %s can't be applied: %s", self._table, error.message)
                self._last_error = error.message
                self._failures += 1
                async with self._changed:
                    self._changed.notify_all()
                await self._clock.sleep(FAILED_RETRY_S)
                self._wake.set()
                continue
            await self._clock.sleep(APPLY_GAP_S)

    async def _apply(self) -> None:
        """Look at what is dirty, bring the kernel to it, and tell those who wait."""
        self._wake.clear()
        dirty, goal, whole = self._dirty, self._requested, self._whole
        self._dirty, self._whole = set(), False
        looked = {key: self._book.look(key) for key in dirty if isinstance(key, ServiceKey)}
        fresh: dict[ServiceKey | PublishedKey, Fragment] = {
            key: entry.fragment for key, entry in looked.items()
        }
        for key in dirty:
            if not isinstance(key, ServiceKey):
                fresh[key] = render_published(self._published[key]) if key in self._published else NOTHING
        try:
            await self._send(fresh, whole)
        except BaseException:
            self._dirty |= dirty
            self._whole = True
            raise
        self._last_error = ""
        self._record(fresh, looked)
        self._applied = goal
        async with self._changed:
            self._changed.notify_all()
        if any(_has_datagrams(self._entries.get(key)) for key in looked):
            await self._flush_datagrams()

    async def _send(self, fresh: dict[ServiceKey | PublishedKey, Fragment], whole: bool) -> None:
        if not whole:
            old = merge_fragments(self._fragments.get(key, NOTHING) for key in fresh)
            text = render_update(self._table, old, merge_fragments(fresh.values()))
            if not text:
                return
            try:
                await self._transact(text)
                return
            except HostError as error:
                log.warning(
                    "an update of table %s failed, it is replaced as a whole: %s", self._table, error.message
                )
        fragments = {**self._fragments, **fresh}
        await self._transact(render_table(self._base_facts(), fragments.values()))

    async def _transact(self, text: str) -> None:
        if self._watch is None:
            await self._nft.apply(text)
            return
        with self._watch.own_change():
            await self._nft.apply(text)

    def _base_facts(self) -> BaseFacts:
        network, (dns_ip, dns_port) = self._network, self._dns
        return BaseFacts(
            table=self._table,
            bridge=network.bridge,
            pods_range=str(network.range),
            services_range=str(network.services_range),
            gateway=network.gateway,
            dns_ip=dns_ip,
            dns_port=dns_port,
        )

    def _record(
        self, fresh: dict[ServiceKey | PublishedKey, Fragment], looked: dict[ServiceKey, Entry]
    ) -> None:
        for key, fragment in fresh.items():
            if fragment is NOTHING or fragment == NOTHING:
                self._fragments.pop(key, None)
            else:
                self._fragments[key] = fragment
        freed = False
        for service_key, entry in looked.items():
            before = self._entries.pop(service_key, GONE)
            self._serving.subtract(before.facts.serving_addresses if before.facts else ())
            self._serving.update(entry.facts.serving_addresses if entry.facts else ())
            if entry is not GONE:
                self._entries[service_key] = entry
            freed = self._book.settle_ports(service_key, entry) or freed
        self._serving = +self._serving
        self._queue_reports(looked)
        if freed:
            self._mark_waiting()

    async def _flush_datagrams(self) -> None:
        """Delete the datagram flows that still lead to what is no longer a backend."""
        fronts = compute_fronts(
            [entry.facts for entry in self._entries.values() if entry.facts is not None], self._holders.held
        )
        hosts = frozenset({self._main_address, "127.0.0.1", self._network.gateway})

        def flush() -> int:
            return conntrack.delete_flows(
                find_stale_flows(conntrack.list_flows(conntrack.UDP), fronts, hosts)
            )

        try:
            await asyncio.to_thread(flush)
        except OSError as error:
            log.warning("stale datagram flows can't be deleted: %s", error)

    async def _wait_applied(self) -> None:
        if self._watch is None:
            return
        goal, failures = self._requested, self._failures
        async with self._changed:
            await self._changed.wait_for(lambda: self._applied >= goal or self._failures > failures)
        if self._applied < goal:
            raise HostError(f"rules of table {self._table} can't be applied: {self._last_error}")

    # ------------------------------------------------------------------ reporting

    def _queue_reports(self, keys: Iterable[ServiceKey]) -> None:
        self._to_report.update(keys)
        self._report_wake.set()

    async def _run_reports(self) -> None:
        while True:
            await self._report_wake.wait()
            self._report_wake.clear()
            keys, self._to_report = self._to_report, set()
            for key in sorted(keys):
                try:
                    await self._reporter.report(key, self._entries.get(key, GONE), self._main_address)
                except PinnaceError as error:
                    log.warning("%s: its status can't be written: %s", key.owner, error.message)

    def _acquire_any(self, key: str, protocol: str, address: str) -> HostPort:
        try:
            return self._holders.acquire_any(key, protocol, address)
        except OSError as error:
            raise UserError(f"no port of {address} can be had for {key}: {error.strerror}") from error


def _has_datagrams(entry: Entry | None) -> bool:
    return (
        entry is not None and entry.facts is not None and any(p.protocol == "udp" for p in entry.facts.ports)
    )


def _count_open(address: str, active_within_s: float | None) -> int:
    flows = [flow for flow in conntrack.list_flows(conntrack.TCP, server=address) if flow.is_open]
    if active_within_s is None:
        return len(flows)
    silence = {state: conntrack.read_timeout_s(state) for state in {flow.state for flow in flows}}
    return sum(silence[flow.state] - flow.left_s <= active_within_s for flow in flows)


async def _explain(refusal: Refusal) -> UserError:
    return UserError(
        await describe_refusal(refusal), hint="publish another port, or stop the one that has it"
    )
