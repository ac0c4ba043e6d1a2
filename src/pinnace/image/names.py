"""Image names: which reference stands for which image. An image without any name has a nameless entry, its own id.

`ImageNames` is what `store` needs; `MemoryNames` serves tests and tools, `api_names.ApiNames` the daemon.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from pinnace.oci.digest import Digest


class NamedImage(msgspec.Struct, frozen=True):
    """One name. `reference` is the whole one (docker.io/library/a:v1), or the image's id for an image without names.

    `manifest` is the manifest that the image came with from a registry, or went to one with, if it did. `digest` is what
    this very name stands for in its registry, as far as we know: that manifest, or the index that led to it.
    """

    reference: str
    image_id: Digest
    manifest: Digest | None = None
    digest: Digest | None = None


class ImageNames(Protocol):
    """Reads are from memory; writes are on disk when they return."""

    def get(self, reference: str) -> NamedImage | None: ...

    def list(self) -> tuple[NamedImage, ...]: ...

    async def set(self, name: NamedImage) -> None: ...

    async def delete(self, reference: str) -> None: ...


class MemoryNames:
    """Names in a dict."""

    def __init__(self) -> None:
        self._names: dict[str, NamedImage] = {}

    def get(self, reference: str) -> NamedImage | None:
        return self._names.get(reference)

    def list(self) -> tuple[NamedImage, ...]:
        return tuple(self._names.values())

    async def set(self, name: NamedImage) -> None:
        self._names[name.reference] = name

    async def delete(self, reference: str) -> None:
        self._names.pop(reference, None)
