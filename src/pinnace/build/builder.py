"""Builds an image: plans, then does the stages side by side as they need each other, each step from the cache if it can be.

A doer; called by `ownapi`. What a step means is in `plan`, its cache key in `keys`, how it is done in `execute`.
Invariants: only stages that the target needs are touched; a step with one key is done once at a time, also across
builds; what a build made before it failed stays in the cache, and nothing else of it stays.
"""

from __future__ import annotations

import asyncio
import posixpath
import shutil
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pinnace.base.chance import Chance
from pinnace.base.clock import Clock
from pinnace.base.errors import PinnaceError, UserError
from pinnace.base.locks import KeyedLocks
from pinnace.base.times import render_micro_time
from pinnace.build import sources
from pinnace.build.cache import BuildCache
from pinnace.build.execute import CommandFailed, Executor
from pinnace.build.keys import compute_key
from pinnace.build.plan import BuildOptions, plan_build
from pinnace.build.progress import Built, News, Output, StageWeight, StepNews, Warned
from pinnace.build.steps import BuildPlan, Configure, Copy, MakeDirectory, Planned, Run, StagePlan
from pinnace.dockerfile.parse import Dockerfile, parse_dockerfile
from pinnace.image.layers import Layer
from pinnace.image.leases import Lease
from pinnace.image.store import ImageStore, host_architecture
from pinnace.oci.config import History, ImageConfig, RootFs
from pinnace.oci.reference import parse_reference
from pinnace.sandbox.sandboxes import Sandboxes

