"""The images that one build stands on (FROM, --from=IMAGE): found here, or asked for at their registries. A doer.

The planner asks `find`, which never waits: an image that nobody has looked up yet gets an empty configuration and is
remembered, and after `resolve` the build is planned anew. So only what the target needs is asked for, side by side.
Layers are pulled when the first step needs files, whole images at a time.
Invariant: one reference means one image for the whole build, whatever its registry says meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, PinnaceError, Reason
from pinnace.base.locks import KeyedLocks
from pinnace.build.platforms import Platform, fits, normalize
from pinnace.build.plies import Plies, Ply, ply_of
from pinnace.build.progress import BaseNews, Tell
from pinnace.image.layers import Layer
from pinnace.image.leases import Lease
from pinnace.image.registry.news import LayerNews, Remote
from pinnace.image.store import ImageStore
from pinnace.image.views import Image, created_at
from pinnace.oci.config import ImageConfig, RootFs
from pinnace.oci.credentials import Keyring
from pinnace.oci.digest import Digest
from pinnace.oci.reference import parse_reference

NEEDS_REGISTRY = (
    "it is not here; is the name right, and does its registry answer? pinnace images lists what is here"
)

Key = tuple[str, Platform]


@dataclass(frozen=True, slots=True)
class Base:
    """An image that a build stands on; `pull` is what to pull when its files are needed, "" when they are here."""

    id: Digest
    config: ImageConfig
    pull: str = ""
    manifest: Digest = Digest("")

    @property
    def created(self) -> float:
        return created_at(self.config)


class Bases:
    """The images of one build. `refresh`: the registry decides what a name means, also where the image is here."""

    def __init__(
        self,
        images: ImageStore,
        clock: Clock,
        lease: Lease,
        keyring: Keyring,
        tell: Tell,
        *,
        here: str,
        refresh: bool = False,
    ) -> None:
        self._images = images
        self._clock = clock
        self._lease = lease
        self._keyring = keyring
        self._tell = tell
        self._here = normalize("linux", here)
        self._refresh = refresh
        self._known: dict[Key, Base | PinnaceError] = {}
        self._wanted: dict[Key, None] = {}
        self._locks = KeyedLocks()

    @property
    def is_complete(self) -> bool:
        """Say whether everything that was asked for is known."""
        return not self._wanted

    def find(self, reference: str, platform: Platform) -> ImageConfig | None:
        """Return an image's configuration; an empty one while it is not known. Raises: what its registry said."""
        key = reference, platform
        known = self._known.get(key)
        if isinstance(known, PinnaceError):
            raise known
        if known is not None:
            return known.config
        local = None if self._refresh and parse_name_of(reference) else self._find_here(reference, platform)
        if local is not None:
            self._lease.hold(local.id)
            self._known[key] = Base(local.id, local.config)
            return local.config
        self._wanted[key] = None
        return ImageConfig(architecture=platform.architecture, os=platform.os, rootfs=RootFs())

    def _find_here(self, reference: str, platform: Platform) -> Image | None:
        image = self._images.resolve(reference)
        if image is None:
            return None
        found = normalize(image.config.os, image.config.architecture, image.config.variant)
        return image if fits(found, platform) else None

    async def resolve(self) -> None:
        """Ask the registries for all that was asked for in vain; what they refuse is raised by `find` afterwards."""
        wanted = list(self._wanted)
        self._wanted.clear()
        async with asyncio.TaskGroup() as group:
            for key in wanted:
                group.create_task(self._look_up(key), name=f"build/look up {key[0]}")

    async def _look_up(self, key: Key) -> None:
        reference, platform = key
        began = self._clock.monotonic()
        self._tell(BaseNews(reference=reference, state="resolving"))
        try:
            full = str(parse_reference(reference))
            remote = await self._images.look_up(
                full, keyring=self._keyring, platform=self._platform_text(platform)
            )
            if platform == self._here and self._images.resolve(remote.image_id) is not None:
                # it is here under another name: that the registry calls it so too is noted, and nothing travels
                await self._images.pull(full, keyring=self._keyring, lease=self._lease)
            self._known[key] = self._read_remote(full, platform, remote)
        except PinnaceError as error:
            self._tell(BaseNews(reference=reference, state="failed"))
            self._known[key] = self._explain(error, reference, platform)
            return
        seconds = self._clock.monotonic() - began
        self._tell(BaseNews(reference=reference, state="done", seconds=seconds))

    def _read_remote(self, reference: str, platform: Platform, remote: Remote) -> Base:
        """Return what was looked up. What is pulled later is that very manifest, whatever its tag then means."""
        if self._images.resolve(remote.image_id) is not None:
            self._lease.hold(remote.image_id)
            return Base(remote.image_id, remote.config)
        name = parse_reference(reference)
        if platform != self._here or name.digest is not None:
            # a foreign image must not take the name away from this machine's own
            return Base(
                remote.image_id, remote.config, str(name.with_digest(remote.manifest)), remote.manifest
            )
        return Base(remote.image_id, remote.config, reference, remote.manifest)

    def _explain(self, error: PinnaceError, reference: str, platform: Platform) -> PinnaceError:
        local = self._images.resolve(reference)
        hint = error.hint
        if local is not None and self._refresh:
            hint = "without --pull the image that is here is used"
        elif local is not None:
            found = normalize(local.config.os, local.config.architecture, local.config.variant)
            hint = f"the image of that name that is here is for {found}, not for {platform}"
        elif not hint:
            hint = NEEDS_REGISTRY
        message = f"{reference}: {error.message}" if reference not in error.message else error.message
        reason = error.reason if isinstance(error, ApiError) else Reason.NOT_FOUND
        if isinstance(error, ApiError):
            return ApiError(reason, message, hint=hint, retry_after_s=error.retry_after_s)
        return type(error)(message, hint=hint)

    def _platform_text(self, platform: Platform) -> str:
        return "" if platform == self._here else str(platform)

    # --- layers ------------------------------------------------------------------------------------------------------

    def require(self, reference: str, platform: Platform) -> Base:
        """Return an image that was planned with."""
        known = self._known[reference, platform]
        assert isinstance(known, Base)
        return known

    def plies(self, reference: str, platform: Platform) -> Plies:
        """Return the layers of an image that was planned with, bottom first; they may still be in a registry."""
        base = self.require(reference, platform)
        if not base.pull:
            return tuple(map(ply_of, self._hold(base)))

        source = _Pull(self, base, reference, platform)
        return tuple(Ply(diff_id, source=source) for diff_id in base.config.rootfs.diff_ids)

    def _hold(self, base: Base) -> tuple[Layer, ...]:
        layers = self._images.catalog.layers(base.config)
        self._lease.hold(base.id, *(layer.key for layer in layers))
        return layers

    async def pull(self, base: Base, reference: str, platform: Platform) -> None:
        """Bring a whole image in, once for all who wait for it."""
        async with self._locks.hold(base.id):
            if self._images.resolve(base.id) is not None:
                self._hold(base)
                return
            began = self._clock.monotonic()

            def tell(layer: LayerNews) -> None:
                self._tell(BaseNews(reference=reference, state="pulling", layer=layer))

            async def pull(name: str) -> Digest:
                pulled = await self._images.pull(
                    name,
                    keyring=self._keyring,
                    platform=self._platform_text(platform),
                    on_news=tell,
                    lease=self._lease,
                )
                return pulled.image.id

            try:
                if await pull(base.pull) != base.id:  # the tag was moved since it was looked up
                    await pull(str(parse_reference(reference).with_digest(base.manifest)))
            except PinnaceError:
                self._tell(BaseNews(reference=reference, state="failed"))
                raise
            self._hold(base)
            seconds = self._clock.monotonic() - began
            self._tell(BaseNews(reference=reference, state="done", seconds=seconds))


@dataclass(frozen=True, slots=True, eq=False)
class _Pull:
    """Brings the layers of one image, all at once."""

    bases: Bases
    base: Base
    reference: str
    platform: Platform

    async def bring(self, diff_ids: Sequence[Digest], start: int) -> None:
        await self.bases.pull(self.base, self.reference, self.platform)


def parse_name_of(reference: str) -> bool:
    """Say whether something that names an image is a name, not an id."""
    try:
        parse_reference(reference)
    except PinnaceError:
        return False
    return True
