"""Asks a registry what an image is: its manifest for a platform, and its configuration. A job of the worker process.

Invariant: every document that comes out has the digest by which it was asked for, and is of a type that we know.
"""

from __future__ import annotations

import hashlib

import msgspec

from pinnace.base.errors import ApiError, UserError
from pinnace.image.overlay import LAYERS_MAX
from pinnace.image.registry.challenge import Token
from pinnace.image.registry.client import Access, Client, Report
from pinnace.image.registry.connection import Answer
from pinnace.image.registry.endpoints import Endpoint
from pinnace.image.registry.platforms import choose_manifest
from pinnace.image.registry.refusals import Trouble
from pinnace.oci import media_types
from pinnace.oci.digest import Digest, digest_of, is_digest
from pinnace.oci.manifest import (
    Descriptor,
    Index,
    Manifest,
    Platform,
    decode_index,
    decode_manifest,
    kind_of_manifest,
)

MANIFEST_MAX_BYTES = 4 << 20  # Source: distribution-spec v1.1, "Pushing Manifests": at least 4 MiB are taken
CONFIG_MAX_BYTES = 8 << 20
NESTED_MAX = 3
ACCEPT = ", ".join(
    (
        media_types.OCI_INDEX,
        media_types.DOCKER_MANIFEST_LIST,
        media_types.OCI_MANIFEST,
        media_types.DOCKER_MANIFEST,
    )
)


class FetchJob(msgspec.Struct, frozen=True, kw_only=True):
    """Find the image that `name` (a tag or a digest) stands for.

    `known`: when the name still leads to this digest, nothing more is asked.
    """

    access: Access
    name: str
    platform: Platform
    known: Digest | None = None


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest, an index or a configuration as it came."""

    digest: Digest
    media_type: str
    data: bytes


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What the name leads to: `top` (an index, or the manifest itself), the platform's manifest and the configuration.

    All three are None when the digest is the one that was `known`. `access` is what later jobs should go on with.
    """

    digest: Digest
    endpoint: Endpoint
    tokens: tuple[Token, ...]
    top: Document | None = None
    manifest: Document | None = None
    config: Document | None = None


def fetch_image(job: FetchJob, report: Report) -> Fetched:
    """Do a `FetchJob`. Raises: ApiError, UserError, HostError; see `ImageStore.pull`."""
    with Client(job.access, report) as client:
        return client.anywhere(lambda: _guarded(client, job))


def _guarded(client: Client, job: FetchJob) -> Fetched:
    """Let a document that is no good count as a trouble of this address: another one may have a better one."""
    try:
        return _fetch(client, job)
    except UserError as error:
        raise Trouble(error) from error


def _fetch(client: Client, job: FetchJob) -> Fetched:
    name = job.access.name
    digest = Digest(job.name) if is_digest(job.name) else _head(client, job)
    if digest is not None and digest == job.known:
        return Fetched(digest=digest, endpoint=client.endpoint, tokens=client.tokens)
    top = get_manifest(client, job, digest or job.name, None)
    chosen = top
    for _ in range(NESTED_MAX):
        where = f"the manifest of {name}"
        if kind_of_manifest(chosen.data, chosen.media_type, where=where) is Manifest:
            manifest = decode_manifest(chosen.data, where=where)
            check_layers(manifest, name)
            config = get_config(client, job, manifest.config)
            return Fetched(
                digest=top.digest,
                endpoint=client.endpoint,
                tokens=client.tokens,
                top=top,
                manifest=chosen,
                config=config,
            )
        index = decode_index(chosen.data, where=f"the index of {name}")
        try:
            entry = choose_manifest(index.manifests, job.platform, name)
        except ApiError as error:
            raise Trouble(error) from error
        chosen = get_manifest(client, job, entry.digest, entry)
    raise UserError(f"{name} is an index of indexes of indexes: refused")


