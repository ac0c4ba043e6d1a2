"""Containers as files: their root as a tar, their changes as an image, what they weigh. A doer.

Called by `ownapi/`. Changes no container; one that runs goes on meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

from msgspec.structs import replace

from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, Reason
from pinnace.base.times import render_micro_time
from pinnace.engine.book import Book, Entry
from pinnace.engine.status import CREATED
from pinnace.image.changes import apply_changes
from pinnace.image.mount_points import drop_mount_points
from pinnace.image.rootfs import Rootfs
from pinnace.image.store import ImageStore
from pinnace.image.views import Image
from pinnace.oci.config import ContainerConfig, History
from pinnace.oci.reference import parse_reference


class Snapshots:
    """The files of one engine's containers."""

    def __init__(self, book: Book, images: ImageStore, clock: Clock) -> None:
        self._book = book
        self._images = images
        self._clock = clock

    async def export(self, reference: str) -> AsyncGenerator[bytes, None]:
        """Yield the tar of a container's whole root, without volumes. Raises: ApiError NotFound before anything is yielded."""
        rootfs = await self._rootfs(self._book.find(reference))
        async with aclosing(self._images.export_tree(rootfs.path)) as pieces:
            async for data in pieces:
                yield data

    async def commit(
        self,
        reference: str,
        name: str | None,
        changes: Sequence[str] = (),
        *,
        author: str = "",
        message: str = "",
    ) -> Image:
        """Make an image of what a container changed. Raises: ApiError NotFound, UserError (a bad name or change), HostError."""
        if name is not None:
            parse_reference(name)
        entry = self._book.find(reference)
        base = self._images.require(entry.spec.image_id)
        defaults = apply_changes(_defaults(entry, base.config.config), changes)
        rootfs = await self._rootfs(entry)
        below = self._images.catalog.layers(base.config)
        roots = [self._images.layers.tree(layer) for layer in reversed(below)]
        with self._images.lease(f"commit {reference}") as lease:
            lease.hold(base.id)
            layer = await self._images.commit_layer(
                rootfs.upper or Path(),
                move=False,
                lease=lease,
                below=below,
                prepare=lambda tree: drop_mount_points(tree, roots),
            )
            now = render_micro_time(self._clock.now())
            step = History(
                created=now,
                created_by=" ".join((*entry.spec.entrypoint, *entry.spec.command)),
                author=author,
                comment=message,
            )
            config = replace(
                base.config,
                created=now,
                author=author or base.config.author,
                comment=message,
                config=defaults,
                history=(*(base.config.history or ()), step),
            )
            return await self._images.write_image(config, (*below, layer), name)

    def uppers(self) -> dict[str, Path]:
        """Return where each container's changes are, by its id; those that were never made have none."""
        found = {entry.id: self._images.roots.find(entry.id) for entry in self._book}
        return {one: rootfs.upper for one, rootfs in found.items() if rootfs is not None and rootfs.upper}

    async def _rootfs(self, entry: Entry) -> Rootfs:
        """Return a container's root; one that was never started gets it here, and keeps it."""
        found = self._images.roots.find(entry.id)
        if found is None and entry.status.state != CREATED:
            raise ApiError(
                Reason.CONFLICT,
                f"container {entry.id} has no root filesystem",
                kind="containers",
                name=entry.spec.name,
                hint="is it being removed? pinnace ps -a",
            )
        return await self._images.rootfs(entry.spec.image_id, entry.id, volatile=entry.spec.auto_remove)


def _defaults(entry: Entry, base: ContainerConfig) -> ContainerConfig:
    """Return the image's defaults as the container runs with them."""
    spec = entry.spec
    return replace(
        base,
        user=spec.user,
        env=spec.env or None,
        entrypoint=spec.entrypoint or None,
        cmd=spec.command or None,
        working_dir=spec.working_dir,
        labels=spec.labels or None,
        exposed_ports={port: {} for port in spec.exposed} or None,
        stop_signal=spec.stop_signal,
    )
