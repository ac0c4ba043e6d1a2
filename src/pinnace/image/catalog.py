"""What images there are: names and configurations put together. Reads memory only, except for `load`.

Invariant: a configuration that was read once is never read again; an image whose configuration can't be read is
reported when it is asked for, and does not hide the others.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from pinnace.base.errors import ApiError, PinnaceError, Reason
from pinnace.image.blobs import Blobs
from pinnace.image.layers import Layer, Layers
from pinnace.image.names import ImageNames, NamedImage
from pinnace.image.views import Image, parse_name
from pinnace.oci.config import ImageConfig, decode_config
from pinnace.oci.digest import Digest, chain_ids, hex_of, is_digest
from pinnace.oci.reference import Reference, parse_reference

log = logging.getLogger("pinnace.image")

_ID = re.compile(r"(?:sha256:)?([0-9a-f]{4,64})")


class Catalog:
    """Finds images."""

    def __init__(self, names: ImageNames, blobs: Blobs, layers: Layers) -> None:
        self._names = names
        self._blobs = blobs
        self._layers = layers
        self.configs: dict[Digest, ImageConfig] = {}

    def load(self) -> None:
        """Read all configurations that names lead to; log those that can't be."""
        for name in self._names.list():
            try:
                self.config(name.image_id)
            except PinnaceError as error:
                log.error("image %s is of no use: %s", name.reference, error)

    def config(self, image_id: Digest) -> ImageConfig:
        """Return an image's configuration. Raises: ApiError (NotFound), HostError, UserError."""
        config = self.configs.get(image_id)
        if config is None:
            config = decode_config(self._blobs.read(image_id), where=f"the configuration of image {image_id}")
            self.configs[image_id] = config
        return config

    def images(self) -> tuple[Image, ...]:
        """Return all images whose configurations can be read."""
        found = []
        for image_id, names in self._by_id().items():
            try:
                found.append(self._image(image_id, names))
            except PinnaceError as error:
                log.error("image %s is of no use: %s", image_id, error)
        return tuple(found)

    def image(self, image_id: Digest) -> Image:
        """Return an image by its whole id. Raises: ApiError (NotFound) and what `config` raises."""
        return self._image(image_id, self._by_id().get(image_id, []))

    def resolve(self, text: str) -> Image | None:
        """Return the image that a person means by a name, an id, or the start of one.

        Raises: ApiError (BadRequest) when the start of an id fits several images.
        """
        name = self._find_name(text)
        if name is not None:
            return self.image(name.image_id)
        match = _ID.fullmatch(text)
        if match is None:
            return None
        fitting = sorted(
            {name.image_id for name in self._names.list() if hex_of(name.image_id).startswith(match[1])}
        )
        if len(fitting) > 1:
            raise ApiError(
                Reason.BAD_REQUEST,
                f"the image id {text} is ambiguous: {', '.join(fitting)}",
                kind="images",
                name=text,
            )
        return self.image(fitting[0]) if fitting else None

    def origin(self, text: str) -> Digest | None:
        """Return what a name stands for in its registry, as far as we know; None for one that was made here."""
        name = self._find_name(text)
        return None if name is None else name.digest

    def named(self, text: str) -> Reference | None:
        """Return the reference by which `resolve` found an image; None when it was by id."""
        return parse_reference(text) if self._find_name(text) is not None else None

    def require(self, text: str) -> Image:
        """Return the image that a person means. Raises: ApiError (NotFound), with Docker's words."""
        image = self.resolve(text)
        if image is None:
            shown = reference.familiar if (reference := parse_name(text)) else text
            raise ApiError(
                Reason.NOT_FOUND,
                f"No such image: {shown}",
                kind="images",
                name=text,
                hint="pinnace images lists what is here; pinnace build or pinnace import makes one",
            )
        return image

    def chosen(self, texts: Sequence[str]) -> list[tuple[Image, tuple[Reference, ...]]]:
        """Return the images to save, each once, with the names to write.

        A name means itself; a repository without a tag means all its images; an id means the image with all its names.
        Raises: ApiError (NotFound). Source: moby, image/tarexport/save.go, parseNames.
        """
        found: dict[Digest, dict[Reference, None]] = {}
        for text in texts:
            reference = parse_name(text)
            bare = reference is not None and ":" not in text.rpartition("/")[2] and "@" not in text
            fitting = [
                (name.image_id, parse_reference(name.reference))
                for name in self._names.list()
                if bare and reference is not None and not is_digest(name.reference)
                if parse_reference(name.reference).name == reference.name
            ]
            if not fitting:
                image, named = self.require(text), self.named(text)
                fitting = [(image.id, named)] if named else [(image.id, one) for one in image.references]
                found.setdefault(image.id, {})
            for image_id, one in fitting:
                found.setdefault(image_id, {})[one] = None
        return [(self.image(image_id), tuple(references)) for image_id, references in found.items()]

    def layers(self, config: ImageConfig) -> tuple[Layer, ...]:
        """Return an image's layers, bottom first. Raises: ApiError (NotFound)."""
        return self._layers.stack(config.rootfs.diff_ids)

    def _find_name(self, text: str) -> NamedImage | None:
        reference = parse_name(text)
        if reference is None:
            return None
        found = self._names.get(str(reference))
        if found is not None or reference.digest is None:
            return found
        # NAME@DIGEST: whatever tag stands before it, the digest decides
        for name in self._names.list():
            fits = reference.digest in (name.digest, name.manifest, name.image_id) and not is_digest(
                name.reference
            )
            if fits and parse_reference(name.reference).name == reference.name:
                return name
        return None

    def _by_id(self) -> dict[Digest, list[NamedImage]]:
        found: dict[Digest, list[NamedImage]] = {}
        for name in self._names.list():
            found.setdefault(name.image_id, []).append(name)
        return found

    def _image(self, image_id: Digest, names: list[NamedImage]) -> Image:
        config = self.config(image_id)
        references = sorted(name.reference for name in names if not is_digest(name.reference))
        diff_ids = config.rootfs.diff_ids
        layers = [
            self._layers.find(diff, chain) for diff, chain in zip(diff_ids, chain_ids(diff_ids), strict=True)
        ]
        return Image(
            id=image_id,
            config=config,
            references=tuple(parse_reference(reference) for reference in references),
            size=sum(layer.size for layer in layers if layer is not None),
            manifest=next((name.manifest for name in names if name.manifest), None),
            digests=_digests(names),
        )


def _digests(names: list[NamedImage]) -> tuple[tuple[str, Digest], ...]:
    """Return the repositories that an image came from or went to, with what it is known by there."""
    return tuple(
        sorted(
            {
                (parse_reference(name.reference).familiar_name, name.digest)
                for name in names
                if name.digest is not None and not is_digest(name.reference)
            }
        )
    )
