"""Remembers which layer a step made, by its key; on disk, one small file for each. A doer.

What it names is kept by the image store (`roots`), until `prune` forgets it. It also remembers the digests of files taken
from layers: layers never change, so such a digest need not be computed twice.
Invariant: an entry is believed only while its layer is in the store; files are touched in threads only.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from pinnace.base.clock import Clock
from pinnace.image.layers import Layer
from pinnace.oci.digest import Digest

DIGESTS_MAX = 10_000
DIGESTS_FILE = "digests.json"


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
        self._digests: dict[str, str] = {}
        self._unsaved: set[str] = set()
        self._new_digests = False
        # Builds that end together write the same files; and what is forgotten meanwhile must not be written again.
        self._writing = asyncio.Lock()

    async def load(self) -> None:
        """Read what is there; what can't be read is no cache, and goes."""
        self._entries, self._digests = await asyncio.to_thread(_load, self._folder)

    def find(self, key: str) -> Entry | None:
        """Return the entry of a key, if its layer is still there."""
        entry = self._entries.get(key)
        if entry is None or self._find_layer(entry.layer.key) is None:
            return None
        used = msgspec.structs.replace(entry, used=self._clock.now())
        self._entries[key] = used
        self._unsaved.add(key)
        return used

    async def remember(
        self, key: str, layer: Layer, text: str, seconds: float, *, created: float | None = None
    ) -> Entry:
        """Keep what a step made, now or when another cache says."""
        now = self._clock.now()
        entry = Entry(
            key=key,
            layer=layer,
            text=text,
            created=now if created is None else created,
            used=now,
            seconds=seconds,
        )
        self._entries[key] = entry
        async with self._writing:
            await asyncio.to_thread(_write, self._folder, f"{key}.json", msgspec.json.encode(entry))
        return entry

    def find_digest(self, key: str) -> str | None:
        """Return the digest of files that are taken from layers, if it is known."""
        return self._digests.get(key)

    def remember_digest(self, key: str, digest: str) -> None:
        """Keep a digest; written by `save`."""
        self._digests[key] = digest
        while len(self._digests) > DIGESTS_MAX:
            del self._digests[next(iter(self._digests))]
        self._new_digests = True

    def roots(self) -> Iterable[Digest]:
        """Return the layers that must stay."""
        return [entry.layer.key for entry in self._entries.values()]

    def entries(self) -> tuple[Entry, ...]:
        """Return what is remembered, with layers that are still there."""
        return tuple(one for one in self._entries.values() if self._find_layer(one.layer.key) is not None)

    async def prune(self, *, older_than_s: float = 0.0) -> int:
        """Forget entries that were not used for so long; return how many."""
        limit = self._clock.now() - older_than_s
        old = [key for key, entry in self._entries.items() if entry.used <= limit]
        for key in old:
            del self._entries[key]
        self._unsaved.difference_update(old)
        async with self._writing:
            await asyncio.to_thread(_remove, self._folder, old)
        return len(old)

    async def forget(self, keys: Iterable[str]) -> None:
        """Forget entries."""
        known = [key for key in keys if self._entries.pop(key, None) is not None]
        self._unsaved.difference_update(known)
        async with self._writing:
            await asyncio.to_thread(_remove, self._folder, known)

    async def save(self) -> None:
        """Write when entries were last used, and new digests; called when a build ends."""
        async with self._writing:
            files = {
                f"{key}.json": msgspec.json.encode(self._entries[key])
                for key in self._unsaved
                if key in self._entries
            }
            self._unsaved.clear()
            if self._new_digests:
                self._new_digests = False
                files[DIGESTS_FILE] = msgspec.json.encode(self._digests)
            for name, data in files.items():
                await asyncio.to_thread(_write, self._folder, name, data)


def _load(folder: Path) -> tuple[dict[str, Entry], dict[str, str]]:
    folder.mkdir(parents=True, exist_ok=True)
    entries: dict[str, Entry] = {}
    digests: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        try:
            if path.name == DIGESTS_FILE:
                digests = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
                continue
            entry = msgspec.json.decode(path.read_bytes(), type=Entry)
        except msgspec.MsgspecError:
            path.unlink()
            continue
        if path.name == f"{entry.key}.json":
            entries[entry.key] = entry
        else:
            path.unlink()  # half written, or put there by somebody
    return entries, digests


def _write(folder: Path, name: str, data: bytes) -> None:
    # a name of its own: the thread of a build that was cancelled may still be writing the same file
    temporary = folder / f".{name}.{threading.get_native_id()}.tmp"
    temporary.write_bytes(data)
    os.replace(temporary, folder / name)


def _remove(folder: Path, keys: Iterable[str]) -> None:
    for key in keys:
        (folder / f"{key}.json").unlink(missing_ok=True)
