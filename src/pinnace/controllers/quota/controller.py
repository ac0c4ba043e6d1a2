"""Keeps the status of ResourceQuotas: after deletions, after pods end, and anew from time to time. Run by the runner.

What is used is known to the write path, which counts every write (api/admission/quota/ledger.py) and shows creations
itself; this only has it written down. Invariant: nothing is counted here.
"""

from collections.abc import Callable, Iterator

from pinnace.api.facade import Api, ObjectChange
from pinnace.base.clock import Clock
from pinnace.controllers.runner import ObjectKey, Requeue, Source
from pinnace.kube.kinds import RESOURCE_QUOTA
from pinnace.kube.objects.core_v1 import ResourceQuota

# Source: Kubernetes v1.36, kube-controller-manager --resource-quota-sync-period.
SYNC_S = 300.0


class QuotaController:
    """Writes down what is used of each ResourceQuota."""

    name = "resourcequota"
    kind = RESOURCE_QUOTA

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._counted: dict[ObjectKey, float] = {}  # when everything was counted anew
        self.sources = (Source(RESOURCE_QUOTA, self._keys),)

    def listen(self, enqueue: Callable[[ObjectKey], None]) -> None:
        """Have a quota looked at whenever what is used of it changes."""
        self._api.on_quota_change(lambda namespace, name: enqueue(ObjectKey(namespace, name)))

    def _keys(self, change: ObjectChange[ResourceQuota]) -> Iterator[ObjectKey]:
        meta, before = change.object.metadata, change.previous
        if change.type == "DELETED":
            self._counted.pop(ObjectKey(meta.namespace, meta.name), None)
        elif before is None or before.spec != change.object.spec:
            yield ObjectKey(meta.namespace, meta.name)

    async def reconcile(self, key: ObjectKey) -> Requeue | None:
        if self._api.find(RESOURCE_QUOTA, key.namespace, key.name) is None:
            return None
        now = self._clock.now()
        due = self._counted.get(key, now) + SYNC_S
        recount = now >= due
        if recount or key not in self._counted:
            self._counted[key] = now
        await self._api.publish_quota(key.namespace, key.name, recount=recount)
        return Requeue(max(1.0, self._counted[key] + SYNC_S - now))
