"""Locks by key, on virtual time."""

from __future__ import annotations

import asyncio

from pinnace.base.locks import KeyedLocks
from pinnace.base.virtual import run_virtual


def test_one_at_a_time_holds_a_key_in_the_order_of_asking_and_other_keys_do_not_wait() -> None:
    async def main() -> list[str]:
        locks, told = KeyedLocks(), []

        async def hold(key: str, name: str) -> None:
            async with locks.hold(key):
                told.append(f"{name} in")
                await asyncio.sleep(1)
                told.append(f"{name} out")

        await asyncio.gather(hold("a", "first"), hold("a", "second"), hold("b", "other"))
        return told

    assert run_virtual(main()) == [
        *("first in", "other in", "first out", "other out"),
        *("second in", "second out"),
    ]


def test_nothing_is_kept_for_keys_that_nobody_holds_though_a_waiter_gave_up() -> None:
    async def main() -> int:
        locks = KeyedLocks()
        async with locks.hold("a"):
            waiter = asyncio.create_task(locks.hold("a").__aenter__())
            await asyncio.sleep(0)
            waiter.cancel()
            await asyncio.gather(waiter, return_exceptions=True)
        return len(locks)

    assert run_virtual(main()) == 0
