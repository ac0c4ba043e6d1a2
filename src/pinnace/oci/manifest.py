"""Manifests and indexes, OCI's and Docker's schema 2, which differ only in their media types.

Pure. Source: OCI image-spec v1.1, manifest.md, image-index.md, descriptor.md.
"""

from __future__ import annotations

import msgspec

from pinnace.base.errors import UserError
from pinnace.oci import media_types
from pinnace.oci.config import decode
from pinnace.oci.digest import Digest, parse_digest


class Platform(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The machine that an index's entry is for."""

    architecture: str
    os: str
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: tuple[str, ...] | None = msgspec.field(default=None, name="os.features")
    variant: str = ""


class Descriptor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A blob by type, digest and size. Units: bytes."""

    media_type: str
    digest: Digest
    size: int
    urls: tuple[str, ...] | None = None
    annotations: dict[str, str] | None = None
    platform: Platform | None = None
    artifact_type: str = ""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """One image: its configuration and its layers, bottom first."""

    schema_version: int
    media_type: str = ""
    artifact_type: str = ""
    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None


class Index(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Manifests of one image for several platforms."""

    schema_version: int
    media_type: str = ""
    artifact_type: str = ""
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None


class _Outline(msgspec.Struct, rename="camel"):
    schema_version: int = 0
    media_type: str = ""
    manifests: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    layers: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def kind_of_manifest(
    data: bytes, media_type: str = "", *, where: str = "the manifest"
) -> type[Manifest] | type[Index]:
    """Say whether `data` is a manifest or an index.

    `media_type` is what the transport said; the document's own counts first, then what it holds.
    Raises: UserError for Docker's schema 1, another type, or a document that claims to be both (CVE-2021-41190).
    """
    outline = decode(data, _Outline, where)
    if outline.schema_version == 1 or media_type in media_types.DOCKER_SCHEMA_1:
        raise UserError(
            f"{where} is a Docker schema 1 manifest, which registries stopped serving in 2024",
            hint="push the image anew with a current client",
        )
    has_manifests, has_layers = outline.manifests is not msgspec.UNSET, outline.layers is not msgspec.UNSET
    if has_manifests and has_layers:
        raise UserError(f"{where} has both 'manifests' and 'layers': it can't be trusted")
    said = outline.media_type or media_type
    if said in media_types.INDEXES and has_manifests:
        return Index
    if said in media_types.MANIFESTS and has_layers:
        return Manifest
    if not said and (has_manifests or has_layers):
        return Index if has_manifests else Manifest
    raise UserError(
        f"{where} has the media type {said!r}, which is neither an image manifest nor an image index"
    )


def decode_manifest(data: bytes, *, where: str = "the manifest") -> Manifest:
    """Return the manifest in `data`. Raises: UserError."""
    manifest = decode(data, Manifest, where)
    _check(where, manifest.schema_version, (manifest.config, *manifest.layers))
    return manifest


def decode_index(data: bytes, *, where: str = "the image index") -> Index:
    """Return the index in `data`. Raises: UserError."""
    index = decode(data, Index, where)
    _check(where, index.schema_version, index.manifests)
    return index


def _check(where: str, schema_version: int, descriptors: tuple[Descriptor, ...]) -> None:
    if schema_version != 2:
        raise UserError(f"{where} has schemaVersion {schema_version}, expected 2")
    for descriptor in descriptors:
        parse_digest(descriptor.digest)
        if descriptor.size < 0:
            raise UserError(f"{where}: {descriptor.digest} has the size {descriptor.size}")
