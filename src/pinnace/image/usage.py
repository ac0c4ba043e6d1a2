"""Decides what images weigh: each alone, what they share, and what would be free without those that nobody uses. Pure.

Source: docker/cli, cli/command/formatter/disk_usage.go (RECLAIMABLE); moby, daemon/images (SharedSize).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pinnace.image.layers import Layer
from pinnace.image.views import Image
from pinnace.oci.digest import Digest


@dataclass(frozen=True, slots=True)
class ImageUsage:
    """One image. Units: bytes; `shared` is of layers that other images have too."""

    image: Image
    shared: int
    containers: int

    @property
    def unique(self) -> int:
        return self.image.size - self.shared


@dataclass(frozen=True, slots=True)
class ImagesUsage:
    """All images. Units: bytes; `size` counts each layer once."""

    images: tuple[ImageUsage, ...]
    size: int
    keys: frozenset[Digest]

    @property
    def active(self) -> int:
        """How many images a container uses."""
        return sum(1 for one in self.images if one.containers)

    @property
    def reclaimable(self) -> int:
        """What is not held by images that a container uses alone."""
        return max(self.size - sum(one.unique for one in self.images if one.containers), 0)


def compute_usage(
    images: Iterable[Image],
    layers_of: Callable[[Image], Sequence[Layer]],
    count_containers: Callable[[Image], int],
) -> ImagesUsage:
    """Return what the images weigh. `layers_of` gives those layers of an image that are there."""
    stacks = [(image, {layer.key: layer.size for layer in layers_of(image)}) for image in images]
    users = Counter(key for _, stack in stacks for key in stack)
    sizes = {key: size for _, stack in stacks for key, size in stack.items()}
    return ImagesUsage(
        tuple(
            ImageUsage(
                image,
                sum(size for key, size in stack.items() if users[key] > 1),
                count_containers(image),
            )
            for image, stack in stacks
        ),
        sum(sizes.values()),
        frozenset(sizes),
    )
