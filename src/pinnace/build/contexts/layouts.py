"""Reads an OCI layout folder, for `--build-context NAME=oci-layout://FOLDER[:TAG][@DIGEST]`: one image of it. A doer.

What is chosen here goes to the image store as an archive with just that image, which verifies every digest.
Source: OCI image-spec v1.1, image-layout.md; docker buildx, --build-context.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
from pathlib import Path

import msgspec

from pinnace.base.errors import UserError
from pinnace.oci.digest import Digest, hex_of

REF_NAME = "org.opencontainers.image.ref.name"
DOCUMENT_MAX_BYTES = 4 << 20
DEFAULT_TAG = "latest"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class LayoutJob(msgspec.Struct, frozen=True, kw_only=True):
    """Write one image of a layout, said as FOLDER[:TAG][@DIGEST], to the new archive `target`; `architecture` chooses."""

    value: str
    target: str
    architecture: str


class Blob(msgspec.Struct, frozen=True, rename="camel"):
    """What a layout says of a blob."""

    digest: str
    media_type: str = ""
    size: int = 0
    platform: dict[str, object] = {}
    annotations: dict[str, str] | None = None


class _Document(msgspec.Struct, frozen=True, rename="camel"):
    """An index or a manifest."""

    manifests: tuple[Blob, ...] = ()
    config: Blob | None = None
    layers: tuple[Blob, ...] = ()


def split_value(value: str) -> tuple[str, str, str]:
    """Return (folder, tag, digest). Example: "/x:v1@sha256:…" is ("/x", "v1", "sha256:…")."""
    rest, _, digest = value.partition("@")
    folder, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        folder, tag = rest, ""
    return folder, tag, digest


def pack_layout(job: LayoutJob, report: object) -> str:
    """Do a `LayoutJob` in the worker process; return the chosen manifest's digest. Raises: UserError."""
    folder, tag, digest = split_value(job.value)
    layout = _Layout(Path(folder), job.value)
    chosen = layout.choose(tag, digest, job.architecture)
    manifest = layout.document(chosen)
    if manifest.config is None:
        raise layout.error(f"{chosen.digest} is no image's manifest")
    names = [chosen, manifest.config, *manifest.layers]
    index = msgspec.json.encode(
        {
            "schemaVersion": 2,
            "manifests": [{"mediaType": chosen.media_type, "digest": chosen.digest, "size": chosen.size}],
        }
    )
    with tarfile.open(job.target, "w") as archive:
        _add_data(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add_data(archive, "index.json", index)
        for blob in dict.fromkeys(one.digest for one in names):
            path = layout.path(blob)
            if not path.is_file():
                raise layout.error(f"it lacks {blob}")
            with path.open("rb") as file:
                info = tarfile.TarInfo(f"blobs/sha256/{hex_of(Digest(blob))}")
                info.size = os.fstat(file.fileno()).st_size
                archive.addfile(info, file)
    return chosen.digest


def _add_data(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


class _Layout:
    def __init__(self, folder: Path, shown: str) -> None:
        self._folder = folder
        self._shown = shown

    def error(
        self, message: str, hint: str = "skopeo copy docker://REF oci:FOLDER:TAG makes a layout"
    ) -> UserError:
        return UserError(f"oci-layout://{self._shown}: {message}", hint)

    def path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise self.error(f"{digest!r} is no digest")
        return self._folder / "blobs" / "sha256" / digest.partition(":")[2]

    def document(self, blob: Blob) -> _Document:
        return self._read(self.path(blob.digest))

    def choose(self, tag: str, digest: str, architecture: str) -> Blob:
        """Return the manifest of the image that is meant."""
        entries = self._read(self._folder / "index.json").manifests
        if digest:
            found = next((one for one in entries if one.digest == digest), None)
            if found is None:
                path = self.path(digest)
                if not path.is_file():
                    raise self.error(f"it has no {digest}")
                found = Blob(digest, _media_type(path), path.stat().st_size)
        else:
            found = self._by_tag(entries, tag)
        return self._by_platform(found, architecture)

    def _by_tag(self, entries: tuple[Blob, ...], tag: str) -> Blob:
        wanted = tag or DEFAULT_TAG
        for one in entries:
            name = (one.annotations or {}).get(REF_NAME, "")
            if name == wanted or name.endswith(f":{wanted}"):
                return one
        if not tag and len(entries) == 1:
            return entries[0]
        names = [(one.annotations or {}).get(REF_NAME, one.digest) for one in entries]
        raise self.error(f"it has no image of the tag {wanted}", f"it has: {', '.join(names) or 'none'}")

    def _by_platform(self, entry: Blob, architecture: str) -> Blob:
        children = self.document(entry).manifests
        if not children:
            return entry
        for one in children:
            if (
                one.platform.get("os", "linux") == "linux"
                and one.platform.get("architecture") == architecture
            ):
                return self._by_platform(one, architecture)
        raise self.error(f"it has no image for linux/{architecture}")

    def _read(self, path: Path) -> _Document:
        try:
            with path.open("rb") as file:
                return msgspec.json.decode(file.read(DOCUMENT_MAX_BYTES), type=_Document)
        except OSError as error:
            raise self.error(f"{path.name} can't be read: {error.strerror}") from None
        except msgspec.MsgspecError as error:
            raise self.error(f"{path.name} can't be read: {error}") from None


def _media_type(path: Path) -> str:
    document = msgspec.json.decode(path.read_bytes()[:DOCUMENT_MAX_BYTES])
    return str(document.get("mediaType", "")) if isinstance(document, dict) else ""
