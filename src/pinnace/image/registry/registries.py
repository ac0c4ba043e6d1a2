"""Pulls, pushes and look-ups: the doer between the image store and the jobs that speak to registries.

Made and called by `store`. Bodies of blobs never pass the daemon's process.
Invariant: a name changes only when all that it leads to is here, verified and on disk.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from msgspec.structs import replace

from pinnace.base.errors import ApiError, PinnaceError, Reason, UserError
from pinnace.image.blobs import Blobs
from pinnace.image.catalog import Catalog
from pinnace.image.ingest import Ingest
from pinnace.image.layers import Layer, Layers
from pinnace.image.leases import Lease, Leases
from pinnace.image.names import ImageNames, NamedImage
from pinnace.image.platforms import host_architecture
from pinnace.image.registry.artifacts import Artifact, ArtifactJob, fetch_artifact
from pinnace.image.registry.challenge import Token
from pinnace.image.registry.client import Access
from pinnace.image.registry.endpoints import Endpoint, compute_endpoints
from pinnace.image.registry.fetch import Document, Fetched, FetchJob, fetch_image
from pinnace.image.registry.news import OnNews, Pulled, Pushed, Remote
from pinnace.image.registry.platforms import fits, parse_platform, render_platform
from pinnace.image.registry.pulls import Pulls
from pinnace.image.registry.pushes import Pushes
from pinnace.image.registry.questions import LoginJob, TagsJob, check_login, list_tags
from pinnace.image.registry.settings import RegistrySettings
from pinnace.image.rootfs import keys_of
from pinnace.image.threads import uninterrupted
from pinnace.image.views import Image
from pinnace.image.workers import Workers
from pinnace.oci.config import ImageConfig, decode_config
from pinnace.oci.credentials import Credential, Keyring
from pinnace.oci.digest import Digest
from pinnace.oci.manifest import Descriptor, Platform, decode_manifest
from pinnace.oci.reference import Reference, parse_reference

TALKERS = 2  # workers beyond those that carry layers, so that a question never waits for a download
TOKENS_KEPT = 256

# Stores a configuration whose layers are there, and names it: data, config, layers, reference, manifest, digest.
NameIt = Callable[[bytes, ImageConfig, Sequence[Layer], str, Digest, Digest], Awaitable[Image]]


class Registries:
    """The registries that one store speaks to."""

    def __init__(
        self,
        settings: RegistrySettings,
        *,
        names: ImageNames,
        catalog: Catalog,
        layers: Layers,
        blobs: Blobs,
        ingest: Ingest,
        leases: Leases,
        name_it: NameIt,
    ) -> None:
        self.settings = settings
        self._names = names
        self._catalog = catalog
        self._blobs = blobs
        self._ingest = ingest
        self._leases = leases
        self._name_it = name_it
        self._tokens: dict[tuple[str, str, Credential | None], Token] = {}
        self._working: dict[str, Endpoint] = {}
        self._workers = Workers(limit=settings.layers_at_once + TALKERS)
        self._pulls = Pulls(layers, blobs, ingest, leases, self._workers, settings.layers_at_once)
        packing = min(
            settings.layers_at_once, max(2, os.cpu_count() or 1)
        )  # more would only wait for processors
        self._pushes = Pushes(layers, blobs, names, self._workers, packing)

    async def close(self) -> None:
        """End what is under way."""
        await self._pulls.close()
        await self._workers.close()

    # --- pull --------------------------------------------------------------------------------------------------------

    async def pull(
        self, text: str, keyring: Keyring, platform: str, on_news: OnNews | None, lease: Lease | None
    ) -> Pulled:
        """Bring an image in. Raises: see `ImageStore.pull`."""
        started = time.monotonic()
        reference = parse_reference(text)
        if reference.digest is not None:
            reference = reference.with_digest(reference.digest)  # the digest decides, as for Docker
        wanted = parse_platform(platform, host_architecture())
        before = self._names.get(str(reference))
        with self._leases.open(f"pull {reference.familiar}") as own:
            known = self._known(before, wanted, own)
            access, fetched = await self._fetch(reference, keyring, wanted, known)
            if fetched.manifest is None or fetched.config is None or fetched.top is None:
                assert before is not None
                image = self._catalog.image(before.image_id)
                self._hold(lease, image.id, *keys_of(self._catalog.layers(image.config)))
                return Pulled(
                    image=image,
                    digest=fetched.digest,
                    is_new=False,
                    received=0,
                    seconds=time.monotonic() - started,
                )
            config = _decode_image(fetched.config, reference)
            if platform:
                check_config(config, wanted, reference)
            manifest = decode_manifest(fetched.manifest.data)
            blobs = _layers_of(manifest.layers, config, reference)
            own.hold(fetched.config.digest, fetched.manifest.digest, fetched.top.digest)
            layers, received = await self._pulls.receive_all(
                access, blobs, config.rootfs.diff_ids, own, on_news
            )
            await self._write((fetched.manifest.data, fetched.top.data))
            self._hold(
                lease, fetched.config.digest, fetched.manifest.digest, fetched.top.digest, *keys_of(layers)
            )
            image = await self._name_it(
                fetched.config.data,
                config,
                layers,
                str(reference),
                fetched.manifest.digest,
                fetched.top.digest,
            )
        self._leases.release(blob.digest for blob in blobs)
        is_new = before is None or before.image_id != image.id
        return Pulled(
            image=image,
            digest=fetched.digest,
            is_new=is_new,
            received=received,
            seconds=time.monotonic() - started,
        )

    def _known(self, before: NamedImage | None, wanted: Platform, lease: Lease) -> Digest | None:
        """Return the digest of what is here whole under a name; held, so that it stays so."""
        if before is None or before.digest is None:
            return None
        try:
            image = self._catalog.image(before.image_id)
            layers = self._catalog.layers(image.config)
        except PinnaceError:
            return None
        if not fits(wanted, platform_of(image.config)):
            return None
        lease.hold(image.id, *keys_of(layers))
        return before.digest

    def _hold(self, lease: Lease | None, *digests: Digest) -> None:
        if lease is not None:
            lease.hold(*digests)

    async def _write(self, documents: Iterable[bytes]) -> None:
        async with self._ingest.placing:
            for data in documents:
                await uninterrupted(self._blobs.write, data)

    # --- look up -----------------------------------------------------------------------------------------------------

    async def look_up(self, text: str, keyring: Keyring, platform: str) -> Remote:
        """Ask what an image is. Raises: see `ImageStore.look_up`."""
        reference = parse_reference(text)
        wanted = parse_platform(platform, host_architecture())
        _, fetched = await self._fetch(reference, keyring, wanted, None)
        assert fetched.manifest is not None and fetched.config is not None
        config = _decode_image(fetched.config, reference)
        if platform:
            check_config(config, wanted, reference)
        return Remote(
            digest=fetched.digest,
            manifest=fetched.manifest.digest,
            config=config,
            image_id=fetched.config.digest,
        )

    async def _fetch(
        self, reference: Reference, keyring: Keyring, wanted: Platform, known: Digest | None
    ) -> tuple[Access, Fetched]:
        access = await self._access(reference, keyring)
        job = FetchJob(access=access, name=reference.digest or reference.tag, platform=wanted, known=known)
        fetched = await self._workers.call(fetch_image, job)
        return self._learn(access, fetched.endpoint, fetched.tokens), fetched

    # --- push --------------------------------------------------------------------------------------------------------

    async def push(
        self,
        text: str,
        keyring: Keyring,
        on_news: OnNews | None,
        annotations: Mapping[str, str] | None = None,
    ) -> Pushed:
        """Send an image out. Raises: see `ImageStore.push`."""
        started = time.monotonic()
        reference = parse_reference(text)
        if reference.digest is not None:
            raise UserError(
                f"cannot push a digest reference: {text}", hint="push a name with a tag: NAME:TAG"
            )
        named = self._names.get(str(reference))
        if named is None:
            raise ApiError(
                Reason.NOT_FOUND,
                f"An image does not exist locally with the tag: {reference.familiar}",
                kind="images",
                name=text,
                hint=f"pinnace images lists what is here; give one this name with: pinnace tag IMAGE {reference.familiar}",
            )
        with self._leases.open(f"push {reference.familiar}") as lease:
            image = self._catalog.image(named.image_id)
            layers = self._catalog.layers(image.config)
            lease.hold(image.id, *keys_of(layers), *filter(None, (named.manifest, named.digest)))
            access = await self._access(reference, keyring, actions="pull,push")
            pushed, access = await self._pushes.push(
                access, reference, named, layers, on_news, self._learn, annotations
            )
            await self._write((pushed.data,))
            lease.hold(pushed.digest)
            current = self._names.get(str(reference))
            if current is not None and current.image_id == named.image_id:
                await self._names.set(
                    NamedImage(str(reference), named.image_id, pushed.digest, pushed.digest)
                )
        return Pushed(
            digest=pushed.digest,
            size=len(pushed.data),
            sent=pushed.sent,
            seconds=time.monotonic() - started,
        )

    # --- artifacts: layers with a document of another kind -------------------------------------------------------------

    async def fetch_artifact(
        self, text: str, keyring: Keyring, platform: str, config_types: Sequence[str]
    ) -> tuple[Access, Artifact]:
        """Return what a name stands for, whose configuration is of one of some kinds. Raises: see `ImageStore.pull`."""
        reference = parse_reference(text)
        access = await self._access(reference, keyring)
        job = ArtifactJob(
            access=access,
            name=reference.digest or reference.tag,
            platform=parse_platform(platform, host_architecture()),
            config_types=tuple(config_types),
        )
        found = await self._workers.call(fetch_artifact, job)
        return self._learn(access, found.endpoint, found.tokens), found

    async def receive_layers(
        self,
        access: Access,
        blobs: Sequence[Descriptor],
        diff_ids: Sequence[Digest],
        lease: Lease,
        on_news: OnNews | None = None,
    ) -> tuple[Layer, ...]:
        """Return the layers of a stack, bottom first; those that are here are not asked for. Raises: see `ImageStore.pull`."""
        layers, _ = await self._pulls.receive_all(access, blobs, diff_ids, lease, on_news)
        self._leases.release(blob.digest for blob in blobs)
        return layers

    async def send_artifact(
        self,
        text: str,
        keyring: Keyring,
        layers: Sequence[Layer],
        config: bytes,
        config_type: str,
        on_news: OnNews | None = None,
    ) -> Digest:
        """Send layers and a document about them under a name; return the manifest's digest. Raises: see `ImageStore.push`."""
        reference = parse_reference(text)
        access = await self._access(reference, keyring, actions="pull,push")
        manifest, _ = await self._pushes.push_artifact(
            access, reference, layers, config, config_type, on_news, self._learn
        )
        return manifest.digest

    # --- questions ---------------------------------------------------------------------------------------------------

    async def check_login(self, domain: str, credential: Credential) -> str:
        """Ask a registry whether it knows somebody. Raises: see `ImageStore.check_login`."""
        access = Access(
            domain=domain,
            repository="",
            settings=self.settings,
            credentials={domain: credential},
            actions="push",
        )
        done = await self._workers.call(check_login, LoginJob(access=access))
        return done.identity_token

    async def tags(self, text: str, keyring: Keyring) -> tuple[str, ...]:
        """Return the tags of a repository. Raises: see `ImageStore.pull`."""
        access = await self._access(parse_reference(text), keyring)
        done = await self._workers.call(list_tags, TagsJob(access=access))
        self._learn(access, done.endpoint, done.tokens)
        return done.tags

    # --- who and where -----------------------------------------------------------------------------------------------

    async def _access(self, reference: Reference, keyring: Keyring, *, actions: str = "pull") -> Access:
        domain = reference.domain
        endpoints = compute_endpoints(domain, self.settings, push="push" in actions)
        credentials: dict[str, Credential] = {}
        for one in dict.fromkeys(endpoint.domain for endpoint in endpoints):
            credential = await keyring(one)
            if credential is not None:
                credentials[one] = credential
        now = time.monotonic()
        self._tokens = {key: token for key, token in self._tokens.items() if token.until > now}
        return Access(
            domain=domain,
            repository=reference.path,
            settings=self.settings,
            credentials=credentials,
            tokens=tuple(
                token for (_, _, who), token in self._tokens.items() if who == credentials.get(domain)
            ),
            own=self._working.get(domain),
            actions=actions,
        )

    def _learn(self, access: Access, endpoint: Endpoint, tokens: Sequence[Token]) -> Access:
        """Note what worked, for the next request; return the access to go on with."""
        if not endpoint.mirror:
            self._working[access.domain] = endpoint
        who = access.credentials.get(endpoint.domain)
        for token in tokens:
            if (
                token.scope and len(self._tokens) < TOKENS_KEPT
            ):  # a Basic header is made anew from the credential
                self._tokens[(token.host, token.scope, who)] = token
        return replace(access, endpoint=endpoint, tokens=tuple(tokens))


