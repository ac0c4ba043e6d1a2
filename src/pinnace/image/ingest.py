"""Makes layers: out of archives, and out of what a container or a build step wrote. The doer between workers and layers.

Invariant: a layer gets its name only when its tree is complete and its diff id is known; what fails leaves nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from pinnace.base import spawn
from pinnace.base.errors import HostError, UserError
from pinnace.image import archive_jobs, jobs
from pinnace.image.blobs import Blobs
from pinnace.image.feed import fed_pipe
from pinnace.image.layers import TREE, Layer, Layers
from pinnace.image.leases import Lease, Leases
from pinnace.image.recipe import recipe_of
from pinnace.image.threads import uninterrupted
from pinnace.image.trash import Trash
from pinnace.image.workers import OnProgress, Workers
from pinnace.oci.digest import Digest, chain_ids
from pinnace.oci.manifest import Descriptor
from pinnace.oci.media_types import OCI_LAYER_OF_COMPRESSION

COPY_TIMEOUT_S = 3600.0

Source = Path | AsyncIterable[bytes]


class Ingest:
    """Makes layers with worker processes."""

    def __init__(self, layers: Layers, blobs: Blobs, leases: Leases, trash: Trash, workers: Workers) -> None:
        self.placing = asyncio.Lock()  # held while something gets its name, or loses it
        self._layers = layers
        self._blobs = blobs
        self._leases = leases
        self._trash = trash
        self._workers = workers

    async def import_archive(
        self, source: Source, lease: Lease | None = None, on_progress: OnProgress | None = None
    ) -> Layer:
        """Unpack a root file system's tar (plain, gzip, zstd, xz, bzip2) into a layer.

        Its diff id is the archive's (unpacked), which need not be kept: a recipe is; or, of an archive that names something
        twice, that of our own tar. Raises: UserError (a bad archive), HostError.
        """
        async with self._fresh_tree() as path, self.readable(source) as name:
            tree = str(path / TREE)
            job = jobs.UnpackJob(source=name, tree=tree, recipe=recipe_of(tree), digests=True)
            result = await self._workers.call(jobs.unpack_archive, job, on_progress)
            if result.cooks:
                assert result.tar_digest is not None
                layer = Layer(
                    diff_id=result.tar_digest,
                    key=result.tar_digest,
                    size=result.size,
                    tar_size=result.tar_size,
                    entries=result.entries,
                )
                return await self._keep(path, layer, lease)
            await uninterrupted(os.unlink, recipe_of(tree))
            facts = await self._workers.call(jobs.seal, jobs.SealJob(tree=tree), on_progress)
            return await self._adopt(path, facts, lease)

    async def unpack_layer(
        self,
        blob: Descriptor,
        diff_ids: Sequence[Digest],
        lease: Lease | None = None,
        on_progress: OnProgress | None = None,
    ) -> Layer:
        """Unpack a layer from elsewhere, whose archive is a blob in the store; `diff_ids` are of the image up to this layer.

        Raises: UserError when the archive is bad or is not the one that the configuration names; ApiError (NotFound).
        """
        diff_id, chain_id = diff_ids[-1], chain_ids(diff_ids)[-1]
        there = self._layers.find(diff_id, chain_id)
        if there is not None:
            self._leases.hold(lease, there.key)
            return there
        below = [self._layers.tree(layer) for layer in self._layers.stack(diff_ids[:-1])]
        self._leases.hold(lease, blob.digest)
        async with self._fresh_tree() as path:
            job = jobs.UnpackJob(
                source=str(self._blobs.path(blob.digest)),
                tree=str(path / TREE),
                parents=tuple(str(tree) for tree in reversed(below)),
                digests=True,
            )
            result = await self._workers.call(jobs.unpack_archive, job, on_progress)
            if result.tar_digest != diff_id:
                raise UserError(
                    f"the layer {blob.digest} unpacks to {result.tar_digest}, but the image's configuration says {diff_id}",
                    hint="the image is damaged, or somebody changed it: don't use it",
                )
            layer = Layer(
                diff_id=diff_id,
                key=chain_id if result.implied else diff_id,
                size=result.size,
                tar_size=result.tar_size,
                entries=result.entries,
                own=False,
                blob=blob,
            )
            return await self._keep(path, layer, lease)

    async def unpack_file(
        self,
        job: jobs.UnpackJob,
        diff_id: Digest,
        chain_id: Digest,
        lease: Lease | None = None,
        on_progress: OnProgress | None = None,
    ) -> Layer:
        """Unpack a layer's archive that will go away; a recipe of it is kept, or a copy, as a blob, where there can be none.

        Raises: UserError when the archive is bad or is not `diff_id`, HostError.
        """
        async with self._fresh_tree() as path:
            tree = str(path / TREE)
            job = replace(job, tree=tree, recipe=recipe_of(tree), digests=True)
            result = await self._workers.call(jobs.unpack_archive, job, on_progress)
            if result.tar_digest != diff_id:
                raise UserError(
                    f"a layer unpacks to {result.tar_digest}, but the image's configuration says {diff_id}",
                    hint="the archive is damaged, or somebody changed it: don't use it",
                )
            blob = None
            if not result.cooks:
                await uninterrupted(os.unlink, job.recipe)
                blob = await self._keep_archive(job, lease)
            layer = Layer(
                diff_id=diff_id,
                key=chain_id if result.implied else diff_id,
                size=result.size,
                tar_size=result.tar_size,
                entries=result.entries,
                own=blob is None,
                blob=blob,
            )
            return await self._keep(path, layer, lease)

    async def _keep_archive(self, unpacked: jobs.UnpackJob, lease: Lease | None) -> Descriptor:
        """Make a blob of an archive that was unpacked."""
        file = self._blobs.temporary()
        job = archive_jobs.CompressJob(
            source=unpacked.source,
            offset=unpacked.offset,
            size=unpacked.size,
            target=str(file),
            compression="gzip",  # every engine reads it
        )
        packed = await self._workers.call(archive_jobs.compress_file, job)
        blob = Descriptor(
            media_type=OCI_LAYER_OF_COMPRESSION["gzip"], digest=packed.blob_digest, size=packed.blob_size
        )
        self._leases.hold(lease, blob.digest)
        async with self.placing:
            await uninterrupted(self._blobs.adopt, file, blob.digest)
        return blob

    async def commit_upper(
        self,
        upper: Path,
        *,
        move: bool,
        lease: Lease | None = None,
        on_progress: OnProgress | None = None,
        newest_s: int | None = None,
        below: Sequence[str] | None = None,
        prepare: Callable[[Path], None] | None = None,
    ) -> Layer:
        """Make a layer of an overlay's upper directory, without a tar in between.

        `below`: the trees below it, top first, if known. `prepare` may still change the tree. With `move` the directory itself
        becomes the layer (nothing may be mounted on it any more), else a copy does.
        Files that are newer than `newest_s` (unix seconds) get that time.
        Raises: UserError for a file that no layer can hold, HostError.
        """
        path = await self._begin(self._layers.begin)
        try:
            if move:
                await uninterrupted(_move, upper, path / TREE)
            else:
                argv = ["cp", "-a", "--reflink=auto", "--", str(upper), str(path / TREE)]
                await spawn.run(argv, timeout_s=COPY_TIMEOUT_S)
            job = jobs.SealJob(
                tree=str(path / TREE), newest_s=newest_s, below=None if below is None else tuple(below)
            )
            if prepare is not None:
                await uninterrupted(prepare, path / TREE)
            facts = await self._workers.call(jobs.seal, job, on_progress)
            return await self._adopt(path, facts, lease)
        except BaseException:
            await self._give_up(path)
            raise

    async def pack_blob(
        self, layer: Layer, compression: str, on_progress: OnProgress | None = None
    ) -> Descriptor:
        """Return a layer's archive as a blob in the store, packed "gzip", "zstd" or not at all; written only if missing.

        Raises: HostError when the tree is not any more what its name says.
        """
        if layer.blob is not None and self._blobs.has(layer.blob.digest):
            return layer.blob
        target = self._blobs.temporary()
        try:
            job = jobs.PackJob(
                tree=str(self._layers.tree(layer)),
                target=str(target),
                compression=compression,
                expected=layer.diff_id,
            )
            result = await self._workers.call(jobs.pack_tree, job, on_progress)
            self._leases.hold(None, result.blob_digest)
            await uninterrupted(self._blobs.adopt, target, result.blob_digest)
        finally:
            await uninterrupted(target.unlink, missing_ok=True)
        blob = Descriptor(
            media_type=OCI_LAYER_OF_COMPRESSION[compression], digest=result.blob_digest, size=result.blob_size
        )
        await uninterrupted(self._layers.update, replace(layer, blob=blob))
        self._leases.release([blob.digest])
        return blob

    async def _adopt(self, path: Path, facts: jobs.TreeFacts, lease: Lease | None) -> Layer:
        layer = Layer(
            diff_id=facts.diff_id,
            key=facts.diff_id,
            size=facts.size,
            tar_size=facts.tar_size,
            entries=facts.entries,
        )
        return await self._keep(path, layer, lease)

    async def _keep(self, path: Path, layer: Layer, lease: Lease | None) -> Layer:
        """Give a complete layer its name. If it is there already, that one stays, and this one goes."""
        async with self.placing:
            there = self._layers.find(layer.key)
            if there is None:
                await uninterrupted(self._layers.place, path, layer)
                self._layers.register(layer)
            kept = there or layer
            self._leases.hold(lease, kept.key)
        if there is not None:
            await self._give_up(path)
        # the same tree may change a root here and there not: whether it is empty is not the tree's alone to say
        return replace(kept, entries=layer.entries)

    # --- layers that a registry sends (see registry/pulls.py) ---------------------------------------------------------

    async def begin(self) -> Path:
        """Return a directory with an empty tree, on the store's file system; hand it to `keep` or `give_up`."""
        return await self._begin(self._layers.begin_tree)

    async def keep_blob(self, file: Path, digest: Digest, lease: Lease | None) -> None:
        """Give a complete and verified file its name."""
        self._leases.hold(lease, digest)
        async with self.placing:
            await uninterrupted(self._blobs.adopt, file, digest)

    async def keep(self, path: Path, layer: Layer, lease: Lease | None) -> Layer:
        """Give the tree in `path` its name as a layer; return the one that has it now."""
        return await self._keep(path, layer, lease)

    async def give_up(self, path: Path) -> None:
        """Throw away what `begin` gave; fine if it is gone."""
        await self._give_up(path)

    @contextlib.asynccontextmanager
    async def folder(self) -> AsyncIterator[Path]:
        """Yield an empty directory on the store's file system, which is thrown away afterwards."""
        path = await self._begin(self._layers.begin)
        try:
            yield path
        finally:
            await self._give_up(path)

    @contextlib.asynccontextmanager
    async def _fresh_tree(self) -> AsyncIterator[Path]:
        path = await self.begin()
        try:
            yield path
        except BaseException:
            await self._give_up(path)
            raise

    async def _begin(self, make: Callable[[], Path]) -> Path:
        """Make a directory; whoever is cancelled meanwhile never hears of it, so it goes."""
        made: list[Path] = []
        try:
            await uninterrupted(lambda: made.append(make()))
        except BaseException:
            for path in made:
                await self._give_up(path)
            raise
        return made[0]

    async def _give_up(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._trash.remove_later([await uninterrupted(self._layers.throw_away, path)])

    @contextlib.asynccontextmanager
    async def readable(self, source: Source) -> AsyncIterator[str]:
        """Yield a path that a worker can read `source` from."""
        if isinstance(source, Path):
            yield str(source)
            return
        async with fed_pipe(self._blobs.temporary(), source) as name:
            yield name


def _move(upper: Path, target: Path) -> None:
    try:
        os.rename(upper, target)
    except OSError as error:
        hint = "copy it (move=False)" if error.errno == errno.EXDEV else "is it still mounted, or gone?"
        raise HostError(
            f"{upper} can't become a layer: {error.strerror}", errno=error.errno, hint=hint
        ) from error
