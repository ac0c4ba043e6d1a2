"""Decides what in the store nobody needs any more: reachability from names, root filesystems and leases.

Pure. Called by `store`, which gathers the facts and removes what comes out, in one turn of the loop.
Invariant: whatever can be reached from a root is never in the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pinnace.image.layers import Layer
from pinnace.oci.config import ImageConfig
from pinnace.oci.digest import Digest, chain_ids


@dataclass(frozen=True, slots=True)
class Garbage:
    """What can go: layers by their keys, blobs by their digests."""

    layers: frozenset[Digest]
    blobs: frozenset[Digest]

    def describe(self) -> str:
        """Return one line for each, as a person reads it."""
        return "\n".join(
            [
                *(f"layer {key}" for key in sorted(self.layers)),
                *(f"blob {name}" for name in sorted(self.blobs)),
            ]
        )


def compute_garbage(
    roots: Iterable[Digest],
    *,
    images: Mapping[Digest, ImageConfig],
    layers: Iterable[Layer],
    blobs: Iterable[Digest],
) -> Garbage:
    """Return what no root leads to.

    `roots` are image ids, layer keys and blob digests alike. An image keeps its configuration and layers, a layer its blob.
    """
    kept: set[Digest] = set()
    for root in roots:
        kept.add(root)
        config = images.get(root)
        if config is not None:
            kept.update(config.rootfs.diff_ids)
            kept.update(chain_ids(config.rootfs.diff_ids))
    layers = tuple(layers)
    kept_blobs = {layer.blob.digest for layer in layers if layer.key in kept and layer.blob is not None}
    return Garbage(
        layers=frozenset(layer.key for layer in layers if layer.key not in kept),
        blobs=frozenset(digest for digest in blobs if digest not in kept and digest not in kept_blobs),
    )
