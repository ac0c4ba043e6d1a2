"""The order in which waiting pods come, on virtual time."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from pinnace.base.virtual import run_virtual
from pinnace.scheduler.queue import SchedulingQueue, Waiting
from tests.unit.scheduler.builders import facts


async def pop(queue: SchedulingQueue) -> Waiting:
    return await asyncio.wait_for(queue.pop(), 1000)


def now() -> float:
    return asyncio.get_running_loop().time()


def on_virtual_time(test: Any) -> Any:
    def run() -> None:
        coroutine: Coroutine[Any, Any, None] = test()
        run_virtual(coroutine)

    run.__name__ = test.__name__
    return run


@on_virtual_time
async def test_priority_comes_first_then_who_came_first() -> None:
    queue = SchedulingQueue()
    for name, priority in (("a", 0), ("b", 5), ("c", 0), ("d", 5)):
        queue.add(facts(name, priority=priority))
    assert [(await pop(queue)).pod.key.name for _ in range(4)] == ["b", "d", "a", "c"]


@on_virtual_time
async def test_a_parked_pod_comes_when_woken_but_not_before_its_backoff() -> None:
    queue = SchedulingQueue()
    one = facts("a", cpu="1")
    queue.add(one)
    times = []
    for _ in range(6):
        waiting = await pop(queue)
        times.append(now())
        queue.park(waiting, needs_pods=False)
        queue.wake_class(one.scheduling_class)
    assert times == [0, 1, 3, 7, 15, 25]  # 1, 2, 4, 8, then 10 seconds at most


@on_virtual_time
async def test_a_parked_pod_stays_parked_until_something_helps_its_class() -> None:
    queue = SchedulingQueue()
    small, large = facts("small", cpu="1"), facts("large", cpu="2")
    for one in (small, large):
        queue.add(one)
        queue.park(await pop(queue), needs_pods=False)
    assert queue.idle
    assert {pod.key.name for _, pod in queue.parked_classes()} == {"small", "large"}
    queue.wake_needing_pods()
    queue.wake_class(large.scheduling_class)
    assert (await pop(queue)).pod is large
    assert [pod for _, pod in queue.parked_classes()] == [small]


@on_virtual_time
async def test_what_nothing_wakes_comes_again_after_five_minutes() -> None:
    queue = SchedulingQueue()
    queue.add(facts("a"))
    queue.park(await pop(queue), needs_pods=True)
    await pop(queue)
    assert now() == 300


@on_virtual_time
async def test_a_changed_pod_comes_at_once_and_an_unchanged_one_does_not() -> None:
    queue = SchedulingQueue()
    queue.add(facts("a", cpu="9"))
    queue.park(await pop(queue), needs_pods=False)
    queue.add(facts("a", cpu="9"))
    assert queue.idle
    queue.add(facts("a", cpu="1"))
    assert (await pop(queue)).pod.requests == {"cpu": 1000}
    assert now() == 0


@on_virtual_time
async def test_a_removed_pod_never_comes() -> None:
    queue = SchedulingQueue()
    for name in "abc":
        queue.add(facts(name))
    waiting = await pop(queue)
    queue.park(waiting, needs_pods=False)
    queue.remove("uid-b")
    queue.remove("uid-a")
    assert (await pop(queue)).pod.key.name == "c"
    queue.park(waiting, needs_pods=False)  # too late: it is forgotten
    assert len(queue) == 1


@on_virtual_time
async def test_a_reader_that_waits_is_roused_by_a_new_pod() -> None:
    queue = SchedulingQueue()
    reading = asyncio.ensure_future(pop(queue))
    await asyncio.sleep(5)
    queue.add(facts("a"))
    assert (await reading).pod.key.name == "a"
    assert now() == 5


@on_virtual_time
async def test_an_error_delays_a_pod() -> None:
    queue = SchedulingQueue()
    queue.add(facts("a"))
    queue.retry(await pop(queue))
    assert queue.idle
    await pop(queue)
    assert now() == 1