def platform_of(config: ImageConfig) -> Platform:
    """Return the platform that an image says it is for."""
    return Platform(os=config.os, architecture=config.architecture, variant=config.variant)


def check_config(config: ImageConfig, wanted: Platform, reference: Reference) -> None:
    """Refuse an image for another platform than was asked for. Raises: ApiError (NotFound)."""
    if not fits(wanted, platform_of(config)):
        raise ApiError(
            Reason.NOT_FOUND,
            f"image with reference {reference.familiar} was found but its platform ({render_platform(platform_of(config))})"
            f" does not match the specified platform ({render_platform(wanted)})",
            kind="images",
            name=reference.familiar,
            hint="leave --platform out to take it as it is",
        )


def _decode_image(document: Document, reference: Reference) -> ImageConfig:
    return decode_config(document.data, where=f"the configuration of {reference.familiar}")


def _layers_of(
    blobs: Sequence[Descriptor], config: ImageConfig, reference: Reference
) -> tuple[Descriptor, ...]:
    """Return the layers' blobs, one for each diff id. Raises: UserError when the two documents don't fit."""
    if len(blobs) != len(config.rootfs.diff_ids):
        raise UserError(
            f"the manifest of {reference.familiar} has {len(blobs)} layers, but its configuration {len(config.rootfs.diff_ids)}",
            hint="the image is damaged: it can't be used",
        )
    return tuple(blobs)
