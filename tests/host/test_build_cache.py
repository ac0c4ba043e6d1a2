"""The build cache in its bounds: what it weighs, what goes by age and size, with real layers and cache mounts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pinnace.base.clock import SystemClock
from pinnace.build.keeping import CacheKeeper, CacheRules
from pinnace.build.pruning import Bounds
from tests.host.build_world import BuildWorld, Told, built
from tests.host.conftest import Instance

TEXT = """
FROM busybox:v1 AS a
RUN --mount=type=cache,target=/kept dd if=/dev/zero of=/kept/f bs=1000 count=9; head -c 3000 /dev/zero > /three
RUN head -c 5000 /dev/zero > /five
FROM busybox:v1
COPY --from=a /five /app/five
"""


@pytest.fixture
async def world(instance: Instance, busybox_root: Path) -> AsyncIterator[BuildWorld]:
    async with built(instance, busybox_root) as one:
        yield one


async def weights(world: BuildWorld) -> dict[str, tuple[int, bool]]:
    """Return what each record weighs, and whether an image has it too."""
    return {one.text: (one.size, one.shared) for one in await world.builder.cache_records()}


async def test_records_tell_what_steps_and_mounts_weigh_and_what_images_share(world: BuildWorld) -> None:
    await world.build(TEXT)
    found = await weights(world)
    first, second, copy = (
        next(text for text in found if part in text) for part in ("/three", "RUN head -c 5000", "COPY")
    )
    assert (found[first], found[copy]) == ((3000, False), (5000, True))
    assert found[second] == (5000, False)
    mount = next(text for text in found if text.startswith("cache mount"))
    assert found[mount][0] >= 9000


async def test_pruning_frees_what_it_says_and_leaves_what_images_have(world: BuildWorld) -> None:
    await world.build(TEXT)
    pruned = await world.builder.prune(Bounds(types=("regular",)))
    assert len(pruned.records) == 2
    assert pruned.freed == 8000
    told = Told()
    await world.build(TEXT, told=told)
    assert len(told.steps("done")) == 2
    assert told.steps("cached") == ["COPY --from=a /five /app/five"]
    assert world.read("/app/five") == "\0" * 5000


async def test_instance_keeps_its_own_bounds(world: BuildWorld) -> None:
    await world.build(TEXT)
    await world.build("FROM busybox:v1\nRUN head -c 700 /dev/zero > /new\n")
    builder = world.builder
    for rules, left in (
        (CacheRules(max_bytes=100_000), 5),
        (CacheRules(max_bytes=1000), 2),  # the steps whose layers images have weigh nothing more
        (CacheRules(older_than_s=0.0), 0),
    ):
        keeper = CacheKeeper(
            world.images, builder._cache, builder.cache_mounts, SystemClock(), world.instance.home, rules
        )
        await keeper.keep_in_bounds()
        assert len(await builder.cache_records()) == left
        assert (await keeper.keep_in_bounds()).records == ()  # looks only now and then
    assert list((world.instance.home / "build" / "mounts").iterdir()) == []
