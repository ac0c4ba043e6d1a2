"""Bytes to custom objects and back; the codec calls it for kinds that a CustomResourceDefinition adds.

Never applies defaults, prunes or validates: what a document says is what the object's body holds, nulls included, since a
schema may allow them. Metadata is read as that of any other object.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pinnace.base.errors import ApiError, Reason
from pinnace.kube.kinds import Kind
from pinnace.kube.mismatch import find_mismatch, handled
from pinnace.kube.objects.custom import CustomObject
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.kube.raw_fields import metadata_with_raw_fields

_ENCODER = msgspec.json.Encoder()
_HEADER = ("apiVersion", "kind", "metadata")
_EMPTY = ObjectMeta()


def encode_custom(obj: CustomObject) -> bytes:
    """Return a custom object as JSON."""
    return _ENCODER.encode(
        {"apiVersion": obj.api_version, "kind": obj.kind, "metadata": obj.metadata, **obj.body}
    )


def custom_from_values(kind: Kind[Any], value: dict[str, Any], api_version: str) -> CustomObject:
    """Return the object that plain values describe; they become its body and must not be changed afterwards.

    Raises: ApiError BadRequest for metadata of a wrong type.
    """
    meta = value.get("metadata")
    body = {name: part for name, part in value.items() if name not in _HEADER}
    return CustomObject(
        api_version=api_version,
        kind=kind.kind,
        metadata=_EMPTY if meta is None else _read_metadata(kind, meta),
        body=body,
    )


def _read_metadata(kind: Kind[Any], meta: Any) -> ObjectMeta:
    try:
        return msgspec.convert(metadata_with_raw_fields(meta), ObjectMeta)
    except msgspec.ValidationError:
        from pinnace.kube.codec import without_nulls
        from pinnace.kube.schema import struct_shape

        clean = without_nulls(meta, struct_shape(ObjectMeta))
        try:
            return msgspec.convert(metadata_with_raw_fields(clean), ObjectMeta)
        except msgspec.ValidationError as error:
            mismatch = find_mismatch(ObjectMeta, clean)
            why = mismatch.render() if mismatch else str(error)
            raise ApiError(Reason.BAD_REQUEST, handled(kind, why)) from None
