"""Asks a registry for a manifest whose configuration is of a kind of our own, or an image's. A job of the worker process.

Used for build caches, which are layers with a document that says what made them.
Invariant: as in `fetch`: both documents have the digests by which they were asked for.
"""

from __future__ import annotations

import msgspec

from pinnace.base.errors import ApiError, UserError
from pinnace.image.registry.challenge import Token
from pinnace.image.registry.client import Access, Client, Report
from pinnace.image.registry.endpoints import Endpoint
from pinnace.image.registry.fetch import Document, FetchJob, get_config, get_manifest
from pinnace.image.registry.platforms import choose_manifest
from pinnace.image.registry.refusals import Trouble
from pinnace.oci import media_types
from pinnace.oci.manifest import Manifest, Platform, decode_index, decode_manifest, kind_of_manifest


class ArtifactJob(msgspec.Struct, frozen=True, kw_only=True):
    """Get what `name` (a tag or a digest) stands for, if its configuration is of one of `config_types`."""

    access: Access
    name: str
    platform: Platform
    config_types: tuple[str, ...]


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest and its configuration, and what worked on the way."""

    manifest: Document
    config: Document
    endpoint: Endpoint
    tokens: tuple[Token, ...]


def fetch_artifact(job: ArtifactJob, report: Report) -> Artifact:
    """Do an `ArtifactJob`. Raises: ApiError, UserError (it is something else), HostError."""
    with Client(job.access, report) as client:
        return client.anywhere(lambda: client.patiently(lambda: _guarded(client, job)))


def _guarded(client: Client, job: ArtifactJob) -> Artifact:
    try:
        return _fetch(client, job)
    except UserError as error:
        raise Trouble(error) from error
    except ApiError as error:
        raise Trouble(error) from error


def _fetch(client: Client, job: ArtifactJob) -> Artifact:
    name = job.access.name
    ask = FetchJob(access=job.access, name=job.name, platform=job.platform)
    found = get_manifest(client, ask, job.name, None)
    if kind_of_manifest(found.data, found.media_type, where=f"the manifest of {name}") is not Manifest:
        index = decode_index(found.data, where=f"the index of {name}")
        entry = choose_manifest(index.manifests, job.platform, name)
        found = get_manifest(client, ask, entry.digest, entry)
    manifest = decode_manifest(found.data, where=f"the manifest of {name}")
    if manifest.config.media_type not in job.config_types:
        raise UserError(f"{name} is of another kind: {manifest.config.media_type}")
    for layer in manifest.layers:
        media_types.compression_of(layer.media_type)
    config = get_config(client, ask, manifest.config)
    return Artifact(manifest=found, config=config, endpoint=client.endpoint, tokens=client.tokens)
