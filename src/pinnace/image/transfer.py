"""`save` and `load`: images to and from archives. The doer over `archive` (what members mean) and `archive_jobs`.

Saving needs no room on disk: a layer's tar is written into the archive as it comes out of the tree. Loading verifies every
layer against the image's configuration.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from msgspec.structs import replace

from pinnace.base.errors import UserError
from pinnace.image import archive_jobs, jobs
from pinnace.image.archive import FoundImage, SavedImage, blob_name, find_images, follow, render_documents
from pinnace.image.archive_jobs import ReadMember, SaveMember
from pinnace.image.blobs import Blobs
from pinnace.image.feed import drained_pipe
from pinnace.image.ingest import Ingest, Source
from pinnace.image.layers import Layer, Layers
from pinnace.image.leases import Lease
from pinnace.image.platforms import host_architecture, is_for
from pinnace.image.registry.platforms import parse_platform
from pinnace.image.threads import uninterrupted
from pinnace.image.workers import OnProgress, Workers
from pinnace.oci.config import ImageConfig, decode_config
from pinnace.oci.digest import Digest, chain_ids
from pinnace.oci.manifest import Descriptor
from pinnace.oci.media_types import OCI_LAYER, compression_of
from pinnace.oci.reference import Reference


class Loaded:
    """An image whose layers are in the store, and that has no name yet."""

    def __init__(
        self, data: bytes, config: ImageConfig, layers: tuple[Layer, ...], references: tuple[Reference, ...]
    ) -> None:
        self.data = data
        self.config = config
        self.layers = layers
        self.references = references


class Transfer:
    """Saves and loads with worker processes."""

    def __init__(self, layers: Layers, blobs: Blobs, ingest: Ingest, workers: Workers) -> None:
        self._layers = layers
        self._blobs = blobs
        self._ingest = ingest
        self._workers = workers

    async def save(
        self,
        images: Sequence[tuple[Digest, tuple[Layer, ...], tuple[Reference, ...]]],
        on_progress: OnProgress | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """Yield the archive of images: their ids, layers and the names to write. Raises: HostError."""
        saved = [
            SavedImage(
                await uninterrupted(self._blobs.read, image_id),
                tuple(map(self._descriptor, layers)),
                references,
            )
            for image_id, layers, references in images
        ]
        documents = [
            SaveMember(name=name, size=len(data), data=data) for name, data in render_documents(saved).items()
        ]
        blobs = {blob.name: blob for _, layers, _ in images for blob in map(self._member, layers)}
        members = (*documents, *blobs.values())

        async def fill(target: str) -> None:
            job = archive_jobs.SaveJob(target=target, members=members)
            await self._workers.call(archive_jobs.save_archive, job, on_progress)

        async with aclosing(drained_pipe(self._blobs.temporary(), fill)) as pieces:
            async for data in pieces:
                yield data

    async def load(
        self, source: Source, lease: Lease, platform: str = "", on_progress: OnProgress | None = None
    ) -> list[Loaded]:
        """Read an archive; the layers of its images (for a platform, if one is given) are in the store then, held by `lease`.

        Raises: UserError, HostError.
        """
        async with self._ingest.folder() as folder, self._ingest.readable(source) as name:
            job = archive_jobs.ReadJob(source=name, folder=str(folder))
            result = await self._workers.call(archive_jobs.read_archive, job, on_progress)
            members = {member.name: member for member in result.members}
            documents = {one.name: one.data for one in result.members if one.data is not None}
            wanted = parse_platform(platform, host_architecture())
            loaded = []
            for found in find_images(documents, wanted):
                data = _find(members, result.links, found.config).data or b""
                config = decode_config(data, where=f"the archive's {found.config}")
                if not platform or is_for(config, wanted):
                    loaded.append(
                        await self._load_image(found, data, config, members, result.links, lease, on_progress)
                    )
            if not loaded:
                raise UserError(f"the archive has no image for {platform or 'any platform'}")
            return loaded

    async def _load_image(
        self,
        found: FoundImage,
        data: bytes,
        config: ImageConfig,
        members: dict[str, ReadMember],
        links: dict[str, str],
        lease: Lease,
        on_progress: OnProgress | None,
    ) -> Loaded:
        diff_ids = config.rootfs.diff_ids
        if len(diff_ids) != len(found.layers):
            raise UserError(
                f"the archive's {found.config} names {len(diff_ids)} layers, but there are {len(found.layers)}"
            )
        layers = []
        for number, name in enumerate(found.layers):
            member = _find(members, links, name)
            layers.append(await self._load_layer(member, diff_ids[: number + 1], lease, on_progress))
        return Loaded(data, config, tuple(layers), found.references)

    async def _load_layer(
        self, member: ReadMember, diff_ids: Sequence[Digest], lease: Lease, on_progress: OnProgress | None
    ) -> Layer:
        diff_id, chain_id = diff_ids[-1], chain_ids(diff_ids)[-1]
        there = self._layers.find(diff_id, chain_id)
        if there is not None:
            lease.hold(there.key)
            return there
        below = self._layers.stack(diff_ids[:-1])
        return await self._ingest.unpack_file(
            jobs.UnpackJob(
                source=member.file,
                offset=member.offset,
                size=member.size,
                tree="",
                parents=tuple(str(self._layers.tree(layer)) for layer in reversed(below)),
            ),
            diff_id,
            chain_id,
            lease,
            on_progress,
        )

    def _descriptor(self, layer: Layer) -> Descriptor:
        """Return a layer as it goes into an archive: as it came, if every reader of archives takes that, else as its tar."""
        if layer.own or layer.blob is None or compression_of(layer.blob.media_type) == "zstd":
            return Descriptor(media_type=OCI_LAYER, digest=layer.diff_id, size=layer.tar_size)
        return replace(layer.blob, annotations=None)

    def _member(self, layer: Layer) -> SaveMember:
        blob = self._descriptor(layer)
        if blob.digest == layer.diff_id and not layer.own and layer.blob is not None:
            packed = str(self._blobs.path(layer.blob.digest))
            return SaveMember(
                name=blob_name(blob.digest), size=blob.size, file=packed, unpack=True, digest=blob.digest
            )
        if blob.digest == layer.diff_id:
            tree = str(self._layers.tree(layer))
            return SaveMember(name=blob_name(blob.digest), size=blob.size, tree=tree, digest=blob.digest)
        return SaveMember(
            name=blob_name(blob.digest), size=blob.size, file=str(self._blobs.path(blob.digest))
        )


def _find(members: dict[str, ReadMember], links: dict[str, str], name: str) -> ReadMember:
    member = members.get(follow(name, links))
    if member is None:
        raise UserError(f"the archive lacks {name}, which its manifest names", hint="is it complete?")
    return member
