"""Objects of our own group, pinnace.dev/v1, as values: what the engine and the image store keep beside Kubernetes' objects.

Written by hand, in the manner of the generated modules (see the package's head).
"""

from msgspec import Struct
from msgspec import field as _field

from pinnace.kube.objects import meta_v1
from pinnace.kube.objects.shared import shared


class ImageSpec(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """`reference` is whole (docker.io/library/a:v1), or the image's id for an image without a name."""

    reference: str = _field(default_factory=str)
    image_id: str = _field(default_factory=str, name="imageID")
    manifest: str = ""


class Image(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """One name of one image in the store."""

    api_version: str = _field(default_factory=lambda: "pinnace.dev/v1")
    kind: str = _field(default_factory=lambda: "Image")
    metadata: meta_v1.ObjectMeta = _field(default_factory=shared(meta_v1.ObjectMeta))
    spec: ImageSpec = _field(default_factory=shared(ImageSpec))
