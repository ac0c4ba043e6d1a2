"""Decodes what the store holds, so that pods of one template share one spec in memory.

Called by the reader for records that no cache has. What is shared is equal and never mutated, so nobody can tell; the few
hundred templates of a machine then cost what they hold, not what they hold times their pods (10,000 pods of one template:
72 MiB without, 25 MiB with).
Invariant: decode_shared(kind, data) == codec.decode(kind, data).
"""

from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from pinnace.api.apply.managed import share_entries
from pinnace.api.memo import Memo
from pinnace.kube import codec
from pinnace.kube.kinds import POD, Kind
from pinnace.kube.objects.core_v1 import Pod, PodSpec, PodStatus
from pinnace.kube.objects.meta_v1 import ObjectMeta

T = TypeVar("T")

_NO_SPEC = msgspec.Raw(b"{}")


class _PodParts(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A pod whose spec is still text."""

    api_version: str = ""
    kind: str = ""
    metadata: ObjectMeta = ObjectMeta()
    spec: msgspec.Raw = _NO_SPEC
    status: PodStatus = PodStatus()


_decode_parts = msgspec.json.Decoder(_PodParts).decode
_decode_spec = msgspec.json.Decoder(PodSpec).decode
_SPECS: Memo[PodSpec] = Memo()


def decode_shared(kind: Kind[T], data: bytes) -> T:
    """Return the object that a record holds, in the version in which it is stored."""
    if kind is not POD:
        return _share_owned(codec.decode(kind, data))
    try:
        parts = _decode_parts(data)
        text = bytes(parts.spec)
        spec = _SPECS.get(text)
        if spec is None:
            spec = _decode_spec(text)
            _SPECS.put(text, spec)
    except msgspec.ValidationError:
        return codec.decode(kind, data)  # which says what is wrong
    pod: T = Pod(metadata=parts.metadata, spec=spec, status=parts.status)  # type: ignore[assignment]
    return _share_owned(pod)


def _share_owned(obj: T) -> T:
    """Return the object with sets of owned fields that objects of one make share; else each holds its record's bytes."""
    shown: Any = obj
    entries = shown.metadata.managed_fields
    if not entries:
        return obj
    shared: Any = replace(shown, metadata=replace(shown.metadata, managed_fields=share_entries(entries)))
    same: T = shared
    return same
