"""Caches from elsewhere: reads what --cache-from names, and brings in the layers of steps that are needed. A doer.

Called by `builder`. A hit needs only names; layers come when something is done on top of them or the image is written.
Invariants: what can't be read is told and left out, a build never fails for it; no layer is used that is not what its
diff id says; layers that can't be had end the run with `CacheBroken`, and the build goes on without them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from pinnace.base.errors import PinnaceError, UserError
from pinnace.build.cache_document import (
    BUILDKIT_CONFIG_TYPE,
    CONFIG_TYPE,
    CachedLayer,
    CacheDocument,
    CachedStep,
    find_in_image,
    pair_blobs,
    parse_document,
)
from pinnace.build.cache_places import CachePlace
from pinnace.build.progress import BaseNews, Tell, Warned
from pinnace.image import jobs
from pinnace.image.leases import Lease
from pinnace.image.registry.news import LayerNews
from pinnace.image.store import ImageStore
from pinnace.oci.config import INLINE_CACHE, RootFs
from pinnace.oci.credentials import Keyring
from pinnace.oci.digest import Digest, chain_ids, digest_of, hex_of
from pinnace.oci.manifest import Descriptor, decode_index, decode_manifest
from pinnace.oci.media_types import DOCKER_CONFIG, OCI_CONFIG, OCI_LAYER
from pinnace.oci.reference import parse_reference

IMAGE_TYPES = (OCI_CONFIG, DOCKER_CONFIG)
SMALL_MAX_BYTES = 32 << 20  # of a document in a folder
NO_CACHE = "it is an image without a cache in it"
BUILDKITS = "it is a cache of BuildKit, which only BuildKit can read"

Bring = Callable[[dict[Digest, Descriptor], Sequence[Digest], int], Awaitable[None]]


class CacheBroken(Exception):
    """Layers of a cache can't be had. `error` None: they were never sent, only what made them is known."""

    def __init__(self, cache: ImportedCache, error: PinnaceError | None) -> None:
        super().__init__(f"{cache.name}: {error or 'layers that are not in it'}")
        self.cache = cache
        self.error = error


class _Inline(msgspec.Struct):
    rootfs: RootFs
    cache: msgspec.Raw | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name=INLINE_CACHE)


class ImportedCache:
    """One cache that was read."""

    def __init__(
        self, name: str, document: CacheDocument, blobs: dict[Digest, Descriptor], bring: Bring
    ) -> None:
        self.name = name
        self.document = document
        self._blobs = blobs
        self._bring = bring
        self._steps = {step.key: step for step in document.steps}
        self.only_whole = False  # steps whose layers are not in it no longer count

    def find(self, key: str) -> tuple[CachedStep, CachedLayer] | None:
        """Return a step and its layer."""
        step = self._steps.get(key)
        if step is None:
            return None
        layer = self.document.layers[step.layer]
        if self.only_whole and not layer.is_empty and layer.diff_id not in self._blobs:
            return None
        return step, layer

    async def bring(self, diff_ids: Sequence[Digest], start: int) -> None:
        """Bring in the layers of a stack from `start` on. Raises: CacheBroken."""
        if any(diff_id not in self._blobs for diff_id in diff_ids[start:]):
            raise CacheBroken(self, None)
        try:
            await self._bring(self._blobs, diff_ids, start)
        except PinnaceError as error:
            raise CacheBroken(self, error) from error


def leave_out(caches: Sequence[ImportedCache], broken: CacheBroken, tell: Tell) -> tuple[ImportedCache, ...]:
    """Return the caches that a build goes on with after layers of one could not be had."""
    if broken.error is None and not broken.cache.only_whole:
        broken.cache.only_whole = True  # it told more than it holds, as "min" does
        return tuple(caches)
    tell(Warned(text=f"--cache-from {broken.cache.name} is left out: {broken.error or 'it lacks layers'}"))
    return tuple(one for one in caches if one is not broken.cache)


