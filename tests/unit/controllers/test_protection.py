"""Protected volumes and claims: they go when nobody uses them any more."""

from typing import Any

from pinnace.api.facade import Api
from pinnace.base.chance import Chance
from pinnace.base.clock import FrozenClock
from pinnace.controllers.protection.controller import ClaimProtectionController, VolumeProtectionController
from pinnace.controllers.runner import ObjectKey
from pinnace.kube import codec, kinds
from pinnace.store.memory import MemoryStore
from tests.unit.controllers.builders import START

CLAIM = {
    "metadata": {"name": "data", "namespace": "default"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


async def make_api() -> Api:
    api = Api(MemoryStore(), FrozenClock(START), Chance(7))
    await create(api, kinds.NAMESPACE, {"metadata": {"name": "default"}})
    return api


async def create(api: Api, kind: Any, document: dict[str, Any]) -> Any:
    return await api.create(codec.from_json(kind, document))


async def test_a_claim_goes_at_once_when_no_pod_uses_it() -> None:
    api = await make_api()
    await create(api, kinds.PERSISTENT_VOLUME_CLAIM, CLAIM)
    assert not (await api.delete(kinds.PERSISTENT_VOLUME_CLAIM, "default", "data")).gone
    await ClaimProtectionController(api).reconcile(ObjectKey("default", "data"))
    assert api.find(kinds.PERSISTENT_VOLUME_CLAIM, "default", "data") is None


async def test_a_claim_stays_while_a_pod_on_a_node_uses_it() -> None:
    api = await make_api()
    controller = ClaimProtectionController(api)
    await create(api, kinds.PERSISTENT_VOLUME_CLAIM, CLAIM)
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]
    spec = {"containers": [{"name": "c", "image": "i"}], "volumes": volumes}
    await create(api, kinds.POD, {"metadata": {"name": "user", "namespace": "default"}, "spec": spec})
    await api.bind("default", "user", "n1")
    await api.delete(kinds.PERSISTENT_VOLUME_CLAIM, "default", "data")
    await controller.reconcile(ObjectKey("default", "data"))
    assert api.find(kinds.PERSISTENT_VOLUME_CLAIM, "default", "data") is not None
    await api.finish_deletion((await api.delete(kinds.POD, "default", "user")).object)
    await controller.reconcile(ObjectKey("default", "data"))
    assert api.find(kinds.PERSISTENT_VOLUME_CLAIM, "default", "data") is None


async def test_a_volume_stays_while_it_is_bound() -> None:
    api = await make_api()
    controller = VolumeProtectionController(api)
    volume = {
        "metadata": {"name": "disk"},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/data"},
        },
    }
    created = await create(api, kinds.PERSISTENT_VOLUME, volume)
    await api.update_status(
        codec.from_json(kinds.PERSISTENT_VOLUME, {**codec.to_json(created), "status": {"phase": "Bound"}})
    )
    await api.delete(kinds.PERSISTENT_VOLUME, "", "disk")
    await controller.reconcile(ObjectKey("", "disk"))
    bound = api.get(kinds.PERSISTENT_VOLUME, "", "disk")
    await api.update_status(
        codec.from_json(kinds.PERSISTENT_VOLUME, {**codec.to_json(bound), "status": {"phase": "Released"}})
    )
    await controller.reconcile(ObjectKey("", "disk"))
    assert api.find(kinds.PERSISTENT_VOLUME, "", "disk") is None
