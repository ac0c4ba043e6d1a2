"""Keeps the build cache within its bounds: what it weighs, and forgetting what `pruning` decides. A doer.

Called by `builder`: after builds, and for whoever asks. Invariant: layers go only when nothing else leads to them.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from pinnace.base.clock import Clock
from pinnace.build.cache import BuildCache
from pinnace.build.cache_mounts import CacheMounts
from pinnace.build.pruning import MOUNT, STEP, Bounds, CacheRecord, compute_limit, plan_prune, weigh
from pinnace.image.store import ImageStore
from pinnace.oci.digest import Digest, chain_ids

KEEP_S = 14 * 86400.0  # how long a cached step is kept that nobody uses
CHECK_EVERY_S = 600.0


@dataclass(frozen=True, slots=True)
class CacheRules:
    """The instance's bounds. Units: seconds, bytes; `max_bytes` None follows from the disk, see `compute_limit`."""

    older_than_s: float = KEEP_S
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was forgotten. Units: bytes."""

    records: tuple[CacheRecord, ...]
    freed: int


class CacheKeeper:
    """Looks after one instance's cached steps and cache mounts."""

    def __init__(
        self,
        images: ImageStore,
        cache: BuildCache,
        mounts: CacheMounts,
        clock: Clock,
        home: Path,
        rules: CacheRules,
    ) -> None:
        self._images = images
        self._cache = cache
        self._mounts = mounts
        self._clock = clock
        self._home = home
        self._rules = rules
        self._checked = clock.monotonic() - CHECK_EVERY_S

    async def records(self) -> tuple[CacheRecord, ...]:
        """Return all that the cache keeps, what was used last first."""
        shared = self._layers_of_images()
        steps = [
            CacheRecord(
                id=entry.key,
                type=STEP,
                text=entry.text,
                size=entry.layer.size,
                created=entry.created,
                used=entry.used,
                group=entry.layer.key,
                shared=entry.layer.key in shared,
            )
            for entry in self._cache.entries()
        ]
        mounts = [
            CacheRecord(
                id=one.name,
                type=MOUNT,
                text=f"cache mount {one.id}",
                size=one.size,
                created=one.created,
                used=one.used,
                group=one.name,
                in_use=one.in_use,
            )
            for one in await self._mounts.list()
        ]
        return tuple(sorted((*steps, *mounts), key=lambda one: (-one.used, one.id)))

    def _layers_of_images(self) -> frozenset[Digest]:
        found: set[Digest] = set()
        for image in self._images.list():
            diff_ids = image.config.rootfs.diff_ids
            found.update(diff_ids, chain_ids(diff_ids))
        return frozenset(found)

    async def prune(self, bounds: Bounds) -> Pruned:
        """Forget what `bounds` name; the layers that only they needed go too. Raises: HostError."""
        gone = plan_prune(await self.records(), bounds, self._clock.now())
        await self._cache.forget([one.id for one in gone if one.type == STEP])
        freed = 0
        for one in gone:
            if one.type == MOUNT and await self._mounts.remove(one.id):
                freed += one.size
        if not gone:
            return Pruned((), 0)
        _, collected = await self._images.collect()
        return Pruned(gone, freed + collected)

    async def keep_in_bounds(self) -> Pruned:
        """Forget what is too old or too much by the instance's own rules; looks only now and then."""
        now = self._clock.monotonic()
        if now - self._checked < CHECK_EVERY_S:
            return Pruned((), 0)
        self._checked = now
        rules = self._rules
        old = await self.prune(Bounds(every=True, older_than_s=rules.older_than_s))
        limit = rules.max_bytes
        if limit is None:
            disk = shutil.disk_usage(self._home)
            limit = compute_limit(weigh(await self.records()), disk.total, disk.free)
        more = await self.prune(Bounds(max_bytes=limit))
        return Pruned((*old.records, *more.records), old.freed + more.freed)
