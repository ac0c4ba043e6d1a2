"""The keyed queue's promises, on virtual time."""

import asyncio

import pytest

from pinnace.base.virtual import run_virtual
from pinnace.base.workqueue import QueueClosed, WorkQueue


def test_a_key_waits_once_however_often_it_is_added() -> None:
    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()
        for _ in range(3):
            queue.add("a")
        assert await queue.get() == "a"
        queue.done("a")
        assert queue.idle

    run_virtual(main())


def test_a_key_that_is_added_while_it_runs_runs_again_only_when_it_is_done() -> None:
    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("a")
        await queue.get()
        queue.add("a")
        assert len(queue) == 0
        queue.done("a")
        assert await queue.get() == "a"

    run_virtual(main())


def test_failures_double_the_delay_and_forget_resets_it() -> None:
    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue(first_delay_s=1.0, max_delay_s=5.0)
        delays = []
        for _ in range(4):
            delays.append(queue.add_failed("a"))
            await queue.get()
            queue.done("a")
        queue.forget("a")
        delays.append(queue.add_failed("a"))
        assert delays == [1.0, 2.0, 4.0, 5.0, 1.0]
        assert asyncio.get_running_loop().time() == pytest.approx(12.0)  # 1 + 2 + 4 + 5

    run_virtual(main())


def test_of_two_delays_for_one_key_the_earlier_counts() -> None:
    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add_after("a", 10.0)
        queue.add_after("a", 3.0)
        queue.add_after("a", 7.0)
        await queue.get()
        assert asyncio.get_running_loop().time() == pytest.approx(3.0)
        queue.done("a")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(queue.get(), 60.0)

    run_virtual(main())


def test_close_wakes_every_getter() -> None:
    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()
        getters = [asyncio.ensure_future(queue.get()) for _ in range(3)]
        await asyncio.sleep(0)
        queue.close()
        results = await asyncio.gather(*getters, return_exceptions=True)
        assert [type(result) for result in results] == [QueueClosed] * 3

    run_virtual(main())


def test_a_cancelled_getter_does_not_swallow_a_key() -> None:
    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()
        first = asyncio.ensure_future(queue.get())
        second = asyncio.ensure_future(queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        first.cancel()
        assert await asyncio.wait_for(second, 1.0) == "a"

    run_virtual(main())
