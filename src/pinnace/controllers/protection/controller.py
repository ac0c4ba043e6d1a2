"""Reads volumes, claims and the pods that use them, and carries out what `decide.py` says. Run by the runner."""

from collections.abc import Iterator

from pinnace.api.facade import Api, ObjectChange
from pinnace.controllers.apply import apply_plan
from pinnace.controllers.protection.decide import claims_of, reconcile_claim, reconcile_volume
from pinnace.controllers.runner import ObjectKey, Requeue, Source, own_key
from pinnace.kube.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, POD
from pinnace.kube.objects.core_v1 import Pod


class ClaimProtectionController:
    """Lets claims go that no pod uses."""

    name = "pvc-protection"
    kind = PERSISTENT_VOLUME_CLAIM

    def __init__(self, api: Api) -> None:
        self._api = api
        self.sources = (Source(PERSISTENT_VOLUME_CLAIM, own_key), Source(POD, self._keys_of_pod))

    def _keys_of_pod(self, change: ObjectChange[Pod]) -> Iterator[ObjectKey]:
        if change.type == "DELETED" and change.object.spec.volumes:
            for name in claims_of(change.object):
                yield ObjectKey(change.object.metadata.namespace, name)

    async def reconcile(self, key: ObjectKey) -> Requeue | None:
        claim = self._api.find(PERSISTENT_VOLUME_CLAIM, key.namespace, key.name)
        if claim is None or not claim.metadata.deletion_timestamp:
            return None
        pods = self._api.list(POD, key.namespace)
        return await apply_plan(self._api, reconcile_claim(claim, pods), self.name)


class VolumeProtectionController:
    """Lets volumes go that are bound to no claim."""

    name = "pv-protection"
    kind = PERSISTENT_VOLUME

    def __init__(self, api: Api) -> None:
        self._api = api
        self.sources = (Source(PERSISTENT_VOLUME, own_key),)

    async def reconcile(self, key: ObjectKey) -> Requeue | None:
        volume = self._api.find(PERSISTENT_VOLUME, "", key.name)
        if volume is None:
            return None
        return await apply_plan(self._api, reconcile_volume(volume), self.name)
