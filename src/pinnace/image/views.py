"""Images as people and Docker's clients see them: rows of `images`, Docker's inspect document. Pure.

Source: Docker Engine API v1.47, ImageInspect and ImageSummary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from pinnace.base.errors import PinnaceError
from pinnace.base.times import parse_time
from pinnace.oci.config import ImageConfig
from pinnace.oci.digest import Digest
from pinnace.oci.reference import Reference, parse_reference

NO_NAME = "<none>"


@dataclass(frozen=True, slots=True)
class Image:
    """One image in the store. Units: bytes; `created` in seconds since 1970, 0 when unknown."""

    id: Digest
    config: ImageConfig
    references: tuple[Reference, ...]
    size: int
    manifest: Digest | None = None
    digests: tuple[tuple[str, Digest], ...] = ()  # repository (familiar), manifest there

    @property
    def created(self) -> float:
        return created_at(self.config)

    @property
    def familiar(self) -> str:
        """The first name as people write it, or the id."""
        return self.references[0].familiar if self.references else self.id


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """An image that came out of an archive, and the names (as people write them) that the archive gave it."""

    image: Image
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of `images`: an image has one for each of its names."""

    repository: str
    tag: str
    image_id: Digest
    created: float
    size: int
    digest: str = ""


def rows(images: Iterable[tuple[Image, tuple[Reference, ...]]]) -> tuple[Row, ...]:
    """Return the lines of `images` for images and the names that are wanted, newest first."""
    found = []
    for image, references in images:
        for reference in references or (None,):
            repository = NO_NAME if reference is None else reference.familiar_name
            tag = NO_NAME if reference is None or not reference.tag else reference.tag
            digest = next((one for name, one in image.digests if name == repository), "")
            found.append(Row(repository, tag, image.id, image.created, image.size, digest))
    return tuple(sorted(found, key=lambda row: (-row.created, row.repository, row.tag)))


def created_at(config: ImageConfig) -> float:
    """Return when the image was made; 0 when it doesn't say."""
    try:
        return parse_time(config.created) if config.created else 0.0
    except ValueError:
        return 0.0


def inspect_document(image: Image, graph: Mapping[str, str]) -> dict[str, Any]:
    """Return Docker's inspect document. `graph` is what overlayfs mounts (LowerDir, UpperDir)."""
    config = image.config
    return {
        "Id": image.id,
        "RepoTags": [reference.familiar for reference in image.references if reference.tag],
        "RepoDigests": [f"{name}@{digest}" for name, digest in image.digests],
        "Parent": "",
        "Comment": config.comment or (config.history[-1].comment if config.history else ""),
        "Created": _go_time(config.created),
        "DockerVersion": "",
        "Author": config.author,
        "Config": _container_config(config),
        "Architecture": config.architecture,
        **({"Variant": config.variant} if config.variant else {}),
        "Os": config.os,
        "Size": image.size,
        "GraphDriver": {"Data": dict(graph), "Name": "overlay2"},
        "RootFS": {"Type": "layers", "Layers": list(config.rootfs.diff_ids)},
        "Metadata": {"LastTagTime": "0001-01-01T00:00:00Z"},
    }


# Docker shows an image's defaults as a container's configuration, in which these say nothing.
_OF_CONTAINERS: dict[str, Any] = {
    "Hostname": "",
    "Domainname": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Image": "",
}
# Source: moby, api/types/container, Config
_ORDER = (
    *("Hostname", "Domainname", "User", "AttachStdin", "AttachStdout", "AttachStderr", "ExposedPorts"),
    *("Tty", "OpenStdin", "StdinOnce", "Env", "Cmd", "Healthcheck", "ArgsEscaped", "Image", "Volumes"),
    *("WorkingDir", "Entrypoint", "OnBuild", "Labels", "StopSignal", "StopTimeout", "Shell"),
)


def _container_config(config: ImageConfig) -> dict[str, Any]:
    """Return the container defaults with the keys that Docker always shows."""
    given = config.config
    shown = {
        **_OF_CONTAINERS,
        "User": given.user,
        "Env": None if given.env is None else list(given.env),
        "Cmd": None if given.cmd is None else list(given.cmd),
        "Entrypoint": None if given.entrypoint is None else list(given.entrypoint),
        "WorkingDir": given.working_dir,
        "Labels": given.labels,
        "Volumes": given.volumes,
        "OnBuild": None if given.on_build is None else list(given.on_build),
    }
    known: dict[str, Any] = msgspec.to_builtins(given)
    document = known | shown
    order = [key for key in _ORDER if key in document]
    return {key: document[key] for key in dict.fromkeys((*order, *document))}


def _go_time(text: str) -> str:
    """Return a time as Go prints it: no zeros at the end of a second's part. Example: "…:05.120Z" is "…:05.12Z"."""
    whole, dot, part = text.removesuffix("Z").partition(".")
    if not dot or not text.endswith("Z") or not part.isdecimal():
        return text
    return f"{whole}.{part.rstrip('0')}".rstrip(".") + "Z"


def parse_name(text: str) -> Reference | None:
    """Return the reference that a person may have meant, or None when `text` can't be one."""
    try:
        return parse_reference(text)
    except PinnaceError:
        return None