class CacheReader:
    """Reads the caches of one build."""

    def __init__(self, images: ImageStore, lease: Lease, keyring: Keyring, platform: str, tell: Tell) -> None:
        self._images = images
        self._lease = lease
        self._keyring = keyring
        self._platform = platform
        self._tell = tell

    async def read_all(self, places: Sequence[CachePlace]) -> tuple[ImportedCache, ...]:
        """Return what could be read, in order; what couldn't is told."""
        found = await asyncio.gather(*(self._read(place) for place in places))
        return tuple(one for one in found if one is not None)

    async def _read(self, place: CachePlace) -> ImportedCache | None:
        name = f"cache {place.describe()}"
        self._tell(BaseNews(reference=name, state="resolving"))
        try:
            cache = await (self._read_registry(place) if place.ref else self._read_folder(place))
        except PinnaceError as error:
            self._tell(BaseNews(reference=name, state="failed"))
            self._tell(Warned(text=f"--cache-from {place.describe()} is left out: {error.message}"))
            return None
        self._tell(BaseNews(reference=name, state="done"))
        return cache

    # --- registries --------------------------------------------------------------------------------------------------

    async def _read_registry(self, place: CachePlace) -> ImportedCache:
        registries = self._images.registries
        access, found = await registries.fetch_artifact(
            str(parse_reference(place.ref)),
            self._keyring,
            self._platform,
            (CONFIG_TYPE, BUILDKIT_CONFIG_TYPE, *IMAGE_TYPES),
        )
        manifest = decode_manifest(found.manifest.data, where=f"the manifest of {place.ref}")
        document, blobs = read_config(
            manifest.config.media_type, found.config.data, manifest.layers, place.ref
        )

        async def bring(known: dict[Digest, Descriptor], diff_ids: Sequence[Digest], start: int) -> None:
            descriptors = [known.get(one) or _stand_in(one) for one in diff_ids]
            name = f"cache {place.ref}"

            def tell(layer: LayerNews) -> None:
                self._tell(BaseNews(reference=name, state="pulling", layer=layer))

            await registries.receive_layers(access, descriptors, diff_ids, self._lease, tell)
            self._tell(BaseNews(reference=name, state="done"))

        return ImportedCache(place.ref, document, blobs, bring)

    # --- folders -----------------------------------------------------------------------------------------------------

    async def _read_folder(self, place: CachePlace) -> ImportedCache:
        folder = Path(place.path)
        document, blobs = await asyncio.to_thread(read_folder, folder)

        async def bring(known: dict[Digest, Descriptor], diff_ids: Sequence[Digest], start: int) -> None:
            for number in range(start, len(diff_ids)):
                await self._unpack(folder, known[diff_ids[number]], diff_ids[: number + 1])

        return ImportedCache(place.path, document, blobs, bring)

    async def _unpack(self, folder: Path, blob: Descriptor, diff_ids: Sequence[Digest]) -> None:
        layers = self._images.layers
        path = await asyncio.to_thread(find_blob, folder, blob)
        chain = chain_ids(diff_ids)
        if layers.find(diff_ids[-1], chain[-1]) is not None:
            return
        below = layers.stack(diff_ids[:-1])
        job = jobs.UnpackJob(
            source=str(path), tree="", parents=tuple(str(layers.tree(one)) for one in reversed(below))
        )
        await self._images.ingest.unpack_file(job, diff_ids[-1], chain[-1], self._lease)


def read_config(
    media_type: str, data: bytes, layers: Sequence[Descriptor], where: str
) -> tuple[CacheDocument, dict[Digest, Descriptor]]:
    """Return what a manifest's configuration says, and the archives of its layers. Raises: UserError."""
    if media_type == BUILDKIT_CONFIG_TYPE:
        raise UserError(BUILDKITS, "write one with: pinnace build --cache-to")
    if media_type == CONFIG_TYPE:
        document = parse_document(data, len(layers), where)
        return document, pair_blobs(document, layers)
    try:
        image = msgspec.json.decode(data, type=_Inline)
    except msgspec.MsgspecError as error:
        raise UserError(f"{where} can't be understood: {error}") from error
    if image.cache is msgspec.UNSET:
        raise UserError(NO_CACHE, "write one into it with: pinnace build --cache-to type=inline --push")
    if len(image.rootfs.diff_ids) != len(layers):
        raise UserError(
            f"{where} has {len(layers)} layers, but its configuration {len(image.rootfs.diff_ids)}"
        )
    document = parse_document(image.cache, len(layers), where)
    return document, find_in_image(document, image.rootfs.diff_ids, layers)


def read_folder(folder: Path) -> tuple[CacheDocument, dict[Digest, Descriptor]]:
    """Return the cache in an OCI layout. Raises: UserError."""
    index = decode_index(_read_small(folder / "index.json"), where=str(folder / "index.json"))
    if not index.manifests:
        raise UserError(f"{folder} is empty")
    where = f"the cache in {folder}"
    manifest = decode_manifest(_read_document(folder, index.manifests[-1]), where=where)
    data = _read_document(folder, manifest.config)
    return read_config(manifest.config.media_type, data, manifest.layers, where)


def _read_document(folder: Path, blob: Descriptor) -> bytes:
    data = _read_small(find_blob(folder, blob))
    if digest_of(data) != blob.digest:
        raise UserError(f"{folder}: the blob {blob.digest} is damaged")
    return data


def find_blob(folder: Path, blob: Descriptor) -> Path:
    """Return a blob's file. Raises: UserError."""
    algorithm = blob.digest.partition(":")[0]
    path = folder / "blobs" / algorithm / hex_of(blob.digest)
    if not path.is_file():
        raise UserError(f"{folder}: the blob {blob.digest} is missing")
    return path


def _read_small(path: Path) -> bytes:
    try:
        if path.stat().st_size > SMALL_MAX_BYTES:
            raise UserError(f"{path} has more than {SMALL_MAX_BYTES} bytes: refused")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error


def _stand_in(diff_id: Digest) -> Descriptor:
    """Return a descriptor for a layer that is here, and so is never asked for."""
    return Descriptor(media_type=OCI_LAYER, digest=diff_id, size=0)
