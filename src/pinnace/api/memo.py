"""Remembers the answers of pure functions about specs that come again and again: the pods of one ReplicaSet.

Used by the Pod's row and by admission. Invariant: what is remembered is what the function would say again, since equal
bytes are equal specs; forgetting is always right.
"""

from collections.abc import Hashable
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

_encode = msgspec.json.Encoder().encode

SEEN = 256
_seen: dict[
    int, tuple[msgspec.Struct, bytes]
] = {}  # by identity; the struct is held, so that its id stays its own


def spec_key(spec: msgspec.Struct) -> bytes:
    """Return something hashable that is equal for equal specs; the same spec again costs nothing."""
    known = _seen.get(id(spec))
    if known is not None:
        return known[1]
    key = _encode(spec)
    if len(_seen) >= SEEN:
        _seen.pop(next(iter(_seen)))
    _seen[id(spec)] = (spec, key)
    return key


class Memo(Generic[T]):
    """A bounded table; the oldest answer goes first."""

    def __init__(self, size: int = 512) -> None:
        self._size = size
        self._known: dict[Hashable, T] = {}

    def get(self, key: Hashable) -> T | None:
        """Return the remembered answer, or None."""
        return self._known.get(key)

    def put(self, key: Hashable, answer: T) -> None:
        """Remember an answer."""
        if len(self._known) >= self._size:
            self._known.pop(next(iter(self._known)))
        self._known[key] = answer


_CHANGED: Memo[Any] = Memo()


def changed_spec(spec: S, **changes: Hashable) -> S:
    """Return the spec with some fields replaced; equal changes of equal specs give the very same object."""
    key = (spec_key(spec), *changes.items())
    changed: S | None = _CHANGED.get(key)
    if changed is None:
        changed = msgspec.structs.replace(spec, **changes)
        _CHANGED.put(key, changed)
    return changed
