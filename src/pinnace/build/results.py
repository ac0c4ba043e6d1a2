"""Does what is to become of a build's result: names an image, pushes it, offers its files or an archive. A doer.

Called by `run` when all stages are done. What is to be is decided in `outputs`.
Invariant: nothing is pushed or offered before every layer is here; a name is given only to a whole image.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

from msgspec.structs import replace

from pinnace.base.chance import Chance
from pinnace.base.clock import Clock
from pinnace.build.execute import new_id
from pinnace.build.exports import Exports, Make
from pinnace.build.outputs import Delivered, Wanted, is_stored, names_of, names_to_push
from pinnace.build.progress import Offered, PushNews, Tell
from pinnace.build.undo import finished
from pinnace.image import archive_jobs
from pinnace.image.archive import SavedImage, blob_name, render_documents, render_manifest
from pinnace.image.archive_jobs import SaveMember
from pinnace.image.export_jobs import ExportJob, export_tree
from pinnace.image.feed import drained_pipe
from pinnace.image.layers import Layer
from pinnace.image.leases import Lease
from pinnace.image.registry.news import LayerNews
from pinnace.image.store import ImageStore
from pinnace.oci.config import ImageConfig, RootFs, encode
from pinnace.oci.credentials import Keyring
from pinnace.oci.digest import digest_of
from pinnace.oci.manifest import Descriptor
from pinnace.oci.media_types import OCI_LAYER
from pinnace.oci.reference import parse_reference

EMPTY_TAR = bytes(1024)  # Source: POSIX.1-2017, pax: two blocks of zeros end an archive


class Results:
    """The outputs of one build."""

    def __init__(
        self,
        images: ImageStore,
        exports: Exports,
        clock: Clock,
        chance: Chance,
        lease: Lease,
        keyring: Keyring,
        tell: Tell,
    ) -> None:
        self._images = images
        self._exports = exports
        self._clock = clock
        self._chance = chance
        self._lease = lease
        self._keyring = keyring
        self._tell = tell

    async def deliver(
        self,
        config: ImageConfig,
        layers: Sequence[Layer],
        names: Sequence[str],
        wanted: Sequence[Wanted],
        annotations: Mapping[str, str],
    ) -> Delivered:
        """Do all outputs, in order; manifests get the annotations. Raises: UserError, ApiError, HostError."""
        to_push = names_to_push(names, wanted)
        config = replace(config, rootfs=RootFs(diff_ids=tuple(layer.diff_id for layer in layers)))
        image_id = digest_of(encode(config))
        manifest = ""
        stored = is_stored(wanted)
        if stored:
            named = names_of(names, wanted)
            image = await self._images.write_image(config, layers, named[0] if named else None)
            for name in named[1:]:
                await self._images.tag(image.id, name)
        for name in to_push:
            manifest = await self._push(name, annotations)
        for number, one in enumerate(wanted):
            if one.type in ("local", "tar"):
                await self._offer(number, lambda: self._files(layers))
            elif one.type in ("oci", "docker"):
                saved, members = await self._archive(config, layers, (*names, *one.names), one, annotations)
                manifest = manifest or digest_of(render_manifest(saved))
                await self._offer(number, lambda: self._write_archive(members))  # noqa: B023 (awaited in this turn)
        return Delivered(image=image_id, manifest=manifest, is_stored=stored)

    async def _push(self, name: str, annotations: Mapping[str, str]) -> str:
        reference = parse_reference(name)
        began = self._clock.monotonic()

        def tell(layer: LayerNews) -> None:
            self._tell(PushNews(reference=reference.familiar, state="pushing", layer=layer))

        self._tell(PushNews(reference=reference.familiar, state="pushing"))
        pushed = await self._images.push(
            str(reference), keyring=self._keyring, on_news=tell, annotations=annotations
        )
        seconds = self._clock.monotonic() - began
        self._tell(
            PushNews(reference=reference.familiar, state="done", digest=pushed.digest, seconds=seconds)
        )
        return pushed.digest

    async def _offer(self, number: int, make: Make) -> None:
        """Offer a stream and wait until the command has it all."""
        async with self._exports.offer(make) as (token, taken):
            self._tell(Offered(output=number, token=token))
            await taken

    # --- files -------------------------------------------------------------------------------------------------------

    async def _files(self, layers: Sequence[Layer]) -> AsyncGenerator[bytes, None]:
        """Yield the tar of the files that a container of the image would see."""
        if not layers:
            yield EMPTY_TAR
            return
        name = new_id(self._chance)
        try:
            rootfs = await self._images.mount_stack(layers, name, read_only=True)
            async with aclosing(self._drain(str(rootfs.path))) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            await finished(self._images.release(name))

    def _drain(self, tree: str) -> AsyncGenerator[bytes, None]:
        async def fill(target: str) -> None:
            await self._images.workers.call(export_tree, ExportJob(tree=tree, target=target))

        return drained_pipe(self._images.blobs.temporary(), fill)

    # --- archives ----------------------------------------------------------------------------------------------------

    async def _archive(
        self,
        config: ImageConfig,
        layers: Sequence[Layer],
        names: Sequence[str],
        wanted: Wanted,
        annotations: Mapping[str, str],
    ) -> tuple[SavedImage, tuple[SaveMember, ...]]:
        """Return an image as it goes into an archive, and the archive's members."""
        references = tuple(dict.fromkeys(parse_reference(name) for name in names))
        blobs: dict[str, SaveMember] = {}
        descriptors = []
        for layer in layers:
            descriptor, member = await self._layer_member(layer, wanted.compression)
            descriptors.append(descriptor)
            blobs[member.name] = member
        saved = SavedImage(encode(config), tuple(descriptors), references, annotations)
        documents = tuple(
            SaveMember(name=name, size=len(data), data=data)
            for name, data in render_documents([saved]).items()
            if wanted.type == "docker" or name != "manifest.json"
        )
        return saved, (*documents, *blobs.values())

    async def _layer_member(self, layer: Layer, compression: str) -> tuple[Descriptor, SaveMember]:
        packed: Descriptor | None = None
        if compression in ("gzip", "zstd"):
            packed = await self._images.blob_of(layer, compression)
        elif not layer.own:
            packed = layer.blob
        if packed is None:
            descriptor = Descriptor(media_type=OCI_LAYER, digest=layer.diff_id, size=layer.tar_size)
            tree = str(self._images.layers.tree(layer))
            name = blob_name(layer.diff_id)
            return descriptor, SaveMember(name=name, size=layer.tar_size, tree=tree, digest=layer.diff_id)
        self._lease.hold(packed.digest)
        file: Path = self._images.blobs.path(packed.digest)
        return replace(packed, annotations=None), SaveMember(
            name=blob_name(packed.digest), size=packed.size, file=str(file)
        )

    def _write_archive(self, members: tuple[SaveMember, ...]) -> AsyncGenerator[bytes, None]:
        async def fill(target: str) -> None:
            job = archive_jobs.SaveJob(target=target, members=members)
            await self._images.workers.call(archive_jobs.save_archive, job)

        return drained_pipe(self._images.blobs.temporary(), fill)
