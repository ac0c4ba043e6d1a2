"""Image names as Image objects in the revisioned store: durable, watched, and there for `kubectl get images`.

Reads come from the API's memory; a write is on disk when it returns.
"""

from __future__ import annotations

import hashlib
import re

import msgspec

from pinnace.api.facade import Api
from pinnace.base.errors import ApiError, Reason
from pinnace.image.names import NamedImage
from pinnace.kube.kinds import IMAGE
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.kube.objects.pinnace_v1 import Image as ImageObject
from pinnace.kube.objects.pinnace_v1 import ImageSpec
from pinnace.oci.digest import Digest

OBJECT_NAME_CHARACTERS = 40
OBJECT_NAME_DIGITS = 10


class ApiNames:
    """Names as objects."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def get(self, reference: str) -> NamedImage | None:
        found = self._api.find(IMAGE, "", object_name(reference))
        return None if found is None else _from_object(found)

    def list(self) -> tuple[NamedImage, ...]:
        return tuple(_from_object(found) for found in self._api.list(IMAGE))

    async def set(self, name: NamedImage) -> None:
        spec = ImageSpec(
            reference=name.reference,
            image_id=name.image_id,
            manifest=name.manifest or "",
            digest=name.digest or "",
        )
        key = object_name(name.reference)
        if self._api.find(IMAGE, "", key) is None:
            try:
                await self._api.create(ImageObject(metadata=ObjectMeta(name=key), spec=spec))
                return
            except ApiError as error:
                if error.reason is not Reason.ALREADY_EXISTS:
                    raise
        await self._api.change(IMAGE, "", key, lambda found: msgspec.structs.replace(found, spec=spec))

    async def delete(self, reference: str) -> None:
        try:
            await self._api.delete(IMAGE, "", object_name(reference))
        except ApiError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise


def object_name(reference: str) -> str:
    """Return the object's name: readable, and different for every reference.

    Example: "docker.io/library/my-model:v1" gives "my-model-v1-" and ten digits.
    """
    readable = reference.removeprefix("docker.io/").removeprefix("library/").lower()
    slug = re.sub(r"[^a-z0-9]+", "-", readable)[:OBJECT_NAME_CHARACTERS].strip("-")
    return f"{slug}-{hashlib.sha256(reference.encode()).hexdigest()[:OBJECT_NAME_DIGITS]}"


def _from_object(found: ImageObject) -> NamedImage:
    manifest = Digest(found.spec.manifest) if found.spec.manifest else None
    digest = Digest(found.spec.digest) if found.spec.digest else None
    return NamedImage(found.spec.reference, Digest(found.spec.image_id), manifest, digest)
