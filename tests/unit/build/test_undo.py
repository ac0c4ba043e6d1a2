"""An undo ends, whatever happens to whoever waits for it."""

from __future__ import annotations

import asyncio

import pytest

from pinnace.build.undo import finished


async def test_result_and_error_come_through() -> None:
    async def give() -> int:
        return 3

    async def fail() -> None:
        raise ValueError

    assert await finished(give()) == 3
    with pytest.raises(ValueError):
        await finished(fail())


async def test_cancelled_twice_it_still_ends_before_the_cancellation_is_raised() -> None:
    ended, go = [], asyncio.Event()

    async def undo() -> None:
        await go.wait()
        ended.append(True)

    task = asyncio.create_task(finished(undo()))
    for _ in range(2):
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]
