"""Sends the layers, the configuration and the manifest of one image. The doer between `registries` and the job `upload`.

An image that came from a registry goes out with the manifest that it came with, so that its digest stays what it was, as
long as each of its blobs is here or there. Else it gets an OCI manifest of what the layers are packed to.
Invariant: the manifest goes last, when the repository holds all that it names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from pinnace.base.errors import PinnaceError
from pinnace.image import frames
from pinnace.image.blobs import Blobs
from pinnace.image.layers import Layer, Layers
from pinnace.image.names import ImageNames, NamedImage
from pinnace.image.registry.challenge import Token
from pinnace.image.registry.client import Access
from pinnace.image.registry.endpoints import Endpoint
from pinnace.image.registry.news import LayerNews, OnNews, State
from pinnace.image.registry.upload import ManifestJob, SendJob, Sent, send_blob, send_manifest
from pinnace.image.threads import uninterrupted
from pinnace.image.workers import Workers
from pinnace.oci import media_types
from pinnace.oci.digest import Digest, digest_of, is_digest
from pinnace.oci.manifest import Descriptor, Manifest, decode_manifest
from pinnace.oci.reference import Reference, parse_reference

RETRYING = "retrying "
COMPRESSION = "gzip"  # what every registry and engine takes
MOUNTS_TRIED = 2

Learn = Callable[[Access, Endpoint, Sequence[Token]], Access]


class PushedManifest(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest that went out. Units: bytes."""

    digest: Digest
    data: bytes
    sent: int


