"""What becomes of a build's result, as values: an image with names, a push, files, an archive.

Pure. Source: docker buildx build, --output; BuildKit, exporter (their options, as far as they are here).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from pinnace.base.errors import UserError
from pinnace.oci.reference import parse_reference

Kind = Literal["image", "local", "tar", "oci", "docker", "cacheonly"]
Compression = Literal["", "uncompressed", "gzip", "zstd"]


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One output. `names` are further names of the image, `push` sends all of them; `compression` is of archives' layers."""

    type: Kind
    names: tuple[str, ...] = ()
    push: bool = False
    compression: Compression = ""


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the outputs: the image's id, and the digest of the manifest that was pushed or written."""

    image: str
    manifest: str = ""
    is_stored: bool = True


def read_wanted(value: Any) -> tuple[Wanted, ...]:
    """Return the outputs of a request. Raises: UserError."""
    try:
        wanted = msgspec.convert(value, tuple[Wanted, ...])
    except msgspec.ValidationError as error:
        raise UserError(f"the outputs can't be understood: {error}") from error
    for one in wanted:
        for name in one.names:
            parse_reference(name)
    return wanted


def is_stored(wanted: Sequence[Wanted]) -> bool:
    """Say whether the result becomes an image of this instance: unless only files or archives are wanted."""
    return not wanted or any(one.type == "image" for one in wanted)


def names_of(names: Iterable[str], wanted: Sequence[Wanted]) -> tuple[str, ...]:
    """Return all names that the image gets, each once."""
    more = (name for one in wanted if one.type == "image" for name in one.names)
    return tuple(dict.fromkeys((*names, *more)))


def names_to_push(names: Iterable[str], wanted: Sequence[Wanted]) -> tuple[str, ...]:
    """Return what is pushed. Raises: UserError when a push is wanted of an image without a name."""
    pushed: dict[str, None] = {}
    for one in wanted:
        if not one.push:
            continue
        mine = (*names, *one.names)
        if not mine:
            raise UserError("a push needs a name", "add -t REGISTRY/NAME:TAG, or name= to the output")
        pushed.update(dict.fromkeys(mine))
    return tuple(pushed)
