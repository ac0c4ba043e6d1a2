"""What a build cache that travels says: which step made which layer, and the digests of files taken from layers. Pure.

The document is the configuration of an OCI manifest whose layers are the cache's, so that any registry and any OCI layout
keeps it. Inside an image's configuration (an inline cache) it is the same, and the layers are the image's.
What a step was is told by its cache key only, which nobody can turn back: a stage that isn't in the image stays untold.
See docs/adr/0017.
Invariant: nothing is believed that does not fit: a document of another version, or with layers that aren't there, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from pinnace.base.errors import UserError
from pinnace.build.keys import VERSION as KEY_VERSION
from pinnace.oci.digest import Digest, parse_digest
from pinnace.oci.manifest import Descriptor

CONFIG_TYPE = "application/vnd.pinnace.buildcache.config.v1+json"
BUILDKIT_CONFIG_TYPE = "application/vnd.buildkit.cacheconfig.v0"
FORM = 1
STEPS_MAX = 20_000
KEY_CHARACTERS = 64
TIME_MAX = 253402300799.0  # the last second of the year 9999: what is later can't be written into an image

Mode = Literal["min", "max"]


class CachedLayer(msgspec.Struct, frozen=True, kw_only=True):
    """A layer that a step made. `at` is its place among the manifest's layers; -1 when it is not there. Units: bytes."""

    diff_id: Digest
    size: int
    is_empty: bool = False
    at: int = -1


class CachedStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step: its key, and its layer by its place in the document; not its text. Units: unix seconds, seconds."""

    key: str
    layer: int
    created: float
    seconds: float = 0.0


class CacheDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The whole. `keys` is the version of the steps' keys; `digests` are of files taken from layers, by selection key."""

    form: int = FORM
    keys: int = KEY_VERSION
    layers: tuple[CachedLayer, ...] = ()
    steps: tuple[CachedStep, ...] = ()
    digests: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Made:
    """A step of a build that was done or found. `is_target`: its layer is one of the result's. Units: unix seconds, seconds."""

    key: str
    diff_id: Digest
    size: int
    is_empty: bool
    text: str
    created: float
    seconds: float
    is_target: bool = False


def compose(
    made: Sequence[Made], digests: Mapping[str, str], mode: Mode
) -> tuple[CacheDocument, tuple[Digest, ...]]:
    """Return the document of a build, and the layers that go with it, in the manifest's order.

    "min" sends the result's own layers, "max" those of all stages; which step made what is told in both.
    """
    wanted = {one.diff_id for one in made if not one.is_empty and (mode == "max" or one.is_target)}
    sent: dict[Digest, int] = {}
    places: dict[Digest, int] = {}
    layers: list[CachedLayer] = []
    steps = []
    for one in made:
        if one.diff_id not in places:
            places[one.diff_id] = len(layers)
            at = sent.setdefault(one.diff_id, len(sent)) if one.diff_id in wanted else -1
            layers.append(CachedLayer(diff_id=one.diff_id, size=one.size, is_empty=one.is_empty, at=at))
        step = CachedStep(
            key=one.key,
            layer=places[one.diff_id],
            created=one.created,
            seconds=round(one.seconds, 3),
        )
        steps.append(step)
    document = CacheDocument(layers=tuple(layers), steps=tuple(steps), digests=dict(digests))
    return document, tuple(sent)


def render_document(document: CacheDocument) -> bytes:
    """Return the document as JSON; the same one always as the same bytes."""
    return msgspec.json.encode(document, order="sorted")


def parse_document(data: bytes | msgspec.Raw, blobs: int, where: str) -> CacheDocument:
    """Return a document that came from elsewhere, with so many layers beside it. Raises: UserError, saying what is wrong."""
    try:
        document = msgspec.json.decode(data, type=CacheDocument)
    except msgspec.MsgspecError as error:
        raise UserError(f"{where} can't be understood: {error}") from error
    if (document.form, document.keys) != (FORM, KEY_VERSION):
        raise UserError(f"{where} was written by another version of pinnace", "write it anew with --cache-to")
    if len(document.steps) > STEPS_MAX or len(document.digests) > STEPS_MAX:
        raise UserError(f"{where} has more than {STEPS_MAX} steps: refused")
    for layer in document.layers:
        parse_digest(layer.diff_id)
        if layer.at >= blobs or layer.size < 0:
            raise UserError(f"{where} names a layer that is not there: {layer.diff_id}")
    for step in document.steps:
        if not 0 <= step.layer < len(document.layers) or len(step.key) != KEY_CHARACTERS:
            raise UserError(f"{where} has a step that makes no sense: {step.key[:80]!r}")
        if not (0 <= step.created <= TIME_MAX and 0 <= step.seconds <= TIME_MAX):
            raise UserError(f"{where} has a step that was done at no time there is: {step.created}")
    return document


def pair_blobs(document: CacheDocument, blobs: Sequence[Descriptor]) -> dict[Digest, Descriptor]:
    """Return the archives of a document's layers by diff id."""
    return {layer.diff_id: blobs[layer.at] for layer in document.layers if layer.at >= 0}


def find_in_image(
    document: CacheDocument, diff_ids: Sequence[Digest], blobs: Sequence[Descriptor]
) -> dict[Digest, Descriptor]:
    """Return the archives of an inline cache's layers by diff id: they are the image's own."""
    own = dict(zip(diff_ids, blobs, strict=True))
    return {layer.diff_id: own[layer.diff_id] for layer in document.layers if layer.diff_id in own}
