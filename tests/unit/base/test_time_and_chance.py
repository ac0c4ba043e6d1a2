"""Time and chance are inputs: the virtual loop, the clocks, times as text, seeded chance."""

import asyncio
from uuid import RFC_4122, UUID

import pytest

from pinnace.base.chance import SUFFIX_ALPHABET, Chance
from pinnace.base.clock import LoopClock
from pinnace.base.errors import Bug
from pinnace.base.times import parse_time, render_micro_time, render_time
from pinnace.base.virtual import run_virtual


def test_a_day_of_waiting_takes_no_time_and_ends_in_order() -> None:
    async def main() -> list[tuple[str, float]]:
        clock, seen = LoopClock(start=1000.0), []

        async def wait(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            seen.append((name, clock.now()))

        await asyncio.gather(wait("day", 86400), wait("hour", 3600), wait("none", 0))
        return seen

    assert run_virtual(main()) == [("none", 1000.0), ("hour", 4600.0), ("day", 87400.0)]


def test_waiting_for_nothing_on_the_virtual_loop_is_a_bug_not_a_hang() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Bug, match="virtual loop"):
        run_virtual(main())


def test_a_thread_on_the_virtual_loop_is_a_bug() -> None:
    async def main() -> None:
        await asyncio.to_thread(print)

    with pytest.raises(Bug, match="thread"):
        run_virtual(main())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("2026-01-02T03:04:05Z", 1767323045.0),
        ("2026-01-02T04:04:05+01:00", 1767323045.0),
        ("2026-01-02T03:04:05.123456789Z", 1767323045.123456),
        ("2026-01-02T03:04:05.5Z", 1767323045.5),
    ],
)
def test_times_are_read_in_every_form_that_clients_write(text: str, seconds: float) -> None:
    assert parse_time(text) == pytest.approx(seconds, abs=1e-6)


def test_times_are_written_as_kubernetes_writes_them() -> None:
    assert render_time(1767323045.9) == "2026-01-02T03:04:05Z"
    assert render_micro_time(1767323045.25) == "2026-01-02T03:04:05.250000Z"


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        parse_time("2026-01-02T03:04:05")


def test_the_same_seed_gives_the_same_run() -> None:
    def draw(chance: Chance) -> tuple[str, str, float, int]:
        return chance.uid(), chance.suffix(), chance.jitter(10, 0.5), chance.integer(1, 1000)

    assert draw(Chance(7)) == draw(Chance(7))
    assert draw(Chance(7)) != draw(Chance(8))


def test_suffixes_use_the_safe_alphabet_and_uids_are_version_4() -> None:
    chance = Chance(1)
    assert set(chance.suffix(1000)) <= set(SUFFIX_ALPHABET)
    for _ in range(100):
        uid = chance.uid()
        assert (str(UUID(uid)), UUID(uid).version, UUID(uid).variant) == (uid, 4, RFC_4122)
