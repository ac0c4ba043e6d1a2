"""The layers of a stage as a build knows them: by name, with or without their files. A doer (brings files in).

A cache key needs only names, so a layer that is in a registry stays there until something is done on top of it, its files
are read, or the image is written. Invariant: what `bring` returns is in the store, and held by the build's lease.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pinnace.base.locks import KeyedLocks
from pinnace.image.layers import Layer
from pinnace.image.leases import Lease
from pinnace.image.store import ImageStore
from pinnace.oci.digest import Digest, chain_ids


class Source(Protocol):
    """Where layers that are away come from."""

    async def bring(self, diff_ids: Sequence[Digest], start: int) -> None:
        """Bring in the layers of a stack from `start` on; all below are here. Raises: PinnaceError."""


@dataclass(frozen=True, slots=True)
class Ply:
    """A layer: `source` is None when its files are in the store. Units: bytes, of files; of the archive while it is away."""

    diff_id: Digest
    size: int = 0
    is_empty: bool = False
    source: Source | None = None


Plies = tuple[Ply, ...]


def ply_of(layer: Layer) -> Ply:
    """Return a layer that is in the store."""
    return Ply(layer.diff_id, layer.size, layer.is_empty)


class Shelf:
    """Brings the files of layers in, each once at a time."""

    def __init__(self, images: ImageStore, lease: Lease) -> None:
        self._images = images
        self._lease = lease
        self._locks = KeyedLocks()

    async def bring(self, plies: Sequence[Ply]) -> tuple[Layer, ...]:
        """Return the layers of a stack, bottom first. Raises: what fetching raises; ApiError (NotFound) if one is gone."""
        diff_ids = [ply.diff_id for ply in plies]
        for source, start, end in self._missing(plies):
            async with self._locks.hold(id(source)):
                if any(one is None for one in self._find(diff_ids[:end])[start:]):
                    await source.bring(diff_ids[:end], start)
        layers = self._images.layers.stack(diff_ids)
        self._lease.hold(*(layer.key for layer in layers))
        return layers

    def present(self, plies: Sequence[Ply]) -> tuple[Layer, ...]:
        """Return the layers of a stack that are here, and hold them; nothing is fetched."""
        layers = tuple(layer for layer in self._find([ply.diff_id for ply in plies]) if layer is not None)
        self._lease.hold(*(layer.key for layer in layers))
        return layers

    def _find(self, diff_ids: Sequence[Digest]) -> list[Layer | None]:
        chain = chain_ids(diff_ids)
        return [self._images.layers.find(*names) for names in zip(diff_ids, chain, strict=True)]

    def _missing(self, plies: Sequence[Ply]) -> list[tuple[Source, int, int]]:
        """Return the runs of layers that are away and come from one place: (source, first, behind the last)."""
        runs: list[tuple[Source, int, int]] = []
        for number, layer in enumerate(self._find([ply.diff_id for ply in plies])):
            source = plies[number].source
            if layer is not None:
                self._lease.hold(layer.key)
            elif source is not None:
                if runs and runs[-1][0] is source and runs[-1][2] == number:
                    runs[-1] = source, runs[-1][1], number + 1
                else:
                    runs.append((source, number, number + 1))
        return runs

    def sizes(self, plies: Sequence[Ply]) -> int:
        """Return how many bytes a stack's files have, as far as it is known."""
        found = zip(plies, self._find([ply.diff_id for ply in plies]), strict=True)
        return sum(ply.size if layer is None else layer.size for ply, layer in found)
