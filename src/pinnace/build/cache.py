"""Remembers which layer a step made, by its key; on disk, one small file for each. A doer.

What it names is kept by the image store (`roots`), until `prune` forgets it.
Invariant: an entry is believed only while its layer is in the store.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from pinnace.base.clock import Clock
from pinnace.image.layers import Layer
from pinnace.oci.digest import Digest


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One remembered step. Units: unix seconds, seconds."""

    key: str
    layer: Layer
    text: str
    created: float
    used: float
    seconds: float


class BuildCache:
    """The entries below `folder`."""

    def __init__(self, folder: Path, find_layer: Callable[[Digest], Layer | None], clock: Clock) -> None:
        self._folder = folder
        self._find_layer = find_layer
        self._clock = clock
        self._entries: dict[str, Entry] = {}

    def load(self) -> None:
        """Read what is there; what can't be read is no cache, and goes."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in self._folder.glob("*.json"):
            try:
                entry = msgspec.json.decode(path.read_bytes(), type=Entry)
            except msgspec.MsgspecError:
                path.unlink()
                continue
            self._entries[entry.key] = entry

    def find(self, key: str) -> Entry | None:
        """Return the entry of a key, if its layer is still there."""
        entry = self._entries.get(key)
        if entry is None or self._find_layer(entry.layer.diff_id) is None:
            return None
        used = msgspec.structs.replace(entry, used=self._clock.now())
        self._entries[key] = used
        return used

    def remember(self, key: str, layer: Layer, text: str, seconds: float) -> None:
        """Keep what a step made."""
        now = self._clock.now()
        self._write(Entry(key=key, layer=layer, text=text, created=now, used=now, seconds=seconds))

    def roots(self) -> Iterable[Digest]:
        """Return the layers that must stay."""
        return [entry.layer.key for entry in self._entries.values()]

    def prune(self, *, older_than_s: float = 0.0) -> int:
        """Forget entries that were not used for so long; return how many."""
        limit = self._clock.now() - older_than_s
        old = [key for key, entry in self._entries.items() if entry.used <= limit]
        for key in old:
            del self._entries[key]
            (self._folder / f"{key}.json").unlink(missing_ok=True)
        return len(old)

    def save_uses(self) -> None:
        """Write when entries were last used; called when a build ends."""
        for entry in self._entries.values():
            if entry.used > entry.created:
                self._write(entry)

    def _write(self, entry: Entry) -> None:
        self._entries[entry.key] = entry
        temporary = self._folder / f".{entry.key}.tmp"
        temporary.write_bytes(msgspec.json.encode(entry))
        os.replace(temporary, self._folder / f"{entry.key}.json")
