"""What one build knows of steps that were done before: by this instance, and in caches from elsewhere. Memory only.

Made by `builder` for each build. It also notes which steps the build came to, for the caches that it writes.
Invariant: this instance's own cache wins; a step of another cache counts only by the very same key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pinnace.build.cache import BuildCache, Entry
from pinnace.build.cache_document import CachedLayer, CachedStep, Made
from pinnace.build.cache_import import ImportedCache
from pinnace.build.plies import Ply, ply_of
from pinnace.image.layers import Layer
from pinnace.oci.digest import Digest


@dataclass(frozen=True, slots=True)
class Known:
    """A step that was done before. Units: unix seconds, seconds."""

    ply: Ply
    created: float
    seconds: float


class BuildMemory:
    """The memory of one build."""

    def __init__(self, cache: BuildCache, imports: Sequence[ImportedCache]) -> None:
        self._cache = cache
        self._imports = tuple(imports)
        self._made: dict[str, Made] = {}
        self._digests: dict[str, str] = {}
        self._foreign: set[str] = set()

    def find(self, key: str, text: str) -> Known | None:
        """Return what a step made, if that is known."""
        entry = self._cache.find(key)
        if entry is not None:
            return self._note(Known(ply_of(entry.layer), entry.created, entry.seconds), key, text)
        for one in self._imports:
            found = one.find(key)
            if found is not None:
                self._foreign.add(key)
                return self._note(_known_elsewhere(one, *found), key, text)
        return None

    def _note(self, known: Known, key: str, text: str) -> Known:
        self.note(key, known.ply, text, known.created, known.seconds)
        return known

    def note(self, key: str, ply: Ply, text: str, created: float, seconds: float) -> None:
        """Note that the build came to a step."""
        self._made[key] = Made(key, ply.diff_id, ply.size, ply.is_empty, text, created, seconds)

    async def remember(self, key: str, layer: Layer, text: str, seconds: float) -> Entry:
        """Keep what a step made."""
        entry = await self._cache.remember(key, layer, text, seconds)
        self.note(key, ply_of(layer), text, entry.created, seconds)
        return entry

    def find_digest(self, key: str) -> str | None:
        """Return the digest of files that are taken from layers, if it is known."""
        found = self._cache.find_digest(key)
        for one in self._imports if found is None else ():
            found = found or one.document.digests.get(key)
        if found is not None:
            self._digests[key] = found
        return found

    def remember_digest(self, key: str, digest: str) -> None:
        """Keep such a digest."""
        self._digests[key] = digest
        self._cache.remember_digest(key, digest)

    # --- when the build is done --------------------------------------------------------------------------------------

    def made(self, target: Sequence[Digest]) -> tuple[Made, ...]:
        """Return the steps that the build came to; `target` are the result's layers."""
        own = frozenset(target)
        return tuple(
            Made(
                one.key,
                one.diff_id,
                one.size,
                one.is_empty,
                one.text,
                one.created,
                one.seconds,
                is_target=one.diff_id in own,
            )
            for one in self._made.values()
        )

    @property
    def digests(self) -> dict[str, str]:
        """The digests of files taken from layers that the build needed."""
        return dict(self._digests)

    async def adopt(self, layers: dict[Digest, Layer]) -> None:
        """Keep steps of other caches whose layers came here."""
        for key in self._foreign:
            one = self._made[key]
            layer = layers.get(one.diff_id)
            if layer is not None:
                await self._cache.remember(key, layer, one.text, one.seconds, created=one.created)
        for key, digest in self._digests.items():
            if self._cache.find_digest(key) is None:
                self._cache.remember_digest(key, digest)


def _known_elsewhere(cache: ImportedCache, step: CachedStep, layer: CachedLayer) -> Known:
    ply = Ply(layer.diff_id, layer.size, layer.is_empty, None if layer.is_empty else cache)
    return Known(ply, step.created, step.seconds)
