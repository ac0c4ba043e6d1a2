"""The layers of a stage as a build knows them: by name, with or without their files. A doer (brings files in).

A cache key needs only names, so a layer that is in a registry stays there until something is done on top of it, its files
are read, or the image is written. Invariant: what `bring` returns is in the store, and held by the build's lease.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from pinnace.base.locks import KeyedLocks
from pinnace.image.layers import Layer
from pinnace.image.leases import Lease
from pinnace.image.store import ImageStore
from pinnace.oci.digest import Digest, chain_ids

# Brings one layer in; the diff ids are those of the layers up to it, bottom first, and all below are there.
Fetch = Callable[[Sequence[Digest]], Awaitable[Layer]]


@dataclass(frozen=True, slots=True)
class Ply:
    """A layer: `fetch` is None when its files are in the store. Units: bytes, of files; of the archive while it is away."""

    diff_id: Digest
    size: int = 0
    is_empty: bool = False
    fetch: Fetch | None = None


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
        chain = chain_ids(diff_ids)
        layers = []
        for number, ply in enumerate(plies):
            layer = self._images.layers.find(ply.diff_id, chain[number])
            if layer is None and ply.fetch is not None:
                async with self._locks.hold(chain[number]):
                    layer = self._images.layers.find(ply.diff_id, chain[number])
                    layer = layer or await ply.fetch(diff_ids[: number + 1])
            if layer is None:
                layer = self._images.layers.stack(diff_ids[: number + 1])[-1]  # says which one is gone
            self._lease.hold(layer.key)
            layers.append(layer)
        return tuple(layers)

    def sizes(self, plies: Sequence[Ply]) -> int:
        """Return how many bytes a stack's files have, as far as it is known."""
        found = zip(plies, chain_ids([ply.diff_id for ply in plies]), strict=True)
        layers = [(ply, self._images.layers.find(ply.diff_id, chain)) for ply, chain in found]
        return sum(ply.size if layer is None else layer.size for ply, layer in layers)
