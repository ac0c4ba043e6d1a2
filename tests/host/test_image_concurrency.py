"""Loads, builds, tags, removals and prunes at once; and a daemon that is killed while it loads."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pinnace.base.errors import ApiError
from pinnace.image import jobs, mounts
from pinnace.image.jobs import PackJob
from pinnace.image.names import MemoryNames
from pinnace.image.store import ImageStore
from pinnace.image.views import Image
from tests.host.test_image_archives import old_archive, stream, tar_of

SECONDS, MOST_S = 3.0, 60.0


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ImageStore]:
    made = ImageStore(tmp_path / "images", MemoryNames())
    await made.start()
    try:
        yield made
    finally:
        await made.wipe()
        await made.close()
        assert mounts.mounts_below(str(tmp_path)) == ()


async def check(store: ImageStore, image: Image, work: Path) -> None:
    """Mount an image, and pack its layers to what its configuration says."""
    rootfs = await store.rootfs(image.id, f"check-{image.id[-12:]}")
    assert list(rootfs.path.iterdir())
    await store.release(rootfs.id)
    for number, layer in enumerate(store.catalog.layers(image.config)):
        assert layer.diff_id == image.config.rootfs.diff_ids[number]
        target = work / f"{image.id[-12:]}-{number}"
        job = PackJob(tree=str(store.layers.tree(layer)), target=str(target), expected=layer.diff_id)
        await store.workers.call(jobs.pack_tree, job)
        target.unlink()


async def test_nothing_that_has_a_name_loses_a_layer(store: ImageStore, tmp_path: Path) -> None:
    chance = random.Random(4)
    until = time.monotonic() + SECONDS
    done = dict.fromkeys(("load", "build", "tag", "rmi", "prune"), 0)

    def going() -> bool:
        now = time.monotonic()
        return now < until or (now < until + MOST_S and min(done.values()) < 2)

    async def load(worker: int) -> None:
        while going():
            number = chance.randrange(6)  # the same layers come again and again
            layer = tar_of({f"f{number}": b"x" * 1000, "dir/a": b"2"})
            await store.load(stream(old_archive(layer).replace(b"old:v1", b"old:v%d" % number)))
            done["load"] += 1

    async def build(worker: int) -> None:
        base = await store.import_tar(stream(tar_of({"base": b"1"})), f"base:{worker}")
        count = 0
        while going():
            count += 1
            name = f"step-{worker}-{count}"
            with store.lease(name) as lease:
                layers = [*store.catalog.layers(base.config)]
                for depth in range(2):
                    step = await store.mount_stack(layers, f"{name}-{depth}")
                    (step.path / f"made{chance.randrange(4)}").write_text(str(depth))
                    layers.append(await store.commit_stack(step.id, lease=lease))
                    await asyncio.sleep(chance.random() * 0.02)
                await store.write_image(base.config, layers, f"app{worker}:v{chance.randrange(3)}")
            done["build"] += 1

    async def retag() -> None:
        while going():
            names = [one.familiar for one in store.list()]
            if names:
                try:
                    await store.tag(chance.choice(names), f"tag:v{chance.randrange(5)}")
                    done["tag"] += 1
                except ApiError:
                    pass  # it was removed meanwhile
            await asyncio.sleep(0.005)

    async def remove() -> None:
        while going():
            names = [one.familiar for one in store.list() if not one.familiar.startswith("base")]
            if names:
                try:
                    await store.remove(chance.choice(names), force=True)
                    done["rmi"] += 1
                except ApiError:
                    pass
            await asyncio.sleep(0.01)

    async def prune() -> None:
        while going():
            await store.prune()
            done["prune"] += 1
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as group:
        for one in (load(0), load(1), build(0), build(1), retag(), remove(), prune()):
            group.create_task(one)
    assert all(count >= 2 for count in done.values()), done
    for image in store.list():
        await check(store, image, tmp_path)
    for image in store.list():
        await store.remove(image.id, force=True)
    await store.prune()
    await store.trash.settled()
    assert (store.list(), store.layers.all(), list(store.blobs.list())) == ((), (), [])
    assert not list((tmp_path / "images/ingest").iterdir())
    assert not list((tmp_path / "images/layers").iterdir())


LOADER = """
import asyncio, sys
from pathlib import Path
from pinnace.image.names import MemoryNames
from pinnace.image.store import ImageStore

async def main():
    store = ImageStore(Path(sys.argv[1]), MemoryNames())
    await store.start()
    print("ready", flush=True)
    while True:
        await store.load(Path(sys.argv[2]))
        await store.remove("old:v1")

asyncio.run(main())
"""


async def test_a_daemon_that_is_killed_while_it_loads_leaves_no_half_image(tmp_path: Path) -> None:
    archive = tmp_path / "archive.tar"
    archive.write_bytes(old_archive(tar_of({f"dir/f{n}": os.urandom(20_000) for n in range(300)})))
    root = tmp_path / "images"
    for round_ in range(3):
        argv = [sys.executable, "-c", LOADER, str(root), str(archive)]
        process = await asyncio.create_subprocess_exec(
            *argv, stdout=asyncio.subprocess.PIPE, start_new_session=True
        )
        assert process.stdout is not None and await process.stdout.readline() == b"ready\n"
        await asyncio.sleep(0.05 + 0.13 * round_)  # somewhere: unpacking, naming, removing
        process.send_signal(signal.SIGKILL)
        await process.wait()
        store = ImageStore(root, MemoryNames())
        await store.start()
        try:
            await store.trash.settled()
            assert not list((root / "ingest").iterdir())
            for layer in store.layers.all():
                await _check_layer(store, layer.diff_id, tmp_path)
            (image,) = await store.load(archive)
            await check(store, image, tmp_path)
            await store.remove("old:v1")
            await store.collect()
            await store.trash.settled()
            assert not list((root / "layers").iterdir())
        finally:
            await store.close()
    assert json.loads(json.dumps(mounts.mounts_below(str(root)))) == []


async def _check_layer(store: ImageStore, diff_id: str, work: Path) -> None:
    layer = next(one for one in store.layers.all() if one.diff_id == diff_id)
    target = work / "layer"
    job = PackJob(tree=str(store.layers.tree(layer)), target=str(target), expected=layer.diff_id)
    await store.workers.call(jobs.pack_tree, job)
    target.unlink()