def check_layers(manifest: Manifest, name: str) -> None:
    """Refuse what is no image that could run, before anything travels. Raises: UserError."""
    if manifest.config.media_type not in media_types.CONFIGS:
        raise UserError(
            f"{name} is no image: its configuration has the media type {manifest.config.media_type!r}",
            hint="other OCI artifacts (charts, signatures, models) can't be run",
        )
    if len(manifest.layers) > LAYERS_MAX:
        raise UserError(
            f"{name} has {len(manifest.layers)} layers, more than the {LAYERS_MAX} that can be mounted"
        )
    for layer in manifest.layers:
        media_types.compression_of(layer.media_type)
    for blob in (manifest.config, *manifest.layers):
        if not blob.digest.startswith("sha256:"):
            raise UserError(f"{name} names a blob by {blob.digest}: only sha256 is supported")


def _head(client: Client, job: FetchJob) -> Digest | None:
    """Return the digest that a tag leads to, if the registry says so: asking costs nothing where pulls are counted."""
    try:
        answer = client.patiently(
            lambda: client.ask(
                "HEAD", f"manifests/{job.name}", what=_what(job, job.name), headers={"Accept": ACCEPT}
            ),
            unless_answered=True,
        )
    except Trouble as trouble:
        if not trouble.status:
            raise
        client.wait(trouble.after_s or 0.0, trouble)
        return None  # a refusal of HEAD has no words; the GET that follows says why
    answer.finish()
    said = answer.headers.get("Docker-Content-Digest", "")
    return Digest(said) if is_digest(said) else None


def get_manifest(client: Client, job: FetchJob, name: str, entry: Descriptor | None) -> Document:
    """Return a manifest or an index, whose digest is what was asked for. Raises: Trouble, UserError."""
    what = _what(job, name if entry is not None else job.name)
    headers = {"Accept": ACCEPT}
    answer, data = client.patiently(
        lambda: _read(
            client.ask("GET", f"manifests/{name}", what=what, headers=headers), MANIFEST_MAX_BYTES, what
        )
    )
    digest = digest_of(data)
    said = answer.headers.get("Docker-Content-Digest", "")
    expected = Digest(name) if is_digest(name) else said
    if is_digest(expected) and not _same(expected, digest, data):
        raise UserError(
            f"{what} has the digest {digest}, but {expected} was asked for",
            hint="the registry is damaged, or somebody between changes what it says: don't use it",
        )
    if entry is not None and entry.size != len(data):
        raise UserError(f"{what} has {len(data)} bytes, but its index says {entry.size}")
    media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    if media_type in ("application/json", "text/plain", "application/octet-stream"):
        media_type = ""  # a registry of files; the document itself says what it is
    kind = kind_of_manifest(data, media_type, where=what)
    media_type = _own_type(data) or media_type
    if not media_type:
        media_type = media_types.OCI_INDEX if kind is Index else media_types.OCI_MANIFEST
    return Document(digest=digest, media_type=media_type, data=data)


class _Typed(msgspec.Struct, rename="camel"):
    media_type: str = ""


def _own_type(data: bytes) -> str:
    return msgspec.json.decode(data, type=_Typed).media_type


def _same(expected: str, digest: Digest, data: bytes) -> bool:
    algorithm, _, digits = expected.partition(":")
    return expected == digest or (
        algorithm != "sha256" and hashlib.new(algorithm, data).hexdigest() == digits
    )


def get_config(client: Client, job: FetchJob, config: Descriptor) -> Document:
    """Return a configuration, whose digest is what the manifest says. Raises: Trouble, UserError."""
    what = f"the configuration {config.digest} of {job.access.name}"
    if config.size > CONFIG_MAX_BYTES:
        raise UserError(
            f"{what} claims {config.size} bytes, more than the {CONFIG_MAX_BYTES} that it may have"
        )
    _, data = client.patiently(
        lambda: _read(client.ask("GET", f"blobs/{config.digest}", what=what), CONFIG_MAX_BYTES, what)
    )
    if digest_of(data) != config.digest:
        raise UserError(
            f"{what} has the digest {digest_of(data)}",
            hint="the registry is damaged, or somebody between changes what it says: don't use it",
        )
    return Document(digest=config.digest, media_type=config.media_type, data=data)


def _read(answer: Answer, most: int, what: str) -> tuple[Answer, bytes]:
    if answer.length is not None and answer.length > most:
        answer.close()
        raise UserError(f"{what} claims {answer.length} bytes, more than the {most} that it may have")
    return answer, answer.body(most)


def _what(job: FetchJob, name: str) -> str:
    return f"manifest for {job.access.name}{'@' if is_digest(name) else ':'}{name}"