IGNORE_FILE = ".dockerignore"


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build. `context` and `dockerfile` are absolute paths on this machine."""

    context: Path
    dockerfile: Path
    names: tuple[str, ...] = ()
    options: BuildOptions = field(default_factory=BuildOptions)
    no_cache: bool = False
    host_ca: bool = False


Tell = Callable[[News], None]
WorkStep = Run | Copy | MakeDirectory


@dataclass(frozen=True, slots=True)
class _StageResult:
    """The layers that a stage ended with, bottom first; when its newest step was done; how many came from the cache."""

    layers: tuple[Layer, ...]
    history: tuple[History, ...]
    created: float
    cached: int


@dataclass(frozen=True, slots=True)
class _Done:
    """What came of a step, and when it was first done."""

    layer: Layer | None
    created: float
    cached: bool = False


class Builder:
    """Builds for one instance. `resolv_conf` gives the name servers of commands with a network of their own."""

    def __init__(
        self,
        images: ImageStore,
        sandboxes: Sandboxes,
        clock: Clock,
        chance: Chance,
        *,
        home: Path,
        resolv_conf: Callable[[], str | None],
        find_ca_bundle: Callable[[], Path | None],
        concurrency: int,
    ) -> None:
        self._images = images
        self._sandboxes = sandboxes
        self._clock = clock
        self._chance = chance
        self._home = home
        self._resolv_conf = resolv_conf
        self._find_ca_bundle = find_ca_bundle
        self._slots = asyncio.Semaphore(concurrency)
        self._locks = KeyedLocks()
        self._cache = BuildCache(home / "build" / "cache", images.layers.find, clock)

    def start(self) -> None:
        """Read the cache, clear away what a crash left, and protect what the cache names."""
        self._cache.load()
        shutil.rmtree(self._home / "build" / "work", ignore_errors=True)
        self._images.add_roots(self._cache.roots)

    def prune(self, older_than_s: float = 0.0) -> int:
        """Forget cached steps; returns how many."""
        return self._cache.prune(older_than_s=older_than_s)

    async def build(self, request: BuildRequest, tell: Tell) -> Built:
        """Build, name and return the image. Raises: UserError (with the Dockerfile's line), HostError."""
        for name in request.names:
            parse_reference(name)
        began = self._clock.monotonic()
        dockerfile = await asyncio.to_thread(_read_dockerfile, request)
        plan = plan_build(dockerfile, request.options, self._find_config)
        for warning in plan.warnings:
            tell(Warned(text=warning))
        work = self._home / "build" / "work" / self._chance.hex(12)
        work.mkdir(parents=True)
        try:
            with self._images.lease(f"build {' '.join(request.names)}") as lease:
                run = _BuildRun(self, request, plan, dockerfile, lease, work, tell)
                return await run.finish(began)
        finally:
            shutil.rmtree(work, ignore_errors=True)
            self._cache.save_uses()

    def _find_config(self, reference: str) -> ImageConfig | None:
        image = self._images.resolve(reference)
        return None if image is None else image.config


class _BuildRun:
    """One build going on."""

    def __init__(
        self,
        builder: Builder,
        request: BuildRequest,
        plan: BuildPlan,
        dockerfile: Dockerfile,
        lease: Lease,
        work: Path,
        tell: Tell,
    ) -> None:
        self._b = builder
        self._request = request
        self._plan = plan
        self._source = dockerfile.source
        self._lease = lease
        self._tell = tell
        self._ignore_name, self._ignore = _read_ignore(request)
        self._stages: dict[int, asyncio.Task[_StageResult]] = {}
        self._executor = Executor(
            builder._images,
            builder._sandboxes,
            builder._chance,
            lease,
            work,
            resolv_conf=builder._resolv_conf(),
            ca_bundle=_ca_bundle(builder, request),
        )

    async def finish(self, began: float) -> Built:
        """Do all stages, write the image, give it its names."""
        try:
            async with asyncio.TaskGroup() as group:
                for stage in self._plan.stages:
                    self._stages[stage.index] = group.create_task(
                        self._do_stage(stage), name=f"build/{stage.index}"
                    )
        except ExceptionGroup as failures:
            raise _first(failures) from None
        results = {index: task.result() for index, task in self._stages.items()}
        target = self._plan.stage(self._plan.target)
        result = results[target.index]
        config = ImageConfig(
            created=render_micro_time(result.created),  # a build that changed nothing gives the same image
            author=target.author,
            architecture=host_architecture(),
            os="linux",
            config=target.config,
            rootfs=RootFs(),
            history=result.history,
        )
        images = self._b._images
        image = await images.write_image(
            config, result.layers, self._request.names[0] if self._request.names else None
        )
        for name in self._request.names[1:]:
            await images.tag(image.id, name)
        weights = tuple(
            StageWeight(
                name=stage.name or str(stage.index),
                size=sum(layer.size for layer in results[stage.index].layers),
                layers=len(results[stage.index].layers),
            )
            for stage in self._plan.stages
        )
        return Built(
            image=image.id,
            names=self._request.names,
            seconds=self._b._clock.monotonic() - began,
            stages=weights,
            cached=sum(one.cached for one in results.values()),
            steps=sum(not isinstance(p.step, Configure) for stage in self._plan.stages for p in stage.steps),
        )

    # --- stages ------------------------------------------------------------------------------------------------------

    async def _do_stage(self, stage: StagePlan) -> _StageResult:
        layers, history, created = await self._begin_stage(stage)
        cached, number = 0, 0
        total = sum(not isinstance(planned.step, Configure) for planned in stage.steps)
        for planned in stage.steps:
            if isinstance(planned.step, Configure):
                history = (*history, _history(planned, None, created))
                continue
            number += 1
            news = StepNews(
                id=f"{stage.name or stage.index}/{number}",
                stage=stage.name or str(stage.index),
                number=number,
                total=total,
                text=planned.step.place.text,
                state="running",
            )
            done = await self._do_step(planned.step, layers, news)
            cached += done.cached
            created = max(created, done.created)
            if done.layer is not None and not done.layer.is_empty:
                layers = (*layers, done.layer)
            history = (*history, _history(planned, done.layer, created))
        return _StageResult(layers, history, created, cached)

    async def _begin_stage(self, stage: StagePlan) -> tuple[tuple[Layer, ...], tuple[History, ...], float]:
        """Return the layers, the history and the time that a stage begins with."""
        if stage.base_stage >= 0:
            below = await asyncio.shield(self._stages[stage.base_stage])
            return below.layers, below.history, below.created
        if not stage.base:
            return (), (), 0.0
        image = self._b._images.require(stage.base)
        layers = self._b._images.catalog.layers(image.config)
        self._lease.hold(image.id, *(layer.key for layer in layers))
        return layers, tuple(image.config.history or ()), image.created

    async def _do_step(self, step: WorkStep, below: tuple[Layer, ...], news: StepNews) -> _Done:
        try:
            async with AsyncExitStack() as stack:
                selection, content = None, ""
                if isinstance(step, Copy):
                    selection = await self._select(step, stack)
                    facts = await self._b._images.workers.call(sources.digest_sources, selection)
                    content = facts.digest
                key = compute_key(step, [layer.key for layer in below], content)
                await stack.enter_async_context(self._b._locks.hold(key))
                found = None if self._request.no_cache else self._b._cache.find(key)
                if found is not None:
                    self._lease.hold(found.layer.key)
                    self._tell(msgspec.structs.replace(news, state="cached", bytes=found.layer.size))
                    return _Done(found.layer, found.created, cached=True)
                layer = await self._make(step, below, selection, key, news)
                return _Done(layer, self._b._clock.now())
        except PinnaceError as error:
            self._tell(msgspec.structs.replace(news, state="failed"))
            raise self._place(error, step) from error

    async def _make(
        self,
        step: WorkStep,
        below: tuple[Layer, ...],
        selection: sources.Selection | None,
        key: str,
        news: StepNews,
    ) -> Layer | None:
        async with self._b._slots:
            self._tell(news)
            began = self._b._clock.monotonic()
            layer: Layer | None
            match step:
                case Run():
                    layer = await self._executor.run(
                        step, below, lambda text: self._tell(Output(id=news.id, text=text))
                    )
                case Copy():
                    assert selection is not None
                    layer = await self._executor.copy(
                        step,
                        below,
                        selection,
                        lambda size: self._tell(msgspec.structs.replace(news, bytes=size)),
                    )
                case MakeDirectory():
                    layer = await self._executor.make_directory(step, below)
            seconds = self._b._clock.monotonic() - began
        if layer is not None:
            self._b._cache.remember(key, layer, step.place.text, seconds)
        size = layer.size if layer is not None else 0
        self._tell(msgspec.structs.replace(news, state="done", seconds=seconds, bytes=size))
        return layer

    async def _select(self, step: Copy, stack: AsyncExitStack) -> sources.Selection:
        """Return where a COPY reads from; another stage's or image's files are mounted to be read meanwhile."""
        exclude = step.exclude
        if step.stage < 0 and not step.image:
            return sources.Selection(
                root=str(self._request.context),
                sources=step.sources,
                exclude=exclude,
                ignore=self._ignore,
                ignore_name=self._ignore_name,
            )
        if step.image:
            image = self._b._images.require(step.image)
            layers: Sequence[Layer] = self._b._images.catalog.layers(image.config)
            what = f"image {step.image}"
        else:
            stage = self._plan.stage(step.stage)
            layers = (await asyncio.shield(self._stages[step.stage])).layers
            what = f"stage {stage.name or stage.index}"
        name = f"build-{self._b._chance.hex(12)}"
        rootfs = await self._b._images.mount_stack(layers, name, read_only=True)
        stack.push_async_callback(self._b._images.release, name)
        return sources.Selection(
            root=str(rootfs.path), sources=step.sources, exclude=exclude, what=what, keep_owner=True
        )

    def _place(self, error: PinnaceError, step: WorkStep) -> PinnaceError:
        """Put the Dockerfile's line into an error."""
        line = step.place.line
        where = f"{self._source.name}:{line}: {self._source.line(line).strip()}"
        if isinstance(error, CommandFailed):
            tail = "\n".join(error.tail.rstrip().splitlines()[-20:])
            hint = _hint_of(error)
            return UserError(error.message + (f"\n{tail}" if tail else ""), hint, where)
        if isinstance(error, UserError) and not error.where:
            return UserError(error.message, error.hint, where)
        return error


def _hint_of(error: CommandFailed) -> str:
    """Return what to do about a command that failed, where its output says why."""
    text = error.tail
    if (
        "CERTIFICATE_VERIFY_FAILED" in text
        or "certificate verify failed" in text
        or "self-signed certificate" in text
    ):
        return "behind an inspecting proxy? pinnace build --host-ca mounts the host's CA bundle for RUN steps"
    if error.code == 127:
        return "the command is not in the image: is the base image the right one?"
    if "Temporary failure in name resolution" in text or "Could not resolve host" in text:
        return "names could not be resolved: look at /etc/resolv.conf of this host, or try RUN --network=host"
    return "the lines above are the command's last output"


def _history(planned: Planned, layer: Layer | None, created: float) -> History:
    """Return the history's line of a step, in the words of `docker history`."""
    step = planned.step
    text = step.place.text
    if isinstance(step, Run):
        text = f"RUN {' '.join(step.argv)} # pinnace"
    empty = layer is None or layer.is_empty
    return History(created=render_micro_time(created), created_by=text, empty_layer=empty)


def _read_dockerfile(request: BuildRequest) -> Dockerfile:
    name = posixpath.basename(str(request.dockerfile))
    if not request.context.is_dir():
        raise UserError(
            f"path {str(request.context)!r} is not a folder", "pinnace build [-f Dockerfile] FOLDER"
        )
    try:
        text = request.dockerfile.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(
            f"failed to read dockerfile: {request.dockerfile} does not exist",
            "name it with -f, or go to the folder that has it",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"failed to read dockerfile: {request.dockerfile}: {error}") from error
    return parse_dockerfile(text, name)


def _read_ignore(request: BuildRequest) -> tuple[str, str]:
    """Return the name and the text of the ignore file; one named for the Dockerfile wins."""
    own = request.dockerfile.with_name(request.dockerfile.name + IGNORE_FILE)
    for path in (own, request.context / IGNORE_FILE):
        if path.is_file():
            return path.name, path.read_text(encoding="utf-8", errors="replace")
    return IGNORE_FILE, ""


def _ca_bundle(builder: Builder, request: BuildRequest) -> Path | None:
    if not request.host_ca:
        return None
    found = builder._find_ca_bundle()
    if found is None:
        raise UserError("--host-ca: this host has no CA bundle", "apt-get install ca-certificates")
    return found


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that is told: the first that is not another one's cancellation."""
    for failure in failures.exceptions:
        return _first(failure) if isinstance(failure, BaseExceptionGroup) else failure
    return failures
