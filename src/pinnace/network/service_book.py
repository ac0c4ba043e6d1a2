"""Looks one Service up: its EndpointSlices, the host ports it may have, and the rules that follow.

Called by `proxy` for each Service that may have changed. Reads the API and binds ports; applies nothing.
Invariant: what `look` returns depends on what is stored and on who holds ports, never on what was looked at before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pinnace.api.facade import Api
from pinnace.kube.kinds import ENDPOINT_SLICE, SERVICE
from pinnace.kube.objects.core_v1 import Service
from pinnace.kube.objects.discovery_v1 import EndpointSlice
from pinnace.network.holders import Holders, Refusal
from pinnace.network.host_ports import Wanted, compute_wanted
from pinnace.network.rules import NOTHING, Fragment, render_service
from pinnace.network.service_facts import SERVICE_NAME_LABEL, ServiceFacts, compute_service_facts


class ServiceKey(NamedTuple):
    """Which Service."""

    namespace: str
    name: str

    @property
    def owner(self) -> str:
        """How the Service is named where it holds a port."""
        return f"Service {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Entry:
    """What one Service comes to; without a `service` it is gone."""

    service: Service | None
    facts: ServiceFacts | None
    wanted: Wanted
    refusals: tuple[Refusal, ...]
    fragment: Fragment

    @property
    def balanced(self) -> bool:
        """Say whether the Service is a load balancer whose ports are all ours."""
        refused = {refusal.port for refusal in self.refusals}
        return self.facts is not None and self.facts.load_balanced and not self.wanted.load_balancer & refused


GONE = Entry(None, None, Wanted(frozenset(), frozenset()), (), NOTHING)


class ServiceBook:
    """The Services of the API with their slices."""

    def __init__(self, api: Api, holders: Holders) -> None:
        self._api = api
        self._holders = holders
        self._slice_names: dict[ServiceKey, set[str]] = {}

    def note_slice(self, item: EndpointSlice) -> ServiceKey | None:
        """Remember whose slice it is; a slice that is gone by the time of `look` is no harm."""
        name = item.metadata.labels.get(SERVICE_NAME_LABEL)
        if not name:
            return None
        key = ServiceKey(item.metadata.namespace, name)
        self._slice_names.setdefault(key, set()).add(item.metadata.name)
        return key

    def list_keys(self) -> list[ServiceKey]:
        """Return all Services, the oldest first, since the first to ask for a port gets it."""
        for item in self._api.list(ENDPOINT_SLICE):
            self.note_slice(item)
        services = sorted(
            self._api.list(SERVICE), key=lambda s: (s.metadata.creation_timestamp or "", s.metadata.name)
        )
        return [ServiceKey(service.metadata.namespace, service.metadata.name) for service in services]

    def look(self, key: ServiceKey) -> Entry:
        """Return what the Service comes to now, after acquiring the host ports that are to be had."""
        service = self._api.find(SERVICE, key.namespace, key.name)
        if service is None:
            return GONE
        facts = compute_service_facts(service, self._read_slices(key))
        wanted = compute_wanted(facts)
        refusals = self._holders.acquire(key.owner, wanted.all)
        refused = {refusal.port for refusal in refusals}
        granted = wanted.all - refused
        if wanted.load_balancer & refused:  # a load balancer has all of its ports or none
            granted &= wanted.node
        return Entry(service, facts, wanted, refusals, render_service(facts, granted))

    def settle_ports(self, key: ServiceKey, entry: Entry) -> bool:
        """Let go of the ports that the applied rules no longer use; say whether there were some."""
        refused = {refusal.port for refusal in entry.refusals}
        keep = entry.wanted.all - refused
        if entry.wanted.load_balancer & refused:
            keep &= entry.wanted.node
        before = len(self._holders.held)
        self._holders.release(key.owner, keep=keep)
        return len(self._holders.held) < before

    def _read_slices(self, key: ServiceKey) -> list[EndpointSlice]:
        names = self._slice_names.get(key, set())
        found = []
        for name in sorted(names):
            item = self._api.find(ENDPOINT_SLICE, key.namespace, name)
            if item is None or item.metadata.labels.get(SERVICE_NAME_LABEL) != key.name:
                names.discard(name)
            else:
                found.append(item)
        return found
