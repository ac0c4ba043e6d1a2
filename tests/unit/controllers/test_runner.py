"""The runner: keys, failures, races, closing."""

import asyncio
from collections.abc import Callable
from typing import Any

from pinnace.api.facade import Api
from pinnace.base.chance import Chance
from pinnace.base.clock import LoopClock
from pinnace.base.errors import ApiError, Reason
from pinnace.base.virtual import run_virtual
from pinnace.controllers.apply import apply_plan
from pinnace.controllers.plan import Change, Delete, Plan, Record, SetStatus
from pinnace.controllers.runner import ControllerRunner, ObjectKey, Requeue, Source, Stale, Told, own_key
from pinnace.kube.kinds import CONFIG_MAP, EVENT, Kind
from pinnace.kube.objects.core_v1 import ConfigMap, Namespace
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.store.memory import MemoryStore
from tests.unit.controllers.builders import START, with_meta


class Scripted:
    """A controller that does what the test says, and remembers when."""

    name = "scripted"

    def __init__(self, api: Api, act: Callable[[int], Any], kind: Kind[Any] | None = CONFIG_MAP) -> None:
        self._api = api
        self._act = act
        self.kind = kind
        self.calls: list[tuple[str, float]] = []
        self.running = 0
        self.sources = (Source(CONFIG_MAP, own_key),)

    async def reconcile(self, key: ObjectKey) -> Requeue | None:
        self.running += 1
        assert self.running == 1, "one key ran twice at once"
        try:
            self.calls.append((str(key), round(self._api.clock.now() - START, 3)))
            result = self._act(len(self.calls))
            if asyncio.iscoroutine(result):
                result = await result
            if isinstance(result, Exception):
                raise result
            return result  # type: ignore[no-any-return]
        finally:
            self.running -= 1


def run(
    act: Callable[[int], Any], seconds: float, *, objects: int = 1
) -> tuple[Scripted, ControllerRunner, list[Any]]:
    async def main() -> tuple[Scripted, ControllerRunner, list[Any]]:
        api = await new_api()
        controller = Scripted(api, act)
        runner = ControllerRunner(api, (controller,), api.clock)
        for number in range(objects):
            await api.create(config_map(f"c{number}"))
        runner.start()
        await api.clock.sleep(seconds)
        events = [(event.reason, event.message) for event in api.list(EVENT)]
        await runner.close()
        await api.store.close()
        return controller, runner, events

    return run_virtual(main())


async def new_api() -> Api:
    api = Api(MemoryStore(), LoopClock(START), Chance(1))
    await api.create(Namespace(metadata=ObjectMeta(name="default")))
    return api


def config_map(name: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data={"a": "1"})


def test_present_objects_are_reconciled_at_the_start() -> None:
    controller, runner, _ = run(lambda n: None, 1)
    assert controller.calls == [("default/c0", 0)]
    assert runner.idle


def test_requeue_comes_back_after_its_time() -> None:
    controller, _, _ = run(lambda n: Requeue(10), 25)
    assert [at for _, at in controller.calls] == [0, 10, 20]


def test_failures_come_back_with_doubling_delays_and_are_visible() -> None:
    controller, runner, events = run(lambda n: ValueError("broken") if n <= 4 else None, 0.09)
    assert [at for _, at in controller.calls] == [0, 0.005, 0.015, 0.035, 0.075]  # 5, 10, 20, 40 ms
    assert runner.failures == ()
    assert events == [("ReconcileFailed", "broken")]


def test_what_an_event_tells_of_already_gets_no_second_one() -> None:
    _, runner, events = run(lambda n: Told(Reason.FORBIDDEN, "over quota"), 0.09)
    assert ([failure.message for failure in runner.failures], events) == (["over quota"], [])


def test_lasting_failure_is_shown_with_its_count() -> None:
    _, runner, _ = run(lambda n: ApiError(Reason.INVALID, "no such thing"), 0.06)
    (failure,) = runner.failures
    assert (failure.controller, failure.key, failure.message, failure.count) == (
        "scripted",
        "default/c0",
        "no such thing",
        4,
    )


def test_race_is_tried_again_and_is_no_failure() -> None:
    controller, runner, events = run(lambda n: Stale("gone") if n == 1 else None, 1)
    assert len(controller.calls) == 2
    assert (runner.failures, events) == ((), [])


