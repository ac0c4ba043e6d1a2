"""Folders of cache mounts: who gets which, what is kept, what a crash leaves."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pinnace.base.chance import Chance
from pinnace.base.clock import FrozenClock
from pinnace.base.errors import UserError
from pinnace.build.cache_mounts import CacheMountKey, CacheMounts

KEY = CacheMountKey(id="/pip")


def mounts(root: Path, now: float = 100.0) -> CacheMounts:
    return CacheMounts(root, FrozenClock(now), Chance(1))


async def loaded(root: Path, now: float = 100.0) -> CacheMounts:
    one = mounts(root, now)
    await one.load()
    return one


async def test_folder_is_the_same_the_next_time_and_with_the_next_daemon(tmp_path: Path) -> None:
    caches = await loaded(tmp_path)
    async with caches.use(KEY, "shared") as folder:
        (folder / "f").write_text("x")
    async with caches.use(KEY, "private") as again:
        assert again == folder
    async with (await loaded(tmp_path)).use(KEY, "locked") as later:
        assert (later / "f").read_text() == "x"


async def test_keys_have_folders_of_their_own(tmp_path: Path) -> None:
    caches = await loaded(tmp_path)
    keys = [KEY, CacheMountKey(id="/npm"), CacheMountKey(id="/pip", uid=0), CacheMountKey(id="x/pip")]
    folders = set()
    for key in keys:
        async with caches.use(key, "shared") as folder:
            folders.add(folder)
    assert len(folders) == 4


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("shared", "shared", True),
        ("shared", "private", False),
        ("private", "private", False),
        ("private", "shared", False),
        ("locked", "shared", False),
    ],
)
async def test_two_at_once(tmp_path: Path, first: str, second: str, is_same: bool) -> None:
    caches = await loaded(tmp_path)
    async with caches.use(KEY, first) as one, caches.use(KEY, second) as two:
        assert (one == two) == is_same
    assert len(await caches.list()) == (1 if is_same else 2)


async def test_locked_one_waits_until_it_is_free(tmp_path: Path) -> None:
    caches = await loaded(tmp_path)
    told: list[str] = []

    async def locked(name: str) -> None:
        async with caches.use(KEY, "locked"):
            told.append(f"{name} in")
            await asyncio.sleep(0)
            told.append(f"{name} out")

    async with caches.use(KEY, "shared"):
        waiting = [asyncio.create_task(locked(name)) for name in "ab"]
        await asyncio.sleep(0.05)
        assert told == []
    await asyncio.gather(*waiting)
    assert told in (["a in", "a out", "b in", "b out"], ["b in", "b out", "a in", "a out"])
    assert len(await caches.list()) == 1


async def test_who_waits_and_is_cancelled_holds_nothing(tmp_path: Path) -> None:
    caches = await loaded(tmp_path)
    async with caches.use(KEY, "locked"):
        waiting = asyncio.create_task(caches.use(KEY, "locked").__aenter__())
        await asyncio.sleep(0.02)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert [one.in_use for one in await caches.list()] == [False]
    async with asyncio.timeout(20), caches.use(KEY, "locked"):
        pass


async def test_new_folder_is_filled_once_and_one_that_cannot_be_is_not_kept(tmp_path: Path) -> None:
    caches, filled = await loaded(tmp_path), 0

    async def fill(folder: Path) -> None:
        nonlocal filled
        filled += 1
        (folder / "seed").write_text("s")

    async def fail(folder: Path) -> None:
        raise UserError("no")

    with pytest.raises(UserError):
        async with caches.use(KEY, "shared", fail):
            pass
    assert list(tmp_path.iterdir()) == []
    for _ in range(2):
        async with caches.use(KEY, "shared", fill) as folder:
            assert (folder / "seed").read_text() == "s"
    assert filled == 1


async def test_owner_and_mode_are_those_of_the_key(tmp_path: Path) -> None:
    caches = await loaded(tmp_path)
    async with caches.use(KEY, "shared") as folder:
        assert folder.stat().st_mode & 0o7777 == 0o755
    async with caches.use(CacheMountKey(id="/pip", mode=0o700), "shared") as folder:
        assert folder.stat().st_mode & 0o7777 == 0o700


async def test_list_says_sizes_and_last_use_and_what_is_used_is_not_removed(tmp_path: Path) -> None:
    caches = await loaded(tmp_path, now=7.0)
    async with caches.use(KEY, "shared") as folder:
        (folder / "f").write_bytes(b"x" * 10_000)
        (facts,) = await caches.list()
        assert (facts.id, facts.in_use, facts.created, facts.used) == ("pip", True, 7.0, 7.0)
        assert facts.size >= 10_000
        assert not await caches.remove(facts.name)
    assert await caches.remove(facts.name)
    assert not await caches.remove(facts.name)
    assert list(tmp_path.iterdir()) == []


async def test_what_a_crash_left_half_done_goes(tmp_path: Path) -> None:
    caches = await loaded(tmp_path)
    async with caches.use(KEY, "shared") as folder:
        pass
    (tmp_path / "made.new/data").mkdir(parents=True)
    (tmp_path / "without-record/data").mkdir(parents=True)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "mount.json").write_text("{")
    again = await loaded(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [folder.parent.name]
    assert len(await again.list()) == 1
