"""Reads a Service and its pods and carries out what `slices.py` and `legacy.py` say. Run by the runner."""

from collections.abc import Iterator
from typing import Any

from pinnace.api.facade import Api, ObjectChange
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, Reason
from pinnace.controllers.apply import apply_delete, apply_step
from pinnace.controllers.endpoints.facts import (
    MANAGED_BY,
    SERVICE_NAME,
    SLICE_MANAGER,
    find_members,
    has_endpoints,
)
from pinnace.controllers.endpoints.legacy import MANAGED_BY as LEGACY_MANAGED_BY
from pinnace.controllers.endpoints.legacy import reconcile_endpoints
from pinnace.controllers.endpoints.slices import SliceFacts, reconcile_slices
from pinnace.controllers.plan import Plan
from pinnace.controllers.runner import ObjectKey, Requeue, Source, Stale, own_key
from pinnace.kube.kinds import ENDPOINT_SLICE, ENDPOINTS, POD, SERVICE
from pinnace.kube.objects.core_v1 import Endpoints, Pod, Service
from pinnace.kube.objects.discovery_v1 import EndpointSlice

COMPONENT = "endpoint-slice-controller"


class EndpointsController:
    """Keeps the endpoints of each Service that has a selector."""

    name = "endpoints"
    kind = SERVICE

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._written: dict[str, str] = {}  # uid -> the revision that we wrote last
        self.sources = (
            Source(SERVICE, own_key),
            Source(POD, self._keys_of_pod),
            Source(ENDPOINT_SLICE, self._keys_of_slice),
            Source(ENDPOINTS, self._keys_of_endpoints),
        )

    def _keys_of_pod(self, change: ObjectChange[Pod]) -> Iterator[ObjectKey]:
        pod, before = change.object, change.previous
        if before is not None and change.type == "MODIFIED" and _matters(pod) == _matters(before):
            return
        sets = [
            one.metadata.labels.items() for one in (pod, before) if one is not None and one.metadata.labels
        ]
        for service in self._api.list(SERVICE, pod.metadata.namespace) if sets else ():
            wanted = service.spec.selector.items()
            if wanted and any(wanted <= labels for labels in sets):
                yield ObjectKey(service.metadata.namespace, service.metadata.name)

    async def reconcile(self, key: ObjectKey) -> Requeue | None:
        service = self._api.find(SERVICE, key.namespace, key.name)
        if service is None or service.metadata.deletion_timestamp or not has_endpoints(service):
            await self._remove_left_over(key, service)
            return None
        wanted = service.spec.selector.items()
        pods = self._api.list(POD, key.namespace, labels=lambda labels: wanted <= labels.items())
        members = find_members(service, pods)
        try:
            await self._apply(reconcile_slices(SliceFacts(service, members, self._slices_of(key))))
            present = self._api.find(ENDPOINTS, key.namespace, key.name)
            await self._apply(reconcile_endpoints(service, members, present))
        except ApiError as error:
            if error.reason is Reason.ALREADY_EXISTS:
                raise Stale(str(error)) from error
            if error.reason is Reason.FORBIDDEN and any(
                c.reason == "NamespaceTerminating" for c in error.causes
            ):
                return None
            raise
        return None

    async def _apply(self, plan: Plan) -> None:
        """Carry a plan out and note what was written, so that our own writes don't bring us back."""
        for step in plan.steps:
            written = await apply_step(self._api, step, COMPONENT)
            if written is not None:
                self._written[written.metadata.uid] = written.metadata.resource_version

    def _is_ours(self, change: ObjectChange[Any]) -> bool:
        meta = change.object.metadata
        if change.type == "DELETED":
            self._written.pop(meta.uid, None)
            return False
        return bool(self._written.get(meta.uid) == meta.resource_version)

    def _keys_of_endpoints(self, change: ObjectChange[Endpoints]) -> Iterator[ObjectKey]:
        if not self._is_ours(change):
            yield from own_key(change)

    def _keys_of_slice(self, change: ObjectChange[EndpointSlice]) -> Iterator[ObjectKey]:
        if self._is_ours(change):
            return
        for one in (change.object, change.previous):
            if one is not None and one.metadata.labels.get(MANAGED_BY) == SLICE_MANAGER:
                yield ObjectKey(one.metadata.namespace, one.metadata.labels.get(SERVICE_NAME, ""))

    def _slices_of(self, key: ObjectKey) -> tuple[EndpointSlice, ...]:
        return self._api.list(
            ENDPOINT_SLICE,
            key.namespace,
            labels=lambda labels: (
                labels.get(SERVICE_NAME) == key.name and labels.get(MANAGED_BY) == SLICE_MANAGER
            ),
        )

    async def _remove_left_over(self, key: ObjectKey, service: Service | None) -> None:
        """Remove what we made, and nothing that somebody made for a Service without a selector."""
        if service is not None and service.metadata.deletion_timestamp:
            return
        for one in self._slices_of(key):
            await apply_delete(self._api, one)
        endpoints = self._api.find(ENDPOINTS, key.namespace, key.name)
        ours = endpoints is not None and LEGACY_MANAGED_BY in endpoints.metadata.labels
        if endpoints is not None and (service is None or ours):
            await apply_delete(self._api, endpoints)


def _matters(pod: Pod) -> tuple[object, ...]:
    """Return what of a pod shows in endpoints; most changes of pods touch none of it."""
    ready = next((c.status for c in pod.status.conditions if c.type == "Ready"), "")
    meta = pod.metadata
    return (
        meta.labels,
        bool(meta.deletion_timestamp),
        pod.status.pod_ip,
        pod.status.phase,
        ready,
        pod.spec.node_name,
    )
