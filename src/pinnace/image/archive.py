"""Image archives: what stands in one that `save` writes, and what one that `load` reads means. Pure.

One file serves both worlds: an OCI layout (index.json, blobs/) that is a docker-archive as well (manifest.json), as Docker
writes it since 25. Older docker-archives (<id>/layer.tar) are read too.
Source: OCI image-spec v1.1, image-layout.md; moby, image/tarexport.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from pinnace.base.errors import UserError
from pinnace.image.registry.platforms import choose_manifest
from pinnace.oci.config import decode, encode
from pinnace.oci.digest import Digest, digest_of, hex_of
from pinnace.oci.manifest import (
    Descriptor,
    Index,
    Manifest,
    Platform,
    decode_index,
    decode_manifest,
    kind_of_manifest,
)
from pinnace.oci.media_types import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from pinnace.oci.reference import Reference, parse_reference

LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
FULL_NAME = "io.containerd.image.name"
REF_NAME = "org.opencontainers.image.ref.name"
LINKS_MAX = 10


class DockerManifest(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """One image in manifest.json."""

    config: str
    repo_tags: tuple[str, ...] | None = None
    layers: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class SavedImage:
    """An image as it goes into an archive: its configuration's bytes, and its layers as blobs."""

    config: bytes
    layers: tuple[Descriptor, ...]
    references: tuple[Reference, ...]
    annotations: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image in an archive that is read: names of members, and references as they stand there."""

    config: str
    layers: tuple[str, ...]
    references: tuple[Reference, ...]


def render_documents(images: Sequence[SavedImage]) -> dict[str, bytes]:
    """Return the small members of an archive by name; the layers' blobs come beside them."""
    documents: dict[str, bytes] = {"oci-layout": LAYOUT}
    entries: list[Descriptor] = []
    docker: list[DockerManifest] = []
    for image in images:
        manifest = render_manifest(image)
        documents[blob_name(digest_of(image.config))] = image.config
        documents[blob_name(digest_of(manifest))] = manifest
        descriptor = Descriptor(media_type=OCI_MANIFEST, digest=digest_of(manifest), size=len(manifest))
        entries += [
            msgspec.structs.replace(descriptor, annotations=_annotations(reference))
            for reference in image.references
        ] or [descriptor]
        docker.append(
            DockerManifest(
                config=blob_name(digest_of(image.config)),
                repo_tags=tuple(reference.familiar for reference in image.references),
                layers=tuple(blob_name(layer.digest) for layer in image.layers),
            )
        )
    documents["index.json"] = encode(Index(schema_version=2, media_type=OCI_INDEX, manifests=tuple(entries)))
    documents["manifest.json"] = msgspec.json.encode(docker)
    return documents


def render_manifest(image: SavedImage) -> bytes:
    """Return the image's OCI manifest."""
    config = Descriptor(media_type=OCI_CONFIG, digest=digest_of(image.config), size=len(image.config))
    return encode(
        Manifest(
            schema_version=2,
            media_type=OCI_MANIFEST,
            config=config,
            layers=image.layers,
            annotations=dict(sorted(image.annotations.items())) if image.annotations else None,
        )
    )


def blob_name(digest: Digest) -> str:
    """Return where a blob stands in an archive."""
    return f"blobs/sha256/{hex_of(digest)}"


def find_images(documents: Mapping[str, bytes], wanted: Platform) -> tuple[FoundImage, ...]:
    """Return the images of an archive from its small members; of an index of platforms, the one that fits `wanted` best.

    Raises: UserError when it is none of ours or Docker's; ApiError (NotFound) when an index has nothing for `wanted`.
    """
    if "manifest.json" in documents:
        return _find_docker(documents["manifest.json"])
    if "index.json" in documents:
        return _find_oci(documents, wanted)
    raise UserError(
        "the archive has neither manifest.json nor index.json: it holds no images",
        hint="a root file system is brought in with: pinnace import FILE NAME:TAG",
    )


def follow(name: str, links: Mapping[str, str]) -> str:
    """Return the member that a name leads to through the archive's own links."""
    for _ in range(LINKS_MAX):
        target = links.get(name)
        if target is None:
            return name
        name = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    raise UserError(f"the archive's member {name} is a loop of links")


def _annotations(reference: Reference) -> dict[str, str]:
    return {FULL_NAME: str(reference), REF_NAME: reference.tag or str(reference)}


def _find_docker(data: bytes) -> tuple[FoundImage, ...]:
    manifests = decode(data, tuple[DockerManifest, ...], "the archive's manifest.json")
    return tuple(
        FoundImage(
            manifest.config,
            manifest.layers or (),
            tuple(parse_reference(tag) for tag in manifest.repo_tags or ()),
        )
        for manifest in manifests
    )


def _find_oci(documents: Mapping[str, bytes], wanted: Platform) -> tuple[FoundImage, ...]:
    found: dict[Digest, FoundImage] = {}
    for entry in decode_index(documents["index.json"], where="the archive's index.json").manifests:
        if entry.platform is not None and entry.platform.os == "unknown":
            continue  # an attestation: words about an image
        digest = _choose(documents, entry, wanted, depth=0)
        manifest = decode_manifest(_member(documents, digest), where=f"the archive's manifest {digest}")
        known = found.get(digest)
        found[digest] = FoundImage(
            blob_name(manifest.config.digest),
            tuple(blob_name(layer.digest) for layer in manifest.layers),
            (*(known.references if known else ()), *_references(entry)),
        )
    return tuple(found.values())


def _choose(documents: Mapping[str, bytes], entry: Descriptor, wanted: Platform, *, depth: int) -> Digest:
    """Return the manifest that an entry leads to, through indexes of platforms."""
    where = f"the archive's manifest {entry.digest}"
    data = _member(documents, entry.digest)
    if kind_of_manifest(data, entry.media_type, where=where) is not Index:
        return entry.digest
    if depth >= LINKS_MAX:
        raise UserError(f"{where} is an index of indexes of indexes without an end")
    name = next((str(one) for one in _references(entry)), entry.digest)
    inner = choose_manifest(decode_index(data, where=where).manifests, wanted, name)
    return _choose(documents, inner, wanted, depth=depth + 1)


def _member(documents: Mapping[str, bytes], digest: Digest) -> bytes:
    data = documents.get(blob_name(digest))
    if data is None:
        raise UserError(
            f"the archive lacks {blob_name(digest)}, which its index names", hint="is it complete?"
        )
    return data


def _references(entry: Descriptor) -> tuple[Reference, ...]:
    annotations = entry.annotations or {}
    name = annotations.get(FULL_NAME) or annotations.get(REF_NAME, "")
    # a bare tag names nothing: skopeo and buildx write one when they were given no name
    return (parse_reference(name),) if "/" in name or ":" in name else ()
