"""Where caches travel to and from, as values: --cache-to and --cache-from. Pure.

Source: docker buildx build, --cache-from and --cache-to; BuildKit, docs of its cache backends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from pinnace.base.errors import UserError
from pinnace.oci.reference import parse_reference


class CachePlace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One place: a name in a registry (`ref`), a folder (`path`, absolute), or the image itself ("inline")."""

    type: Literal["registry", "local", "inline"]
    ref: str = ""
    path: str = ""
    mode: Literal["min", "max"] = "min"
    ignore_error: bool = False

    def describe(self) -> str:
        """Return what people call it."""
        return self.ref or self.path or "the image's own cache"


INLINE_ARG = "BUILDKIT_INLINE_CACHE"  # Source: Dockerfile reference, "BuildKit built-in build args"


def with_inline(places: tuple[CachePlace, ...], build_args: Mapping[str, str]) -> tuple[CachePlace, ...]:
    """Return what a build writes its cache to, the image itself too if the build arg says so."""
    wants = build_args.get(INLINE_ARG, "").lower() in ("1", "true")
    if not wants or any(place.type == "inline" for place in places):
        return places
    return (*places, CachePlace(type="inline"))


def read_places(value: Any, *, is_source: bool) -> tuple[CachePlace, ...]:
    """Return the places of a request. Raises: UserError."""
    try:
        places = msgspec.convert(value, tuple[CachePlace, ...])
    except msgspec.ValidationError as error:
        raise UserError(f"the cache can't be understood: {error}") from error
    for place in places:
        if place.type == "registry":
            parse_reference(place.ref)
        elif place.type == "local" and not place.path.startswith("/"):
            raise UserError(f"the cache's folder {place.path!r} is not an absolute path")
        elif place.type == "inline" and is_source:
            raise UserError(
                "a cache can't come from type=inline", "--cache-from IMAGE reads an image's own cache"
            )
    return places
