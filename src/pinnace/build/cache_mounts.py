"""Keeps the folders of `RUN --mount=type=cache` between builds and restarts, and hands them out. A doer.

`<home>/build/mounts/<name>/` holds `data`, which is mounted, and `mount.json`, what is known of it. One cache may have several
folders: commands that want one to themselves get another while it is in use.
Called by `run_mounts`, and by whoever shows or prunes caches.
Invariants: what is in use is never removed; a folder is used only when it was made whole; what a killed command wrote stays.
Source: BuildKit, solver/llbsolver/mounts/mount.go (behaviour of shared, private and locked).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pinnace.base.chance import Chance
from pinnace.base.clock import Clock
from pinnace.base.errors import HostError
from pinnace.base.locks import KeyedLocks
from pinnace.build.undo import finished

log = logging.getLogger("pinnace.build")

RECORD, DATA, NEW = "mount.json", "data", ".new"
DEFAULT_MODE = 0o755  # Source: BuildKit, dockerfile2llb/convert_runmount.go, setCacheUIDGID

Fill = Callable[[Path], Awaitable[None]]


class CacheMountKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What makes a cache another cache: its id, what it began with, and the owner and mode of its folder."""

    id: str
    content: str = ""
    mode: int = -1
    uid: int = -1
    gid: int = -1


class CacheMountRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one folder. Units: unix seconds."""

    name: str
    key: CacheMountKey
    created: float
    used: float


@dataclass(frozen=True, slots=True)
class CacheMountFacts:
    """One folder as it is shown. `name` is what `remove` takes. Units: bytes, unix seconds."""

    name: str
    id: str
    size: int
    created: float
    used: float
    in_use: bool


@dataclass(slots=True)
class _Folder:
    record: CacheMountRecord
    users: int = 0
    is_shared: bool = False


class CacheMounts:
    """All caches below `root`."""

    def __init__(self, root: Path, clock: Clock, chance: Chance) -> None:
        self._root = root
        self._clock = clock
        self._chance = chance
        self._folders: dict[str, _Folder] = {}
        self._freed = asyncio.Condition()
        self._making = KeyedLocks()

    async def load(self) -> None:
        """Read what is there; what a crash left half made or half removed goes. No command may use one then."""
        records = await asyncio.to_thread(_load, self._root)
        self._folders = {record.name: _Folder(record) for record in records}

    @contextlib.asynccontextmanager
    async def use(self, key: CacheMountKey, sharing: str, fill: Fill | None = None) -> AsyncIterator[Path]:
        """Give a cache's folder for as long as a command runs; `fill` puts into a new one what it begins with.

        "shared" gives all who want it the same; "private" a free one, else a new one; "locked" waits until it is free.
        Raises: HostError, and what `fill` raises.
        """
        folder = await self._take(key, sharing, fill)
        try:
            yield self._data(folder.record.name)
        finally:
            await finished(self._give_back(folder))

    async def _take(self, key: CacheMountKey, sharing: str, fill: Fill | None) -> _Folder:
        while True:
            async with self._making.hold(key):
                folder = self._find(key, sharing)
                if folder is None and not (sharing == "locked" and self._of(key)):
                    folder = await self._make(key, fill)
                if folder is not None:
                    folder.users += 1
                    folder.is_shared = sharing == "shared"
                    return folder
            async with self._freed:
                if all(one.users for one in self._of(key)):
                    await self._freed.wait()

    def _of(self, key: CacheMountKey) -> list[_Folder]:
        return [one for one in self._folders.values() if one.record.key == key]

    def _find(self, key: CacheMountKey, sharing: str) -> _Folder | None:
        """Return a folder that may be used now: the one that is shared already, else the one last used of those free."""
        found = sorted(self._of(key), key=lambda one: -one.record.used)
        if sharing == "shared":
            shared = next((one for one in found if one.users and one.is_shared), None)
            if shared is not None:
                return shared
        return next((one for one in found if not one.users), None)

    async def _make(self, key: CacheMountKey, fill: Fill | None) -> _Folder:
        now = self._clock.now()
        digest = hashlib.sha256(msgspec.json.encode(key)).hexdigest()
        name = f"{digest[:32]}-{self._chance.hex(8)}"
        record = CacheMountRecord(name=name, key=key, created=now, used=now)
        new = self._root / (name + NEW)
        try:
            await asyncio.to_thread(_make, new)
            if fill is not None:
                await fill(new / DATA)
            await asyncio.to_thread(_complete, new, self._root / name, record)
        except BaseException:
            await finished(asyncio.to_thread(shutil.rmtree, new, ignore_errors=True))
            raise
        folder = _Folder(record)
        self._folders[name] = folder
        return folder

    async def _give_back(self, folder: _Folder) -> None:
        folder.users -= 1
        folder.record = msgspec.structs.replace(folder.record, used=self._clock.now())
        try:
            await asyncio.to_thread(_write, self._root / folder.record.name, folder.record)
        except OSError as error:  # the command is done; only when it was is not remembered
            log.warning("build cache %s: %s", folder.record.name, error)
        async with self._freed:
            self._freed.notify_all()

    def _data(self, name: str) -> Path:
        return self._root / name / DATA

    async def list(self) -> tuple[CacheMountFacts, ...]:
        """Return all folders, the one that was used last first; their sizes are measured now."""
        found = sorted(self._folders.values(), key=lambda one: -one.record.used)
        sizes = await asyncio.to_thread(lambda: [_measure(self._data(one.record.name)) for one in found])
        return tuple(
            CacheMountFacts(
                name=one.record.name,
                id=one.record.key.id.removeprefix("/"),
                size=size,
                created=one.record.created,
                used=one.record.used,
                in_use=one.users > 0,
            )
            for one, size in zip(found, sizes, strict=True)
        )

    async def remove(self, name: str) -> bool:
        """Remove a folder; False when it is in use or not there."""
        folder = self._folders.get(name)
        if folder is None or folder.users:
            return False
        del self._folders[name]
        await asyncio.to_thread(_remove, self._root / name)
        return True


def _load(root: Path) -> list[CacheMountRecord]:
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    records = []
    for entry in sorted(root.iterdir()):
        try:
            record = msgspec.json.decode((entry / RECORD).read_bytes(), type=CacheMountRecord)
        except (OSError, msgspec.MsgspecError):
            shutil.rmtree(entry, ignore_errors=True)
            continue
        if record.name == entry.name:
            records.append(record)
        else:
            shutil.rmtree(entry, ignore_errors=True)
    return records


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700)
        (folder / DATA).mkdir()
        (folder / DATA).chmod(DEFAULT_MODE)
    except OSError as error:
        raise HostError(f"{folder} can't be made: {error.strerror}", errno=error.errno) from error


def _complete(new: Path, final: Path, record: CacheMountRecord) -> None:
    key, data = record.key, new / DATA
    try:
        if max(key.mode, key.uid, key.gid) >= 0:
            os.chown(data, max(key.uid, 0), max(key.gid, 0))
            os.chmod(data, DEFAULT_MODE if key.mode < 0 else key.mode)
        _write(new, record)
        os.rename(new, final)
    except OSError as error:
        raise HostError(f"{final} can't be made: {error.strerror}", errno=error.errno) from error


def _write(folder: Path, record: CacheMountRecord) -> None:
    beside = folder / (RECORD + NEW)
    beside.write_bytes(msgspec.json.encode(record))
    os.replace(beside, folder / RECORD)


def _measure(folder: Path) -> int:
    """Return what the files take on disk; hard links once. Units: bytes."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                info = os.lstat(os.path.join(place, name))
                if info.st_nlink == 1 or (info.st_dev, info.st_ino) not in seen:
                    seen.add((info.st_dev, info.st_ino))
                    total += info.st_blocks * 512
    return total


def _remove(folder: Path) -> None:
    gone = folder.with_name(folder.name + NEW)  # `load` removes it, should this one be killed
    with contextlib.suppress(FileNotFoundError):
        os.rename(folder, gone)
    shutil.rmtree(gone, ignore_errors=True)
