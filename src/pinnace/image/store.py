"""The image store: images, their names, their layers, and root filesystems made of them. The way into this room.

Used by `sandbox/`, `node/`, `engine/` and `build/`; made by `daemon/`. Heavy work runs in worker processes, file work in
threads; what is left to the loop is short.
Invariant: an image has a name (or a nameless entry) only when its configuration and all its layers are on disk; what any
name, root filesystem, lease or added root leads to is never removed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from pinnace.base.clock import Clock, SystemClock
from pinnace.base.errors import PinnaceError
from pinnace.base.times import render_micro_time
from pinnace.image import export_jobs, jobs, listing, mounts, reach, views
from pinnace.image.blobs import Blobs
from pinnace.image.catalog import Catalog
from pinnace.image.changes import apply_changes
from pinnace.image.feed import drained_pipe
from pinnace.image.history import history_rows
from pinnace.image.ingest import Ingest, Source
from pinnace.image.layers import Layer, Layers, read_boot_id
from pinnace.image.layout import Layout
from pinnace.image.leases import Lease, Leases
from pinnace.image.names import ImageNames, NamedImage
from pinnace.image.platforms import check_platform, host_architecture
from pinnace.image.registry.news import OnNews, Pulled, Pushed, Remote
from pinnace.image.registry.platforms import parse_platform
from pinnace.image.registry.registries import Registries
from pinnace.image.registry.settings import RegistrySettings
from pinnace.image.removal import InUse, Removal, in_use_by_nobody, plan_removal
from pinnace.image.rootfs import Rootfs, RootfsRecord, RootfsStore, keys_of, used_layers
from pinnace.image.threads import uninterrupted
from pinnace.image.transfer import Transfer
from pinnace.image.trash import Trash
from pinnace.image.views import Image, LoadedImage
from pinnace.image.workers import OnProgress, Workers
from pinnace.oci.config import ContainerConfig, History, ImageConfig, RootFs, encode
from pinnace.oci.credentials import Credential, Keyring, nobody
from pinnace.oci.digest import Digest, digest_of, is_digest
from pinnace.oci.manifest import Descriptor
from pinnace.oci.reference import parse_reference

log = logging.getLogger("pinnace.image")

Roots = Callable[[], Iterable[Digest]]


class ImageStore:
    """All images of one instance, below `root` (`<home>/images`). Call `start` before anything else, `close` at the end."""

    def __init__(
        self,
        root: Path,
        names: ImageNames,
        *,
        clock: Clock | None = None,
        workers: Workers | None = None,
        registries: RegistrySettings | None = None,
    ) -> None:
        boot_id = read_boot_id()
        self._layout = Layout(root)
        self._names = names
        self._clock = clock or SystemClock()
        self._leases = Leases(self._clock)
        self._naming = asyncio.Lock()
        self._roots: list[Roots] = []
        self.workers = workers or Workers()
        self.trash = Trash(self._layout)
        self.blobs = Blobs(self._layout)
        self.layers = Layers(self._layout, boot_id)
        self.catalog = Catalog(names, self.blobs, self.layers)
        self.ingest = Ingest(self.layers, self.blobs, self._leases, self.trash, self.workers)
        self.transfer = Transfer(self.layers, self.blobs, self.ingest, self.workers)
        self.roots = RootfsStore(self._layout, self.layers, boot_id)
        self.registries = Registries(
            registries or RegistrySettings(),
            names=names,
            catalog=self.catalog,
            layers=self.layers,
            blobs=self.blobs,
            ingest=self.ingest,
            leases=self._leases,
            name_it=self._name_pulled,
        )

    async def start(self) -> None:
        """Read what is there; clear away what a crash left half done. Raises: HostError when a record can't be read."""
        await asyncio.to_thread(self._recover)
        self.trash.remove_later(self.trash.leftovers())

    async def close(self) -> None:
        """End workers and removals. Root filesystems stay mounted: containers outlive the daemon."""
        await self.registries.close()
        await self.trash.close()
        await self.workers.close()

    def _recover(self) -> None:
        self._layout.make()
        for entry in list(self._layout.ingest.iterdir()):
            self.layers.throw_away(entry)
        for key in self.layers.recover():
            log.warning("layer %s was not on disk when the machine stopped, and was thrown away", key)
        self.roots.recover()
        self.catalog.load()

    # --- finding -----------------------------------------------------------------------------------------------------

    def resolve(self, text: str) -> Image | None:
        """Return the image that a name, an id or the start of an id means."""
        return self.catalog.resolve(text)

    def origin(self, text: str) -> Digest | None:
        """Return the digest by which a registry knows a name; None for a name that was made here, and for an id."""
        return self.catalog.origin(text)

    def require(self, text: str) -> Image:
        """Return the image that a person means. Raises: ApiError (NotFound)."""
        return self.catalog.require(text)

    def list(self) -> tuple[Image, ...]:
        """Return all images, those without a name too."""
        return self.catalog.images()

    def rows(self, filters: Iterable[str] = ()) -> tuple[views.Row, ...]:
        """Return the lines of `images`, newest first. Raises: UserError (a filter that there isn't), ApiError (NotFound)."""
        wanted = listing.parse_filters(filters, listing.LIST_KEYS)
        chosen = listing.select(self.list(), wanted, now=self._clock.now(), find=self.require)
        return views.rows((one.image, one.references) for one in chosen)

    def history(self, text: str) -> Sequence[dict[str, Any]]:
        """Return the steps of an image, newest first, in the shape of Docker's API. Raises: ApiError (NotFound)."""
        image = self.require(text)
        return history_rows(image, self.catalog.layers(image.config))

    def inspect(self, text: str) -> dict[str, Any]:
        """Return Docker's inspect document. Raises: ApiError (NotFound)."""
        image = self.require(text)
        trees = [str(self.layers.tree(layer)) for layer in reversed(self.catalog.layers(image.config))]
        graph = {"LowerDir": ":".join(trees[1:]), "UpperDir": trees[0]} if trees else {}
        return views.inspect_document(image, {key: value for key, value in graph.items() if value})

    # --- making ------------------------------------------------------------------------------------------------------

    def lease(self, purpose: str) -> Lease:
        """Begin a lease, a context that holds what is made under it. Example: with store.lease("build web") as lease: …"""
        return self._leases.open(purpose)

    def add_roots(self, roots: Roots) -> None:
        """Ask `roots` at every collection for more to keep: image ids, layer keys, blobs. For build caches."""
        self._roots.append(roots)

    async def import_tar(
        self,
        source: Source,
        reference: str | None = None,
        changes: Sequence[str] = (),
        *,
        message: str = "",
        platform: str = "",
        on_progress: OnProgress | None = None,
    ) -> Image:
        """Make an image of a root file system's tar, from a file or a stream; packed or not.

        `platform`: what the image says it is for (OS/ARCH[/VARIANT]), if not this machine. Raises: UserError (a bad archive, reference or change), HostError.
        Example: import_tar(Path("rootfs.tar"), "my-base:v1", ['CMD ["bash"]'])
        """
        if reference is not None:
            parse_reference(reference)
        container = apply_changes(ContainerConfig(), changes)
        made_for = parse_platform(platform, host_architecture())
        with self.lease(f"import {reference or ''}") as lease:
            layer = await self.ingest.import_archive(source, lease, on_progress)
            now = render_micro_time(self._clock.now())
            origin = str(source) if isinstance(source, Path) else "-"
            config = ImageConfig(
                created=now,
                architecture=made_for.architecture,
                os=made_for.os,
                variant=made_for.variant if platform else "",
                config=container,
                rootfs=RootFs(),
                history=(History(created=now, comment=message or f"Imported from {origin}"),),
            )
            return await self.write_image(config, (layer,), reference)

    async def write_image(
        self, config: ImageConfig, layers: Sequence[Layer], reference: str | None = None
    ) -> Image:
        """Store an image that has these layers, bottom first, and name it; without a reference it stays nameless.

        The configuration's `rootfs` is set from the layers. When this returns, all of it is on disk.
        Raises: UserError (the reference), ApiError (NotFound: a layer is gone), HostError.
        """
        full = str(parse_reference(reference)) if reference else None
        config = replace(config, rootfs=RootFs(diff_ids=tuple(layer.diff_id for layer in layers)))
        self.catalog.layers(config)
        return await self._name_image(encode(config), config, layers, (full,) if full else ())

    async def save(
        self, texts: Sequence[str], on_progress: OnProgress | None = None, *, platform: str = ""
    ) -> AsyncGenerator[bytes, None]:
        """Yield an archive of images, by name or id, that `docker load`, skopeo and `load` take.

        Raises: ApiError (NotFound; also of a `platform` that an image isn't for) before anything is yielded; HostError.
        """
        images = []
        with self.lease("save") as lease:
            for image, references in self.catalog.chosen(texts):
                check_platform(image, platform)
                lease.hold(image.id)
                images.append((image.id, self.catalog.layers(image.config), references))
            async with aclosing(self.transfer.save(images, on_progress)) as pieces:
                async for data in pieces:
                    yield data

    async def load(self, source: Source, on_progress: OnProgress | None = None) -> tuple[Image, ...]:
        """Bring in all images of an archive. Raises: what `load_named` raises."""
        return tuple(one.image for one in await self.load_named(source, on_progress))

    async def load_named(
        self, source: Source, on_progress: OnProgress | None = None, *, platform: str = ""
    ) -> tuple[LoadedImage, ...]:
        """Bring in all images of an archive (docker-archive or OCI layout) under the names that it gives them.

        With `platform`, only those for it. Raises: UserError (a bad archive), HostError; then no image of it has got a name.
        """
        with self.lease("load") as lease:
            loaded = await self.transfer.load(source, lease, platform, on_progress)
            done = []
            for one in loaded:
                names = tuple(map(str, one.references))
                image = await self._name_image(one.data, one.config, one.layers, names)
                done.append(LoadedImage(image, tuple(ref.familiar for ref in one.references)))
            return tuple(done)

    async def pull(
        self,
        reference: str,
        *,
        keyring: Keyring = nobody,
        platform: str = "",
        on_news: OnNews | None = None,
        lease: Lease | None = None,
    ) -> Pulled:
        """Bring an image in from its registry under this name; only the layers that are not here travel.

        `platform` is "linux/arm64" or "linux/arm64/v8"; "" is this machine's. `lease` holds the image beyond the call.
        Raises: ApiError (NotFound, Unauthorized, Forbidden, TooManyRequests, ServiceUnavailable) with the registry's own
        words; UserError (a manifest or layer that is not what it should be); HostError (network, disk). Then the name
        leads to where it led before.
        """
        return await self.registries.pull(reference, keyring, platform, on_news, lease)

    async def push(
        self,
        reference: str,
        *,
        keyring: Keyring = nobody,
        on_news: OnNews | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> Pushed:
        """Send an image to the registry that its name says; only the layers that are not there travel.

        With `annotations` the manifest is a new one that has them.
        Raises: ApiError (NotFound: no such image here; and what `pull` raises), UserError, HostError.
        """
        return await self.registries.push(reference, keyring, on_news, annotations)

    async def look_up(self, reference: str, *, keyring: Keyring = nobody, platform: str = "") -> Remote:
        """Return what a registry says that an image is, without its layers. Raises: what `pull` raises."""
        return await self.registries.look_up(reference, keyring, platform)

    async def check_login(self, domain: str, credential: Credential) -> str:
        """Ask a registry whether it knows somebody; return an identity token if it gives one instead of the password, or "".

        Raises: ApiError (Unauthorized, with the registry's own words), HostError.
        """
        return await self.registries.check_login(domain, credential)

    async def remote_tags(self, reference: str, *, keyring: Keyring = nobody) -> tuple[str, ...]:
        """Return the tags that a registry has of a repository. Raises: what `pull` raises."""
        return await self.registries.tags(reference, keyring)

    async def _name_image(
        self, data: bytes, config: ImageConfig, layers: Sequence[Layer], references: tuple[str, ...]
    ) -> Image:
        """Store a configuration whose layers are there, with everything on disk, and then name it."""
        return await self._name_it(data, config, layers, references, None, None)

    async def _name_pulled(
        self,
        data: bytes,
        config: ImageConfig,
        layers: Sequence[Layer],
        reference: str,
        manifest: Digest,
        digest: Digest,
    ) -> Image:
        return await self._name_it(data, config, layers, (reference,), manifest, digest)

    async def _name_it(
        self,
        data: bytes,
        config: ImageConfig,
        layers: Sequence[Layer],
        references: tuple[str, ...],
        manifest: Digest | None,
        digest: Digest | None,
    ) -> Image:
        image_id = digest_of(data)
        with self.lease("name image") as lease:
            lease.hold(image_id, *keys_of(layers))
            await self._sync_layers()
            async with self.ingest.placing:
                await uninterrupted(self.blobs.write, data)
            self.catalog.configs[image_id] = config
            async with self._naming:
                for reference in references or (image_id,):
                    await self._set_name(reference, image_id, manifest, digest)
        self._leases.release(keys_of(layers))
        return self.catalog.image(image_id)

    async def commit_layer(
        self,
        upper: Path,
        *,
        move: bool = True,
        lease: Lease | None = None,
        on_progress: OnProgress | None = None,
        below: Sequence[Layer] = (),
        prepare: Callable[[Path], None] | None = None,
    ) -> Layer:
        """Make a layer of an overlay's upper directory, which is moved into the store; `move=False` copies it.

        `below`: the layers below it, bottom first. `prepare` may change the tree (in a thread) before it is digested.
        Raises: UserError for a file that no layer can hold, HostError.
        """
        return await self.ingest.commit_upper(
            upper,
            move=move,
            lease=lease,
            on_progress=on_progress,
            below=[str(self.layers.tree(layer)) for layer in reversed(below)] or None,
            prepare=prepare,
        )

    async def export_tree(self, root: Path) -> AsyncGenerator[bytes, None]:
        """Yield the tar of a mounted root, as it is while it is read. Raises: HostError."""

        async def fill(target: str) -> None:
            await self.workers.call(
                export_jobs.export_tree, export_jobs.ExportJob(tree=str(root), target=target)
            )

        async with aclosing(drained_pipe(self.blobs.temporary(), fill)) as pieces:
            async for data in pieces:
                yield data

    async def measure(self, paths: Sequence[Path]) -> tuple[int, ...]:
        """Return what the files below each path weigh, in bytes."""
        job = export_jobs.MeasureJob(paths=tuple(map(str, paths)))
        return (await self.workers.call(export_jobs.measure_trees, job)).sizes

    async def blob_of(self, layer: Layer, compression: str = "gzip") -> Descriptor:
        """Return a layer as a packed blob, written now if it is not there: pushing and saving need it, running doesn't."""
        return await self.ingest.pack_blob(layer, compression)

    async def _sync_layers(self) -> None:
        """Have everything that layers hold on disk; one call for all that is new."""
        new = await uninterrupted(self.layers.unsynced)
        if new:
            await uninterrupted(jobs.sync_file_system, str(self._layout.root))
            await uninterrupted(self.layers.mark_synced, new)

    # --- names -------------------------------------------------------------------------------------------------------

    async def tag(self, text: str, reference: str) -> Image:
        """Give an image one more name. Raises: ApiError (NotFound), UserError."""
        full = str(parse_reference(reference))
        image = self.require(text)
        async with self._naming:
            await self._set_name(full, image.id, image.manifest)
        return self.catalog.image(image.id)

    async def remove(self, text: str, *, force: bool = False, in_use: InUse = in_use_by_nobody) -> Removal:
        """Take a name away, and the image with its last one; layers that nobody else uses go too.

        Raises: ApiError (NotFound; Conflict when containers use it).
        """
        async with self._naming:
            image = self.require(text)
            plan = plan_removal(image, self.catalog.named(text), in_use(image.id), force=force)
            if plan.nameless:
                await self._names.set(NamedImage(image.id, image.id, image.manifest))
            for reference in plan.untag:
                await self._names.delete(str(reference))
            if not plan.nameless and len(plan.untag) == len(image.references):
                await self._names.delete(image.id)
        removed, freed = await self.collect()
        return Removal(tuple(reference.familiar for reference in plan.untag), removed, freed)

    async def prune(
        self, *, every: bool = False, filters: Iterable[str] = (), in_use: InUse = in_use_by_nobody
    ) -> Removal:
        """Remove the images without a name (with `every`, all of them) that no container uses and that the filters mean.

        Raises: UserError (a filter that there isn't).
        """
        wanted = listing.parse_filters(filters, listing.PRUNE_KEYS)
        async with self._naming:
            gone = listing.plan_prune(
                self.list(),
                wanted,
                every=every,
                now=self._clock.now(),
                used=lambda image: bool(in_use(image.id)),
            )
            for image in gone:
                for reference in image.references:
                    await self._names.delete(str(reference))
                await self._names.delete(image.id)
        removed, freed = await self.collect()
        return Removal(tuple(ref.familiar for image in gone for ref in image.references), removed, freed)

    async def _set_name(
        self,
        reference: str,
        image_id: Digest,
        manifest: Digest | None = None,
        digest: Digest | None = None,
    ) -> None:
        """Let a reference stand for an image; the image that loses its only name by that becomes nameless."""
        before = self._names.get(reference)
        if before is not None and before.image_id != image_id and not is_digest(reference):
            others = [name for name in self._names.list() if name.image_id == before.image_id]
            if len(others) == 1:
                await self._names.set(NamedImage(before.image_id, before.image_id, before.manifest))
        if is_digest(reference) and any(name.image_id == image_id for name in self._names.list()):
            return
        await self._names.set(NamedImage(reference, image_id, manifest, digest))
        if not is_digest(reference) and self._names.get(image_id) is not None:
            await self._names.delete(image_id)

    async def collect(self) -> tuple[tuple[Digest, ...], int]:
        """Remove what nothing leads to any more; return what went, and how many bytes of files that frees.

        What is garbage is decided, and made unknown, in one turn of the loop, so that nobody can begin to need it
        meanwhile; the files are moved away while nothing can get its name, and removed afterwards.
        """
        async with self.ingest.placing:
            blobs = await uninterrupted(lambda: tuple(self.blobs.list()))
            garbage = reach.compute_garbage(
                self._current_roots(), images=self.catalog.configs, layers=self.layers.all(), blobs=blobs
            )
            freed = sum(layer.size for layer in self.layers.all() if layer.key in garbage.layers)
            for key in garbage.layers:
                self.layers.forget(key)
            for digest in garbage.blobs:
                self.catalog.configs.pop(digest, None)
            remains, blob_bytes = await uninterrupted(self._move_away, garbage)
        self.trash.remove_later(remains)
        return (*sorted(garbage.blobs), *sorted(garbage.layers)), freed + blob_bytes

    def _current_roots(self) -> set[Digest]:
        named = self._names.list()
        roots = {name.image_id for name in named} | {name.manifest for name in named if name.manifest}
        roots |= {name.digest for name in named if name.digest}
        records = self.roots.records()
        roots |= used_layers(records) | {record.image_id for record in records if record.image_id}
        roots |= self._leases.held()
        for more in self._roots:
            roots.update(more())
        return roots

    def _move_away(self, garbage: reach.Garbage) -> tuple[Sequence[Path | None], int]:
        moved = [self.blobs.discard(digest) for digest in garbage.blobs]
        remains = [self.layers.discard(key) for key in garbage.layers] + [path for path, _ in moved]
        return remains, sum(size for _, size in moved)

    # --- root filesystems --------------------------------------------------------------------------------------------

    async def rootfs(self, image_id: str, container_id: str, *, volatile: bool = False) -> Rootfs:
        """Mount a container's root filesystem on an image; the same call again gives the same one.

        Raises: ApiError (NotFound), HostError.
        """
        image = self.require(image_id)
        layers = self.catalog.layers(image.config)
        record = RootfsRecord(id=container_id, layers=keys_of(layers), image_id=image.id, volatile=volatile)
        return await self.roots.make(record)

    async def mount_stack(
        self, layers: Sequence[Layer], name: str, *, read_only: bool = False, below: Path | None = None
    ) -> Rootfs:
        """Mount layers, bottom first, for a build step: read-write over a new upper, or only to be read.

        `below` is a directory that lies beneath them. Raises: UserError (too many layers), HostError.
        """
        record = RootfsRecord(
            id=name,
            layers=keys_of(layers),
            read_only=read_only,
            volatile=not read_only,
            below=str(below or ""),
        )
        return await self.roots.make(record)

    async def commit_stack(
        self,
        name: str,
        *,
        lease: Lease | None = None,
        on_progress: OnProgress | None = None,
        newest_s: int | None = None,
    ) -> Layer:
        """Unmount what `mount_stack` mounted, and make a layer of what was written there; nothing is copied.

        Files newer than `newest_s` (unix seconds) get that time.
        Raises: UserError for a file that no layer can hold, HostError.
        """
        upper = self._layout.ingest / f"upper-{name}"
        try:
            rootfs = await self.roots.take_upper(name, upper)
            return await self.ingest.commit_upper(
                upper,
                move=True,
                lease=lease,
                on_progress=on_progress,
                newest_s=newest_s,
                below=rootfs.plan.lowers,
            )
        except BaseException:
            await self.ingest.give_up(upper)  # it may have been taken, and nobody got it
            raise
        finally:
            await self.release(name)

    async def release(self, container_id: str) -> None:
        """Unmount and remove a root filesystem; nothing happens when there is none."""
        self.trash.remove_later([await self.roots.release(container_id)])

    async def release_all_but(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Release all root filesystems that nobody wants after a restart; return their ids."""
        keep = frozenset(wanted)
        known = {record.id for record in self.roots.records()}
        gone = tuple(sorted((known | self.roots.mounted()) - keep))
        for container_id in gone:
            await self.release(container_id)
        return gone

    async def wipe(self) -> None:
        """Unmount everything; the directory can then be removed."""
        await self.release_all_but(())
        for target in mounts.mounts_below(str(self._layout.root)):
            with suppress(PinnaceError):
                mounts.unmount(target)
