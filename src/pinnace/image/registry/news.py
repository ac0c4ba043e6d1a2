"""What a pull or a push says while it goes, and what came of it, as values; edges send them, the command prints them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from pinnace.image.views import Image
from pinnace.oci.config import ImageConfig
from pinnace.oci.digest import Digest

State = Literal[
    "waiting",
    "exists",
    "downloading",
    "retrying",
    "extracting",
    "pulled",
    "preparing",
    "pushing",
    "mounted",
    "pushed",
]


class LayerNews(msgspec.Struct, frozen=True, kw_only=True, tag="layer", tag_field="type"):
    """How far one layer is. `digest` is the blob's in a pull, the diff id in a push, as with Docker. Units: bytes.

    `text` holds the registry's own words while a layer is "retrying".
    """

    digest: Digest
    state: State
    current: int = 0
    total: int = 0
    text: str = ""


OnNews = Callable[[LayerNews], None]


class Pulled(msgspec.Struct, frozen=True, kw_only=True):
    """An image that a registry gave: `digest` is of what the name led to (an index or a manifest).

    `is_new`: it was not here before, under this name. Units: bytes, of the blobs that travelled; seconds.
    """

    image: Image
    digest: Digest
    is_new: bool
    received: int
    seconds: float


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest that a registry took. Units: bytes, of the manifest and of the blobs that travelled; seconds."""

    digest: Digest
    size: int
    sent: int
    seconds: float


class Remote(msgspec.Struct, frozen=True, kw_only=True):
    """What a registry says an image is, without its layers. `manifest` is the platform's, `digest` what the name led to."""

    digest: Digest
    manifest: Digest
    config: ImageConfig
    image_id: Digest
