"""The image configuration: what to run, as whom, where, and which layers make the root filesystem.

Pure. A configuration that came from elsewhere keeps its own bytes in the store; these structs are for reading it and for
writing new ones. Go writes `null` for an empty list or map, so these fields take None.
Source: OCI image-spec v1.1, config.md; Docker's additions in moby, image/spec/specs-go/v1/image.go.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from pinnace.base.errors import UserError
from pinnace.oci.digest import Digest, parse_digest

T = TypeVar("T")

INLINE_CACHE = "io.pinnace.buildcache.v1"

Strings = tuple[str, ...] | None
Set = dict[str, dict[str, Any]] | None


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """HEALTHCHECK. Units: nanoseconds; `test` is () to inherit, ("NONE",), ("CMD", …) or ("CMD-SHELL", command)."""

    test: Strings = None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class ContainerConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """The defaults of a container that runs the image."""

    user: str = ""
    exposed_ports: Set = None
    env: Strings = None
    entrypoint: Strings = None
    cmd: Strings = None
    volumes: Set = None
    working_dir: str = ""
    labels: dict[str, str] | None = None
    stop_signal: str = ""
    healthcheck: HealthCheck | None = None
    stop_timeout: int | None = None
    shell: Strings = None
    on_build: Strings = None
    args_escaped: bool = False


class RootFs(msgspec.Struct, frozen=True, kw_only=True):
    """The layers, bottom first, by the digests of their uncompressed tars."""

    type: str = "layers"
    diff_ids: tuple[Digest, ...] = ()


class History(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of the image's making; a step with `empty_layer` added no layer."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The document whose digest is the image's id."""

    created: str = ""
    author: str = ""
    architecture: str
    os: str
    variant: str = ""
    config: ContainerConfig = ContainerConfig()
    rootfs: RootFs
    history: tuple[History, ...] | None = None
    comment: str = ""
    # What made the layers, for builds elsewhere; see `build/cache_document`.
    build_cache: msgspec.Raw | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name=INLINE_CACHE)


def decode_config(data: bytes, *, where: str = "the image configuration") -> ImageConfig:
    """Return the configuration in `data`. Raises: UserError, naming the field that is wrong."""
    config = decode(data, ImageConfig, where)
    if config.rootfs.type != "layers":
        raise UserError(f"{where}: rootfs.type is {config.rootfs.type!r}, expected 'layers'")
    for diff_id in config.rootfs.diff_ids:
        parse_digest(diff_id)
    return config


def decode(data: bytes, type_: type[T], where: str) -> T:
    """Decode JSON into a struct, telling a person what is wrong with it. Raises: UserError."""
    try:
        return msgspec.json.decode(data, type=type_)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{where} can't be read: {error}") from error


def encode(document: msgspec.Struct) -> bytes:
    """Return the document as JSON: the bytes whose digest names it."""
    return msgspec.json.encode(document)
