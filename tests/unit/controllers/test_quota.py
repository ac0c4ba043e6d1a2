"""The quota controller: writes down what is used, as soon as it changes."""

from typing import Any

from pinnace.api.facade import Api
from pinnace.base.chance import Chance
from pinnace.base.clock import FrozenClock
from pinnace.controllers.quota.controller import SYNC_S, QuotaController
from pinnace.controllers.runner import Listener, ObjectKey
from pinnace.kube import codec, kinds
from pinnace.store.memory import MemoryStore
from tests.unit.controllers.builders import START

KEY = ObjectKey("default", "q")


async def make_world() -> tuple[Api, FrozenClock, QuotaController]:
    clock = FrozenClock(START)
    api = Api(MemoryStore(), clock, Chance(7))
    await create(api, kinds.NAMESPACE, {"metadata": {"name": "default"}})
    await create(api, kinds.CONFIG_MAP, {"metadata": {"name": "a", "namespace": "default"}})
    spec = {"hard": {"count/configmaps": "3"}}
    await create(api, kinds.RESOURCE_QUOTA, {"metadata": {"name": "q", "namespace": "default"}, "spec": spec})
    return api, clock, QuotaController(api, clock)


async def create(api: Api, kind: Any, document: dict[str, Any]) -> Any:
    return await api.create(codec.from_json(kind, document))


def used(api: Api) -> dict[str, Any]:
    return dict(api.get(kinds.RESOURCE_QUOTA, "default", "q").status.used)


async def test_a_new_quota_shows_what_is_there() -> None:
    api, _, controller = await make_world()
    again = await controller.reconcile(KEY)
    assert used(api) == {"count/configmaps": "1"}
    assert again is not None and again.after_s == SYNC_S


async def test_a_deletion_wakes_the_controller() -> None:
    api, _, controller = await make_world()
    await controller.reconcile(KEY)
    assert isinstance(controller, Listener)
    woken: list[ObjectKey] = []
    controller.listen(woken.append)
    await api.delete(kinds.CONFIG_MAP, "default", "a")
    assert woken == [KEY]
    await controller.reconcile(KEY)
    assert used(api) == {"count/configmaps": "0"}


async def test_everything_is_counted_anew_from_time_to_time() -> None:
    api, clock, controller = await make_world()
    await controller.reconcile(KEY)
    before = api.store.revision
    clock.advance(SYNC_S)
    await controller.reconcile(KEY)
    assert (used(api), api.store.revision) == ({"count/configmaps": "1"}, before)


async def test_a_quota_that_is_gone_is_left_alone() -> None:
    api, _, controller = await make_world()
    await api.delete(kinds.RESOURCE_QUOTA, "default", "q")
    assert await controller.reconcile(KEY) is None
