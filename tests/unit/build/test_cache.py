"""The memory of steps: across restarts, with damage, without its layers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from pathlib import Path

import pytest

from pinnace.base.clock import FrozenClock
from pinnace.build.cache import BuildCache
from pinnace.image.layers import Layer
from pinnace.oci.digest import Digest

LAYER = Layer(
    diff_id=Digest("sha256:" + "a" * 64), key=Digest("sha256:" + "a" * 64), size=1, tar_size=2, entries=1
)


class Store:
    """Layers that are there, and a cache on one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.layers = {LAYER.key: LAYER}
        self.now = 1000.0

    async def open(self) -> BuildCache:
        cache = BuildCache(self.folder, self.layers.get, FrozenClock(self.now))
        await cache.load()
        return cache


async def test_step_is_remembered_by_the_next_daemon(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    cache = await store.open()
    entry = await cache.remember("k", LAYER, "RUN x", 2.5)
    found = (await store.open()).find("k")
    assert found == entry
    assert (entry.created, entry.layer, entry.seconds) == (1000.0, LAYER, 2.5)


async def test_entry_counts_only_while_its_layer_is_there(tmp_path: Path) -> None:
    store = Store(tmp_path)
    cache = await store.open()
    await cache.remember("k", LAYER, "RUN x", 1)
    assert list(cache.roots()) == [LAYER.key]
    store.layers.clear()
    assert cache.find("k") is None


async def test_damaged_and_half_written_entries_are_no_cache_and_go(tmp_path: Path) -> None:
    store = Store(tmp_path)
    cache = await store.open()
    for key in ("good", "cut", "moved"):
        await cache.remember(key, LAYER, "RUN x", 1)
    (tmp_path / "cut.json").write_bytes((tmp_path / "cut.json").read_bytes()[:20])
    (tmp_path / "moved.json").rename(tmp_path / "elsewhere.json")
    (tmp_path / ".good.json.tmp").write_bytes(b"")
    again = await store.open()
    assert [again.find(key) is not None for key in ("good", "cut", "moved", "elsewhere")] == [
        True,
        False,
        False,
        False,
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["good.json"]


async def test_pruning_forgets_what_was_not_used_for_long(tmp_path: Path) -> None:
    store = Store(tmp_path)
    cache = await store.open()
    await cache.remember("old", LAYER, "RUN x", 1)
    await cache.remember("used", LAYER, "RUN y", 1)
    store.now = 2000.0
    cache = await store.open()
    cache.find("used")
    await cache.save()
    assert await cache.prune(older_than_s=500) == 1
    again = await store.open()
    assert (again.find("old"), again.find("used") is not None) == (None, True)
    assert await again.prune() == 1
    assert list(again.roots()) == []


async def test_digests_of_layers_files_are_remembered(tmp_path: Path) -> None:
    store = Store(tmp_path)
    cache = await store.open()
    cache.remember_digest("k", "d")
    assert cache.find_digest("k") == "d"
    await cache.save()
    assert (await store.open()).find_digest("k") == "d"


async def test_builds_that_end_together_write_the_same_entries_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = await Store(tmp_path).open()
    await cache.remember("k", LAYER, "RUN x", 1)
    both = threading.Barrier(2, timeout=0.5)
    replace = os.replace

    def replace_beside_another(source: Path, target: Path) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait()  # as late as two writers can meet: each has written its file
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_beside_another)
    cache.find("k")
    first = asyncio.create_task(cache.save())
    await asyncio.sleep(0)
    cache.find("k")
    await asyncio.gather(first, cache.save())
    assert [path.name for path in tmp_path.iterdir()] == ["k.json"]
