"""One build going on: does the stages side by side as they need each other, each step from the cache if it can be.

Called by `builder`. What a step means is in `plan`, its cache key in `keys`, how it is done in `execute`.
Invariants: only stages that the target needs are touched; a step with one key is done once at a time, also across
builds; what a build made before it failed stays in the cache, and nothing else of it stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from pinnace.base.chance import Chance
from pinnace.base.clock import Clock
from pinnace.base.errors import PinnaceError
from pinnace.base.locks import KeyedLocks
from pinnace.build.bases import Bases
from pinnace.build.cache import BuildCache
from pinnace.build.cache_export import CacheWriter
from pinnace.build.contexts.opening import Contexts
from pinnace.build.copying import CopyFacts
from pinnace.build.emulation import check_runnable
from pinnace.build.ending import Ending
from pinnace.build.execute import Executor
from pinnace.build.exports import Exports
from pinnace.build.failures import place_error
from pinnace.build.inputs import BuildRequest, Inputs
from pinnace.build.keys import compute_key
from pinnace.build.linking import look_below
from pinnace.build.memory import BuildMemory
from pinnace.build.mount_sources import OpenMount, bring_sources, compute_content, open_mounts
from pinnace.build.origins import Origins, main_context
from pinnace.build.outputs import names_of
from pinnace.build.platforms import Platform, parse_platform
from pinnace.build.plies import Plies, Shelf, ply_of
from pinnace.build.progress import Built, Keyed, Output, Stacked, StageWeight, StepNews, Tell, Warned
from pinnace.build.remote.fetching import Fetching
from pinnace.build.results import Results
from pinnace.build.sources import CopySource
from pinnace.build.stage_result import Done, StageResult, add_step
from pinnace.build.steps import BuildPlan, Configure, Copy, MakeDirectory, Run, StagePlan
from pinnace.image.layers import Layer
from pinnace.image.leases import Lease
from pinnace.image.store import ImageStore

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
    exports: Exports


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
        contexts: Contexts,
        fetching: Fetching,
        memory: BuildMemory,
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
        self._memory = memory
        self._shelf = Shelf(shared.images, lease)
        self._origins = Origins(
            shared.images,
            shared.chance,
            self._shelf,
            memory,
            bases,
            fetching,
            contexts,
            main_context(request, inputs, shared.files, is_fixed=contexts.is_fixed),
            request.options.architecture,
            self._end_of_stage,
            tell,
        )
        self._stages: dict[int, asyncio.Task[StageResult]] = {}

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
        ending = self._ending()
        delivered = await ending.deliver(target, results[target.index])
        await ending.keep(results, target)
        return Built(
            image=delivered.image,
            manifest=delivered.manifest,
            is_stored=delivered.is_stored,
            names=names_of(self._request.names, self._request.outputs) if delivered.is_stored else (),
            seconds=self._shared.clock.monotonic() - began,
            stages=tuple(self._weigh(stage, results[stage.index].layers) for stage in self._plan.stages),
            cached=sum(one.cached for one in results.values()),
            steps=sum(stage.work for stage in self._plan.stages),
        )

    def _ending(self) -> Ending:
        shared, keyring = self._shared, self._request.keyring
        results = Results(
            shared.images, shared.exports, shared.clock, shared.chance, self._lease, keyring, self._tell
        )
        writer = CacheWriter(shared.images, shared.exports, keyring, self._tell)
        return Ending(self._request, self._shelf, self._memory, results, writer)

    # --- stages ------------------------------------------------------------------------------------------------------

    async def _do_stage(self, stage: StagePlan) -> StageResult:
        result = await self._begin_stage(stage)
        base = len(result.layers)
        number = 0
        for planned in stage.steps:
            step = planned.step
            if isinstance(step, Configure):
                result = add_step(result, planned, None)
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
            result = add_step(result, planned, await self._do_step(step, result.layers, news))
        layers = tuple(ply.diff_id for ply in result.layers)
        self._tell(Stacked(stage=stage.label, layers=layers, base=base))
        return result

    async def _begin_stage(self, stage: StagePlan) -> StageResult:
        """Return what a stage begins with."""
        if stage.base_stage >= 0:
            _, below = await self._end_of_stage(stage.base_stage)
            return StageResult(below.layers, below.history, below.created)
        if not stage.base:
            return StageResult((), (), 0.0)
        platform = self._platform_of(stage)
        base = self._bases.require(stage.base, platform)
        plies = self._bases.plies(stage.base, platform)
        return StageResult(plies, tuple(base.config.history or ()), base.created)

    async def _end_of_stage(self, index: int) -> tuple[str, StageResult]:
        """Return a stage's label, and what it ended with, when it has."""
        result = await asyncio.shield(self._stages[index])
        return self._plan.stage(index).label, result

    def _platform_of(self, stage: StagePlan) -> Platform:
        return parse_platform(stage.platform, self._request.options.architecture)

    def _weigh(self, stage: StagePlan, layers: Plies) -> StageWeight:
        return StageWeight(name=stage.label, size=self._shelf.sizes(layers), layers=len(layers))

    # --- steps -------------------------------------------------------------------------------------------------------

    def _is_anew(self, stage: str) -> bool:
        """Say whether a stage's steps are done even if they are known."""
        names = (name.lower() for name in self._request.no_cache_stages)
        return self._request.no_cache or stage.lower() in names

    async def _do_step(self, step: WorkStep, below: Plies, news: StepNews) -> Done:
        try:
            async with AsyncExitStack() as stack:
                source = await self._origins.open_source(step, stack) if isinstance(step, Copy) else None
                began_ns = int(self._shared.clock.now() * 1e9)
                content = await source.digest(news) if source is not None else ""
                under = below
                if isinstance(step, Copy) and step.link:
                    step, below = await self._link(step, below)
                mounts: tuple[OpenMount, ...] = ()
                if isinstance(step, Run):
                    mounts = await open_mounts(step, news, self._origins, stack)
                    content = compute_content(mounts)
                key = compute_key(step, [ply.diff_id for ply in below], content, self._request.options.epoch)
                self._tell(
                    Keyed(
                        id=news.id,
                        stage=news.stage,
                        number=news.number,
                        key=key,
                        step=step,
                        below=tuple(ply.diff_id for ply in below),
                        content=content,
                        stack=tuple(ply.diff_id for ply in under),
                        epoch=self._request.options.epoch,
                    )
                )
                await stack.enter_async_context(self._shared.locks.hold(key))
                found = None if self._is_anew(news.stage) else self._memory.find(key, step.place.text)
                if found is not None:
                    self._shelf.present([*under, found.ply])
                    self._tell(replace(news, state="cached", bytes=found.ply.size, saved=found.seconds))
                    return Done(found.ply, found.created, cached=True)
                layers = await self._shelf.bring(below)
                async with self._shared.slots:
                    return await self._make(step, layers, source, key, news, began_ns, mounts)
        except (PinnaceError, OSError) as error:
            self._tell(replace(news, state="failed"))
            raise place_error(error, step.place, self._inputs.dockerfile.source) from error

    async def _link(self, step: Copy, below: Plies) -> tuple[Copy, Plies]:
        """Return a --link as a step on nothing, unless the folders below its files must stay as they are."""
        layers = await self._shelf.bring(below)
        uid, gid = await self._executor.find_owner(step.chown, layers)
        trees = [self._images.layers.tree(layer) for layer in layers]
        standing = await asyncio.to_thread(look_below, trees, step, (uid, gid))
        if standing.obstacle:
            return step, below
        for path in standing.hidden:
            text = f"{step.place.text}: --link makes {path} a folder, though it is a link in the layers below"
            self._tell(Warned(text=text))
        return replace(step, chown=f"{uid}:{gid}" if step.chown else ""), ()

    async def _make(
        self,
        step: WorkStep,
        below: Sequence[Layer],
        source: CopySource | None,
        key: str,
        news: StepNews,
        began_ns: int,
        mounts: Sequence[OpenMount] = (),
    ) -> Done:
        self._tell(news)
        if isinstance(step, Run) and step.platform:
            await asyncio.to_thread(check_runnable, step.platform, self._request.options.architecture)
        began = self._shared.clock.monotonic()
        is_settled = True
        match step:
            case Run():
                snapshots: list[CopyFacts] = []
                shown = await bring_sources(
                    mounts, self._shelf.bring, lambda mount: self._snapshot(mount, began_ns, snapshots)
                )
                layer = await self._executor.run(
                    step, below, lambda text: self._tell(Output(id=news.id, text=text)), shown
                )
                is_settled = all(facts.newest_ns <= began_ns for facts in snapshots)
            case Copy():
                assert source is not None
                selections = await source.selections()
                layer, facts = await self._executor.copy(
                    step, below, selections, lambda size: self._tell(replace(news, bytes=size))
                )
                is_settled = source.is_fixed or facts.newest_ns <= began_ns
            case MakeDirectory():
                layer = await self._executor.make_directory(step, below)
        seconds = self._shared.clock.monotonic() - began
        created = self._shared.clock.now()
        if is_settled:
            entry = await self._memory.remember(key, layer, step.place.text, seconds)
            created = entry.created
        else:  # what was copied may not be what was digested
            self._tell(Warned(text=f"{step.place.text}: files changed while they were copied: not cached"))
        self._tell(replace(news, state="done", seconds=seconds, bytes=layer.size))
        return Done(ply_of(layer), created)

    async def _snapshot(self, mount: OpenMount, began_ns: int, made: list[CopyFacts]) -> Layer:
        """Return the layer that holds what a mount shows of a folder: from the cache, or copied now."""
        key = compute_key(mount.content, (), mount.key, self._request.options.epoch)
        async with self._shared.locks.hold(key):
            found = self._shared.cache.find(key)
            if found is not None:
                self._lease.hold(found.layer.key)
                return found.layer
            began = self._shared.clock.monotonic()
            selections = await mount.source.selections()
            layer, facts = await self._executor.copy(mount.content, (), selections, lambda size: None)
            made += [] if mount.source.is_fixed else [facts]
            if mount.source.is_fixed or facts.newest_ns <= began_ns:
                seconds = self._shared.clock.monotonic() - began
                await self._shared.cache.remember(key, layer, mount.content.place.text, seconds)
            return layer


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that is told: the first that is not another one's cancellation."""
    for failure in failures.exceptions:
        return _first(failure) if isinstance(failure, BaseExceptionGroup) else failure
    return failures
