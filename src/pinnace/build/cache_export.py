"""Writes the cache of a build where --cache-to says: to a registry, or as an OCI layout that the command unpacks. A doer.

Called by `run` when the result is there. What the cache holds is decided in `cache_document`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from pinnace.base.errors import PinnaceError
from pinnace.build.cache_document import CONFIG_TYPE, Made, compose, render_document
from pinnace.build.cache_places import CachePlace
from pinnace.build.exports import Exports
from pinnace.build.progress import Offered, PushNews, Tell, Warned
from pinnace.image import archive_jobs
from pinnace.image.archive import LAYOUT, blob_name
from pinnace.image.archive_jobs import SaveMember
from pinnace.image.feed import drained_pipe
from pinnace.image.layers import Layer
from pinnace.image.registry.news import LayerNews
from pinnace.image.store import ImageStore
from pinnace.oci.credentials import Keyring
from pinnace.oci.digest import Digest, digest_of
from pinnace.oci.manifest import Descriptor, Index, Manifest
from pinnace.oci.media_types import OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from pinnace.oci.reference import parse_reference


class CacheWriter:
    """Writes the caches of one build."""

    def __init__(self, images: ImageStore, exports: Exports, keyring: Keyring, tell: Tell) -> None:
        self._images = images
        self._exports = exports
        self._keyring = keyring
        self._tell = tell

    async def write(
        self,
        places: Sequence[CachePlace],
        made: Sequence[Made],
        digests: Mapping[str, str],
        layers: Mapping[Digest, Layer],
        first_offer: int,
    ) -> None:
        """Write to all places. Offers are counted from `first_offer` on. Raises: PinnaceError, unless it is to be ignored."""
        offer = first_offer
        for place in places:
            if place.type == "inline":
                continue
            document, sent = compose(made, digests, place.mode)
            data, wanted = render_document(document), [layers[one] for one in sent]
            try:
                if place.type == "registry":
                    await self._push(place, wanted, data)
                else:
                    await self._offer(offer, wanted, data)
            except PinnaceError as error:
                if not place.ignore_error:
                    raise
                self._tell(Warned(text=f"--cache-to {place.describe()}: {error.message}"))
            offer += place.type == "local"

    async def _push(self, place: CachePlace, layers: Sequence[Layer], data: bytes) -> None:
        name = f"cache {place.ref}"

        def tell(layer: LayerNews) -> None:
            self._tell(PushNews(reference=name, state="pushing", layer=layer))

        self._tell(PushNews(reference=name, state="pushing"))
        digest = await self._images.registries.send_artifact(
            str(parse_reference(place.ref)), self._keyring, layers, data, CONFIG_TYPE, tell
        )
        self._tell(PushNews(reference=name, state="done", digest=digest))

    async def _offer(self, number: int, layers: Sequence[Layer], data: bytes) -> None:
        members = self._members(layers, data)
        async with self._exports.offer(lambda: self._archive(members)) as (token, taken):
            self._tell(Offered(output=number, token=token))
            await taken

    def _members(self, layers: Sequence[Layer], data: bytes) -> tuple[SaveMember, ...]:
        """Return the files of an OCI layout with one manifest."""
        blobs = {member.name: member for member in map(self._member, layers)}
        manifest = msgspec.json.encode(
            Manifest(
                schema_version=2,
                media_type=OCI_MANIFEST,
                config=Descriptor(media_type=CONFIG_TYPE, digest=digest_of(data), size=len(data)),
                layers=tuple(map(self._descriptor, layers)),
            )
        )
        entry = Descriptor(media_type=OCI_MANIFEST, digest=digest_of(manifest), size=len(manifest))
        index = msgspec.json.encode(Index(schema_version=2, media_type=OCI_INDEX, manifests=(entry,)))
        small = {
            blob_name(digest_of(data)): data,
            blob_name(digest_of(manifest)): manifest,
            "oci-layout": LAYOUT,
            "index.json": index,  # last: a cache that is half written is still the old one
        }
        documents = [SaveMember(name=name, size=len(text), data=text) for name, text in small.items()]
        return (*blobs.values(), *documents)

    def _descriptor(self, layer: Layer) -> Descriptor:
        if layer.own or layer.blob is None:
            return Descriptor(media_type=OCI_LAYER, digest=layer.diff_id, size=layer.tar_size)
        return replace(layer.blob, annotations=None)

    def _member(self, layer: Layer) -> SaveMember:
        blob = self._descriptor(layer)
        name = blob_name(blob.digest)
        if blob.digest == layer.diff_id:
            tree = str(self._images.layers.tree(layer))
            return SaveMember(name=name, size=blob.size, tree=tree, digest=blob.digest)
        return SaveMember(name=name, size=blob.size, file=str(self._images.blobs.path(blob.digest)))

    def _archive(self, members: tuple[SaveMember, ...]) -> AsyncGenerator[bytes, None]:
        async def fill(target: str) -> None:
            job = archive_jobs.SaveJob(target=target, members=members)
            await self._images.workers.call(archive_jobs.save_archive, job)

        return drained_pipe(self._images.blobs.temporary(), fill)