class Pushes:
    """Uploads of one store."""

    def __init__(
        self, layers: Layers, blobs: Blobs, names: ImageNames, workers: Workers, at_once: int
    ) -> None:
        self._layers = layers
        self._blobs = blobs
        self._names = names
        self._workers = workers
        self._slots = asyncio.Semaphore(at_once)

    async def push(
        self,
        access: Access,
        reference: Reference,
        named: NamedImage,
        layers: Sequence[Layer],
        on_news: OnNews | None,
        learn: Learn,
        annotations: Mapping[str, str] | None = None,
    ) -> tuple[PushedManifest, Access]:
        """Send an image; return its manifest. Raises: ApiError, UserError, HostError."""
        config = await uninterrupted(self._blobs.read, named.image_id)
        kept, kept_data = await uninterrupted(self._kept_manifest, named)
        sources = await uninterrupted(self._sources, reference)
        first = SendJob(
            access=access,
            blob=Descriptor(
                media_type=kept.config.media_type if kept else media_types.OCI_CONFIG,
                digest=named.image_id,
                size=len(config),
            ),
            data=config,
        )
        # the small one goes first: what is wrong with address, name or password shows before anything heavy moves
        done = await self._workers.call(send_blob, first)
        access = learn(access, done.endpoint, done.tokens)
        sent = done.sent if done.how == "pushed" else 0
        assert first.blob is not None
        if kept is not None and not annotations:
            found = await self._send_all(access, layers, kept.layers, sources, on_news)
            sent += sum(one.sent for one in found if one.how == "pushed")
            if all(one.blob is not None for one in found):
                assert kept_data is not None
                return await self._finish(
                    access, reference, kept_data, kept.media_type or media_types.OCI_MANIFEST, sent, learn
                )
        found = await self._send_all(access, layers, None, sources, on_news)
        sent += sum(one.sent for one in found if one.how == "pushed")
        manifest = build_manifest(
            replace(first.blob, media_type=media_types.OCI_CONFIG),
            [one.blob for one in found if one.blob is not None],
        )
        if annotations:
            manifest = replace(manifest, annotations=dict(sorted(annotations.items())))
        return await self._finish(
            access, reference, msgspec.json.encode(manifest), media_types.OCI_MANIFEST, sent, learn
        )

    async def push_artifact(
        self,
        access: Access,
        reference: Reference,
        layers: Sequence[Layer],
        config: bytes,
        config_type: str,
        on_news: OnNews | None,
        learn: Learn,
    ) -> tuple[PushedManifest, Access]:
        """Send layers and a document about them. Raises: ApiError, UserError, HostError."""
        blob = Descriptor(media_type=config_type, digest=digest_of(config), size=len(config))
        done = await self._workers.call(send_blob, SendJob(access=access, blob=blob, data=config))
        access = learn(access, done.endpoint, done.tokens)
        found = await self._send_all(access, layers, None, {}, on_news)
        manifest = build_manifest(blob, [one.blob for one in found if one.blob is not None])
        job = ManifestJob(
            access=access,
            name=reference.tag,
            data=msgspec.json.encode(manifest),
            media_type=media_types.OCI_MANIFEST,
        )
        sent = await self._workers.call(send_manifest, job)
        return PushedManifest(digest=sent.digest, data=sent.data, sent=done.sent), access

    async def _finish(
        self, access: Access, reference: Reference, data: bytes, media_type: str, sent: int, learn: Learn
    ) -> tuple[PushedManifest, Access]:
        job = ManifestJob(
            access=access,
            name=reference.tag,
            data=data,
            media_type=media_type,
            other=msgspec.json.encode(to_docker(decode_manifest(data)))
            if media_type == media_types.OCI_MANIFEST
            else b"",
            other_type=media_types.DOCKER_MANIFEST,
        )
        done = await self._workers.call(send_manifest, job)
        return PushedManifest(digest=done.digest, data=done.data, sent=sent), access

    async def _send_all(
        self,
        access: Access,
        layers: Sequence[Layer],
        blobs: Sequence[Descriptor] | None,
        sources: dict[Digest, tuple[str, ...]],
        on_news: OnNews | None,
    ) -> list[Sent]:
        """Send all layers, each once; the results are in their order."""
        loop = asyncio.get_running_loop()
        tasks: dict[Digest, asyncio.Task[Sent]] = {}
        order = []
        for number, layer in enumerate(layers):
            blob = (layer.blob or layer.packed) if blobs is None else blobs[number]
            key = blob.digest if blob is not None else layer.diff_id
            if key not in tasks:
                tasks[key] = loop.create_task(
                    self._send(access, layer, blob, blobs is not None, sources, on_news),
                    name=f"image/push {key}",
                )
            order.append(key)
        try:
            await asyncio.gather(*tasks.values())
            return [tasks[key].result() for key in order]
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    async def _send(
        self,
        access: Access,
        layer: Layer,
        blob: Descriptor | None,
        exact: bool,
        sources: dict[Digest, tuple[str, ...]],
        on_news: OnNews | None,
    ) -> Sent:
        def tell(state: State, current: int = 0, text: str = "") -> None:
            if on_news is not None:
                total = blob.size if blob is not None and file else layer.tar_size
                on_news(LayerNews(digest=layer.diff_id, state=state, current=current, total=total, text=text))

        def progress(one: frames.Progress) -> None:
            if one.what.startswith(RETRYING):
                tell("retrying", one.size, one.what.removeprefix(RETRYING))
            else:
                tell("pushing", one.size)

        file = ""
        if blob is not None and await uninterrupted(self._blobs.has, blob.digest):
            file = str(self._blobs.path(blob.digest))
        mounts = sources.get(blob.digest, ())[:MOUNTS_TRIED] if blob is not None else ()
        job = SendJob(
            access=replace(access, mounts=mounts) if mounts else access,
            blob=blob,
            file=file,
            tree="" if file or exact else str(self._layers.tree(layer)),
            expected=layer.diff_id,
            compression=COMPRESSION,
        )
        tell("preparing")
        async with self._slots:
            sent = await self._workers.call(send_blob, job, progress)
        if sent.blob is not None:
            states: dict[str, State] = {"exists": "exists", "mounted": "mounted", "pushed": "pushed"}
            tell(states[sent.how], layer.tar_size if not file else sent.blob.size)
            if not exact and not file and sent.blob != layer.packed:
                await self._remember(layer, sent.blob)
        return sent

    async def _remember(self, layer: Layer, blob: Descriptor) -> None:
        """Note what a layer is packed to: the next push can ask for it, and need not pack it."""
        if self._layers.find(layer.key) == layer:
            await uninterrupted(self._layers.update, replace(layer, packed=blob))

    def _kept_manifest(self, named: NamedImage) -> tuple[Manifest | None, bytes | None]:
        """Return the manifest that an image came with."""
        if named.manifest is None:
            return None, None
        try:
            data = self._blobs.read(named.manifest)
            manifest = decode_manifest(data)
        except PinnaceError:
            return None, None
        return (manifest, data) if manifest.config.digest == named.image_id else (None, None)

    def _sources(self, reference: Reference) -> dict[Digest, tuple[str, ...]]:
        """Return which other repositories of the same registry are known to hold which blobs."""
        found: dict[Digest, list[str]] = {}
        for name in self._names.list():
            if name.manifest is None or name.digest is None or is_digest(name.reference):
                continue
            other = parse_reference(name.reference)
            if other.domain != reference.domain or other.path == reference.path:
                continue
            manifest, _ = self._kept_manifest(name)
            for blob in manifest.layers if manifest else ():
                if other.path not in found.setdefault(blob.digest, []):
                    found[blob.digest].append(other.path)
        return {digest: tuple(paths) for digest, paths in found.items()}


def build_manifest(config: Descriptor, layers: Sequence[Descriptor]) -> Manifest:
    """Return an OCI manifest, whatever types the blobs came with."""
    return Manifest(
        schema_version=2,
        media_type=media_types.OCI_MANIFEST,
        config=config,
        layers=tuple(
            Descriptor(
                media_type=media_types.OCI_LAYER_OF_COMPRESSION[media_types.compression_of(layer.media_type)],
                digest=layer.digest,
                size=layer.size,
            )
            for layer in layers
        ),
    )


_DOCKER_LAYERS = {
    "": media_types.DOCKER_LAYER,
    "gzip": media_types.DOCKER_LAYER_GZIP,
    "zstd": media_types.DOCKER_LAYER_ZSTD,
}


def to_docker(manifest: Manifest) -> Manifest:
    """Return the same image in the words of Docker's schema 2."""
    return Manifest(
        schema_version=2,
        media_type=media_types.DOCKER_MANIFEST,
        config=replace(manifest.config, media_type=media_types.DOCKER_CONFIG),
        layers=tuple(
            Descriptor(
                media_type=_DOCKER_LAYERS[media_types.compression_of(layer.media_type)],
                digest=layer.digest,
                size=layer.size,
            )
            for layer in manifest.layers
        ),
    )
