"""Tells a Service's owner what became of its host ports: `status.loadBalancer`, and Events when a port is taken.

Called by `proxy` after rules are applied. Writes through the API only, and only what differs.

Source: Kubernetes v1.36, staging/src/k8s.io/cloud-provider/controllers/service/controller.go, for reasons and words.
"""

from __future__ import annotations

import asyncio
import logging

from msgspec.structs import replace

from pinnace.api.facade import Api
from pinnace.base.errors import ApiError, Reason
from pinnace.kube.kinds import SERVICE
from pinnace.kube.objects.core_v1 import LoadBalancerIngress, LoadBalancerStatus, Service
from pinnace.network.holders import Refusal, find_holder
from pinnace.network.service_book import Entry, ServiceKey

log = logging.getLogger("pinnace.network")

COMPONENT = "service-controller"


class LoadBalancerReporter:
    """Writes what is known; remembers what it last said of each Service, so that it says it once."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._said: dict[ServiceKey, frozenset[tuple[str, str]]] = {}

    async def report(self, key: ServiceKey, entry: Entry, address: str) -> None:
        """Bring status and Events up to date with one Service's entry."""
        if entry.service is None:
            self._said.pop(key, None)
            return
        await self._write_status(entry.service, address if entry.balanced else "")
        await self._say(key, entry, address)

    async def _write_status(self, service: Service, address: str) -> None:
        present = tuple(ingress.ip for ingress in service.status.load_balancer.ingress)
        foreign_class = service.spec.type == "LoadBalancer" and bool(service.spec.load_balancer_class)
        if present == ((address,) if address else ()) or (foreign_class and not address):
            return
        ingress = (LoadBalancerIngress(ip=address, ip_mode="VIP"),) if address else ()
        uid = service.metadata.uid

        def set_ingress(current: Service) -> Service:
            if current.metadata.uid != uid:
                return current
            return replace(
                current, status=replace(current.status, load_balancer=LoadBalancerStatus(ingress=ingress))
            )

        try:
            await self._api.change(
                SERVICE, service.metadata.namespace, service.metadata.name, set_ingress, subresource="status"
            )
        except ApiError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise

    async def _say(self, key: ServiceKey, entry: Entry, address: str) -> None:
        sentences = [await self._describe(refusal, entry) for refusal in entry.refusals]
        if entry.balanced:
            sentences.append(("EnsuredLoadBalancer", f"Ensured load balancer on {address}"))
        before = self._said.get(key, frozenset())
        self._said[key] = frozenset(sentences)
        for reason, message in sentences:
            if (reason, message) not in before:
                level = "Normal" if reason == "EnsuredLoadBalancer" else "Warning"
                if level == "Warning":
                    log.warning("%s: %s", key.owner, message)
                await self._api.record_event(entry.service, level, reason, message, component=COMPONENT)

    async def _describe(self, refusal: Refusal, entry: Entry) -> tuple[str, str]:
        said = await describe_refusal(refusal)
        if refusal.port in entry.wanted.load_balancer:
            return "SyncLoadBalancerFailed", f"Error syncing load balancer: {said}; pending until it is free"
        return "NodePortTaken", f"{said}; the node port works when it is free"


async def describe_refusal(refusal: Refusal) -> str:
    """Return why a port can't be held, naming who has it. Example: "port 80/tcp of the host is held by nginx (pid 9)"."""
    holder = refusal.owner or await asyncio.to_thread(find_holder, refusal.port)
    if holder:
        return f"port {refusal.port} of the host is held by {holder}"
    return f"port {refusal.port} of the host can't be held: {refusal.reason}"
