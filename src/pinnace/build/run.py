"""One build going on: does the stages side by side as they need each other, each step from the cache if it can be.

Called by `builder`. What a step means is in `plan`, its cache key in `keys`, how it is done in `execute`.
Invariants: only stages that the target needs are touched; a step with one key is done once at a time, also across
builds; what a build made before it failed stays in the cache, and nothing else of it stays.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from pinnace.base.chance import Chance
from pinnace.base.clock import Clock
from pinnace.base.errors import PinnaceError
from pinnace.base.locks import KeyedLocks
from pinnace.base.times import render_micro_time
from pinnace.build.bases import Bases
from pinnace.build.cache import BuildCache
from pinnace.build.digest import SelectionFacts, digest_sources
from pinnace.build.execute import Executor, new_id
from pinnace.build.failures import place_error
from pinnace.build.inputs import BuildRequest, Inputs
from pinnace.build.keys import compute_key, compute_selection_key
from pinnace.build.known import memory_path
from pinnace.build.platforms import Platform, parse_platform
from pinnace.build.plies import Plies, Ply, Shelf, ply_of
from pinnace.build.progress import Built, Output, StageWeight, StepNews, Tell, Warned
from pinnace.build.selection import Selection
from pinnace.build.steps import BuildPlan, Configure, Copy, MakeDirectory, Planned, Run, StagePlan
from pinnace.image.layers import Layer
from pinnace.image.leases import Lease
from pinnace.image.store import ImageStore
from pinnace.image.views import Image
from pinnace.oci.config import History, ImageConfig, RootFs

WorkStep = Run | Copy | MakeDirectory


@dataclass(frozen=True, slots=True)
class Shared:
    """What all builds of one instance share. `slots` bounds how many steps run at once, `locks` are by cache key.

    `files` is the folder in which digests of contexts' files are remembered.
    """

    images: ImageStore
    clock: Clock
    chance: Chance
    cache: BuildCache
    slots: asyncio.Semaphore
    locks: KeyedLocks
    files: Path


@dataclass(frozen=True, slots=True)
class _StageResult:
    """The layers that a stage ended with, bottom first; when its newest step was done; how many came from the cache."""

    layers: Plies
    history: tuple[History, ...]
    created: float
    cached: int = 0


@dataclass(frozen=True, slots=True)
class _Done:
    """What came of a step, and when it was first done."""

    layer: Ply
    created: float
    cached: bool = False


class BuildRun:
    """One build. `finish` does it."""

    def __init__(
        self,
        shared: Shared,
        executor: Executor,
        lease: Lease,
        request: BuildRequest,
        inputs: Inputs,
        plan: BuildPlan,
        bases: Bases,
        tell: Tell,
    ) -> None:
        self._shared = shared
        self._images = shared.images
        self._executor = executor
        self._lease = lease
        self._request = request
        self._inputs = inputs
        self._plan = plan
        self._bases = bases
        self._tell = tell
        self._shelf = Shelf(shared.images, lease)
        self._stages: dict[int, asyncio.Task[_StageResult]] = {}

    async def finish(self) -> Built:
        """Do all stages, write the image, give it its names. Raises: UserError, ApiError, HostError."""
        began = self._shared.clock.monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                for stage in self._plan.stages:
                    task = group.create_task(self._do_stage(stage), name=f"build/{stage.label}")
                    self._stages[stage.index] = task
        except ExceptionGroup as failures:
            raise _first(failures) from None
        results = {index: task.result() for index, task in self._stages.items()}
        target = self._plan.stage(self._plan.target)
        image = await self._write(target, results[target.index])
        return Built(
            image=image.id,
            names=self._request.names,
            seconds=self._shared.clock.monotonic() - began,
            stages=tuple(self._weigh(stage, results[stage.index].layers) for stage in self._plan.stages),
            cached=sum(one.cached for one in results.values()),
            steps=sum(stage.work for stage in self._plan.stages),
        )

    async def _write(self, target: StagePlan, result: _StageResult) -> Image:
        platform = self._platform_of(target)
        layers = await self._shelf.bring(result.layers)
        config = ImageConfig(
            created=render_micro_time(result.created),  # a build that changed nothing gives the same image
            author=target.author,
            architecture=platform.architecture,
            variant=platform.variant,
            os=platform.os,
            config=target.config,
            rootfs=RootFs(),
            history=result.history,
        )
        names = self._request.names
        image = await self._images.write_image(config, layers, names[0] if names else None)
        for name in names[1:]:
            await self._images.tag(image.id, name)
        return image

    # --- stages ------------------------------------------------------------------------------------------------------

    async def _do_stage(self, stage: StagePlan) -> _StageResult:
        result = await self._begin_stage(stage)
        number = 0
        for planned in stage.steps:
            step = planned.step
            if isinstance(step, Configure):
                result = _after(result, planned, None)
                continue
            number += 1
            news = StepNews(
                id=f"{stage.label}/{number}",
                stage=stage.label,
                number=number,
                total=stage.work,
                text=step.place.text,
                state="running",
            )
            result = _after(result, planned, await self._do_step(step, result.layers, news))
        return result

    async def _begin_stage(self, stage: StagePlan) -> _StageResult:
        """Return what a stage begins with."""
        if stage.base_stage >= 0:
            below = await asyncio.shield(self._stages[stage.base_stage])
            return _StageResult(below.layers, below.history, below.created)
        if not stage.base:
            return _StageResult((), (), 0.0)
        platform = self._platform_of(stage)
        base = self._bases.require(stage.base, platform)
        plies = self._bases.plies(stage.base, platform)
        return _StageResult(plies, tuple(base.config.history or ()), base.created)

    def _platform_of(self, stage: StagePlan) -> Platform:
        return parse_platform(stage.platform, self._request.options.architecture)

    def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that is told: the first that is not another one's cancellation."""
    for failure in failures.exceptions:
        return _first(failure) if isinstance(failure, BaseExceptionGroup) else failure
    return failures
