"""Objects of kinds that a CustomResourceDefinition adds, as values.

One type for all of them: what every object has is typed, all else is `body`, as it stands on the wire. The codec reads
and writes it; nobody encodes it directly. Invariant: `body` is never mutated and holds none of the other fields.
"""

from typing import Any

from msgspec import Struct
from msgspec import field as _field

from pinnace.kube.objects import meta_v1
from pinnace.kube.objects.shared import shared


class CustomObject(Struct, frozen=True, kw_only=True, gc=False):
    """One custom object. Shape: `body` has all top-level fields but apiVersion, kind and metadata ("spec", "status")."""

    api_version: str
    kind: str
    metadata: meta_v1.ObjectMeta = _field(default_factory=shared(meta_v1.ObjectMeta))
    body: dict[str, Any] = {}