def test_change_during_a_reconcile_brings_another_one() -> None:
    async def touch(api: Api) -> None:
        await api.change(CONFIG_MAP, "default", "c0", lambda one: with_meta(one, labels={"a": "b"}))

    async def main() -> list[float]:
        api = await new_api()
        controller = Scripted(api, lambda n: touch(api) if n == 1 else None)
        runner = ControllerRunner(api, (controller,), api.clock)
        await api.create(config_map("c0"))
        runner.start()
        await api.clock.sleep(1)
        await runner.close()
        await api.store.close()
        return [at for _, at in controller.calls]

    assert run_virtual(main()) == [0, 0]


def test_close_leaves_no_task() -> None:
    async def main() -> int:
        api = await new_api()
        runner = ControllerRunner(api, (Scripted(api, lambda n: api.clock.sleep(100)),), api.clock)
        await api.create(config_map("c0"))
        runner.start()
        await api.clock.sleep(1)
        await runner.close()
        await api.store.close()
        return len(asyncio.all_tasks()) - 1

    assert run_virtual(main()) == 0


# ---------------------------------------------------------------------- applying plans


def applied(make: Callable[[ConfigMap], Plan], meanwhile: Callable[[Api], Any] | None = None) -> Any:
    async def main() -> Any:
        api = await new_api()
        try:
            before = await api.create(config_map("c0"))
            plan = make(before)
            if meanwhile is not None:
                await meanwhile(api)
            await apply_plan(api, plan, "test")
            return api.find(CONFIG_MAP, "default", "c0")
        finally:
            await api.store.close()

    return run_virtual(main())


def relabel(before: ConfigMap) -> Plan:
    return Plan((Change(before, with_meta(before, labels={"x": "y"}), "test"),))


def test_change_is_made() -> None:
    assert applied(relabel).metadata.labels == {"x": "y"}


def test_change_of_something_that_changed_is_stale() -> None:
    async def meanwhile(api: Api) -> None:
        await api.change(CONFIG_MAP, "default", "c0", lambda one: with_meta(one, labels={"other": "1"}))

    assert _raises_stale(lambda: applied(relabel, meanwhile))


def test_change_of_something_gone_or_replaced_is_stale() -> None:
    async def gone(api: Api) -> None:
        await api.delete(CONFIG_MAP, "default", "c0")

    async def replaced(api: Api) -> None:
        await gone(api)
        await api.create(config_map("c0"))

    assert _raises_stale(lambda: applied(relabel, gone))
    assert _raises_stale(lambda: applied(relabel, replaced))


def test_delete_of_something_gone_is_no_error_and_of_another_one_does_nothing() -> None:
    async def replaced(api: Api) -> None:
        await api.delete(CONFIG_MAP, "default", "c0")
        await api.create(config_map("c0"))

    assert applied(lambda before: Plan((Delete(before, "test"),))) is None
    assert applied(lambda before: Plan((Delete(before, "test"),)), replaced) is not None


def test_plan_reads_as_text() -> None:
    one = with_meta(config_map("c0"), uid="u")
    plan = Plan(
        (
            Change(one, one, "why"),
            SetStatus(one, None),
            Delete(one, "old"),
            Record(one, "Normal", "R", "said"),
        ),
        3,
    )
    assert plan.describe().splitlines() == [
        "change ConfigMap default/c0: why",
        "set status of ConfigMap default/c0",
        "delete ConfigMap default/c0: old",
        "record Normal R on ConfigMap default/c0: said",
        "look again in 3 s",
    ]
    assert Plan().describe() == "nothing to do"


def _raises_stale(act: Callable[[], Any]) -> bool:
    try:
        act()
    except Stale:
        return True
    return False


def test_change_that_a_controller_cannot_place_does_not_deafen_it() -> None:
    async def main() -> list[str]:
        api = await new_api()
        controller = Scripted(api, lambda n: None)

        def keys(change: Any) -> tuple[ObjectKey, ...]:
            if change.object.metadata.name == "c0":
                raise ValueError("odd")
            return own_key(change)

        controller.sources = (Source(CONFIG_MAP, keys),)
        runner = ControllerRunner(api, (controller,), api.clock)
        await api.create(config_map("c0"))
        await api.create(config_map("c1"))
        runner.start()
        await api.clock.sleep(1)
        await runner.close()
        await api.store.close()
        return [key for key, _ in controller.calls]

    assert run_virtual(main()) == ["default/c1"]
