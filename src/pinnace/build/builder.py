"""Builds images for one instance: reads what is asked for, plans, runs it, and clears away what is left of a crash.

A doer; made by `daemon`, called by `ownapi`. The way into this room.
Invariant: a build that ends in any way leaves no sandbox, mount, lease or file, but for what the cache keeps.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from pinnace.base.chance import Chance
from pinnace.base.clock import Clock
from pinnace.base.errors import UserError
from pinnace.base.locks import KeyedLocks
from pinnace.base.tasks import Tasks
from pinnace.build.bases import Bases
from pinnace.build.cache import BuildCache, Entry
from pinnace.build.cache_import import CacheBroken, CacheReader, ImportedCache, leave_out
from pinnace.build.cache_mounts import CacheMounts
from pinnace.build.contexts.opening import Contexts
from pinnace.build.contexts.uploads import Uploads
from pinnace.build.execute import Executor
from pinnace.build.exports import Exports
from pinnace.build.inputs import BuildRequest, Inputs, read_inputs
from pinnace.build.keeping import CacheKeeper, CacheRules, Pruned
from pinnace.build.leftovers import clear_leftovers
from pinnace.build.memory import BuildMemory
from pinnace.build.outputs import names_to_push
from pinnace.build.plan import plan_build
from pinnace.build.progress import Built, Tell, Warned
from pinnace.build.pruning import Bounds, CacheRecord
from pinnace.build.remote.fetching import Fetching, RemoteFiles
from pinnace.build.run import BuildRun, Shared
from pinnace.build.steps import BuildPlan
from pinnace.build.undo import finished
from pinnace.build.watch import Watch
from pinnace.dockerfile.cautions import find_cautions
from pinnace.image.store import ImageStore
from pinnace.image.workers import Workers
from pinnace.oci.reference import parse_reference
from pinnace.sandbox.sandboxes import Sandboxes

ALL = Bounds(every=True)
# Processes that wait for the network, and for those who send contexts; those of the image store are for work.
FETCHERS, RECEIVERS = 4, 8


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
        rules: CacheRules = CacheRules(),
    ) -> None:
        self._images = images
        self._sandboxes = sandboxes
        self._rules = rules
        self._work = home / "build" / "work"
        self._resolv_conf = resolv_conf
        self._find_ca_bundle = find_ca_bundle
        self._cache = BuildCache(home / "build" / "cache", images.layers.find, clock)
        self.cache_mounts = CacheMounts(home / "build" / "mounts", clock, chance)
        slots = asyncio.Semaphore(concurrency)
        files = home / "build" / "files"
        self.exports = Exports(chance)
        self._tasks = Tasks("build")
        self._keeper = CacheKeeper(images, self._cache, self.cache_mounts, clock, home, rules)
        self._fetchers = Workers(limit=FETCHERS)
        self._receivers = Workers(limit=RECEIVERS)
        self.uploads = Uploads(self._work, self._receivers, chance)
        self._remote = RemoteFiles(home / "build" / "remote", self._fetchers, chance, find_ca_bundle)
        self._shared = Shared(images, clock, chance, self._cache, slots, KeyedLocks(), files, self.exports)

    async def start(self) -> None:
        """Read the cache, clear away what a crash left, and protect what the cache names. Raises: HostError."""
        await self._cache.load()
        await self._cache.prune(older_than_s=self._rules.older_than_s)
        self._images.add_roots(self._cache.roots)
        await clear_leftovers(self._images, self._sandboxes, self._work)
        await self.cache_mounts.load()
        await asyncio.to_thread(shutil.rmtree, self._work, ignore_errors=True)
        await asyncio.to_thread(
            _forget_files, self._shared.files, self._shared.clock.now() - self._rules.older_than_s
        )
        await self._remote.prune(self._shared.clock.now() - self._rules.older_than_s)

    def cache_entries(self) -> tuple[Entry, ...]:
        """Return the remembered steps."""
        return self._cache.entries()

    async def prune(self, bounds: Bounds = ALL) -> Pruned:
        """Forget what the cache keeps, and remove the layers that only it needed. Raises: HostError."""
        pruned = await self._keeper.prune(bounds)
        if bounds.max_bytes is not None or bounds.ids or bounds.types:
            return pruned
        age = bounds.older_than_s
        fetched = await self._remote.prune(self._shared.clock.now() - age if age else None)
        return Pruned(pruned.records, pruned.freed + fetched)

    async def cache_records(self) -> tuple[CacheRecord, ...]:
        """Return what the cache keeps, what was used last first; cache mounts are measured now."""
        return await self._keeper.records()

    async def close(self) -> None:
        """End what goes on in the background."""
        await self._tasks.close()
        await self.uploads.close()
        await self._fetchers.close()
        await self._receivers.close()

    async def build(self, request: BuildRequest, tell: Tell) -> Built:
        """Build, name and return the image. Raises: UserError (with the Dockerfile's line), ApiError, HostError."""
        for name in request.names:
            parse_reference(name)
        names_to_push(
            request.names, request.outputs
        )  # what is wrong with these is told before anything is done
        watch = Watch(
            tell,
            self._images,
            self._shared.files,
            f"{request.context}\0{request.dockerfile}\0{request.source.address}",
            no_cache=request.no_cache,
        )
        epoch = request.options.epoch
        work = self._work / self._shared.chance.hex(12)
        until = AsyncExitStack()
        try:
            # Sockets of agents are in there. To its end: whoever is cancelled here removes it afterwards.
            await finished(asyncio.to_thread(work.mkdir, 0o700, parents=True))
            fetching = self._fetching(request, work)
            contexts = Contexts(
                request, fetching, self.uploads, self._images, work, self._shared.files, until
            )
            request = await contexts.open_main()
            inputs = await asyncio.to_thread(read_inputs, request)
            named = await contexts.find_named(inputs.dockerfile.source.text)
            request = replace(request, options=replace(request.options, contexts=named))
            with self._images.lease(f"build {' '.join(request.names)}") as lease:
                bases = Bases(
                    self._images,
                    self._shared.clock,
                    lease,
                    request.keyring,
                    tell,
                    here=request.options.architecture,
                    refresh=request.pull,
                )
                plan = await self._plan(inputs, request, bases)
                for warning in (*find_cautions(inputs.dockerfile), *plan.warnings):
                    tell(Warned(text=warning))
                executor = Executor(
                    self._images,
                    self._sandboxes,
                    self._shared.chance,
                    lease,
                    work,
                    resolv_conf=self._resolv_conf(),
                    ca_bundle=self._ca_bundle(request),
                    caches=self.cache_mounts,
                    options=request.run,
                    epoch=epoch,
                )
                until.push_async_callback(executor.settle)
                reader = CacheReader(
                    self._images, lease, request.keyring, request.options.foreign_platform, tell
                )
                imports = await reader.read_all(() if request.no_cache else request.cache_from)

                def run(memory: BuildMemory) -> BuildRun:
                    return BuildRun(
                        self._shared,
                        executor,
                        lease,
                        request,
                        inputs,
                        plan,
                        bases,
                        watch.hear,
                        contexts,
                        fetching,
                        memory,
                    )

                finish = self._finish(run, imports, tell)
                return await watch.follow(plan, finish, explain=request.explain)
        finally:
            await finished(until.aclose())
            await finished(asyncio.to_thread(shutil.rmtree, work, ignore_errors=True))
            await finished(self._cache.save())
            self._tasks.spawn(self._keeper.keep_in_bounds(), "cache bounds")

    async def _finish(
        self, run: Callable[[BuildMemory], BuildRun], imports: tuple[ImportedCache, ...], tell: Tell
    ) -> Built:
        """Run the build; again without what can't be had, when a cache from elsewhere lacks layers. Raises: see `build`."""
        while True:
            try:
                return await run(BuildMemory(self._cache, imports)).finish()
            except CacheBroken as broken:
                imports = leave_out(imports, broken, tell)

    def _fetching(self, request: BuildRequest, work: Path) -> Fetching:
        return Fetching(
            self._remote,
            self._shared.chance,
            work,
            build_args=request.options.build_args,
            secrets=request.run.secrets,
            agents=request.run.ssh,
        )

    async def _plan(self, inputs: Inputs, request: BuildRequest, bases: Bases) -> BuildPlan:
        """Plan until no image is unknown. What is wrong may come from an image that isn't known yet: it is looked at last."""
        while True:
            try:
                plan = plan_build(inputs.dockerfile, request.options, bases.find)
            except UserError:
                if bases.is_complete:
                    raise
            if bases.is_complete:
                return plan
            await bases.resolve()

    def _ca_bundle(self, request: BuildRequest) -> Path | None:
        if not request.host_ca:
            return None
        found = self._find_ca_bundle()
        if found is None:
            raise UserError("--host-ca: this host has no CA bundle", "apt-get install ca-certificates")
        return found


def _forget_files(folder: Path, before_s: float) -> None:
    """Make the folder; remove what nobody has written to since."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.stat().st_mtime < before_s or path.suffix == ".tmp":
            path.unlink(missing_ok=True)
