"""Keeps files that were downloaded, and asks their servers again whether they have changed. A doer.

Called by `fetching` for ADD and for contexts. Below `folder`, each URL has a file and what its server said of it; so an
unchanged file costs one small request. Invariant: a file is there under its URL only when it is complete; somebody who
got one keeps it, whatever its URL gives later (a link of its own).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from pinnace.base.chance import Chance
from pinnace.base.locks import KeyedLocks
from pinnace.build.remote.addresses import HttpSource
from pinnace.build.remote.download import Downloaded, DownloadJob, download
from pinnace.build.remote.places import list_folders
from pinnace.build.threads import in_thread
from pinnace.image.workers import Workers

KEPT_BYTES = 4 << 30  # of all files together; the ones that nobody asked for longest go first
STALL_S = 60.0

OnBytes = Callable[[int], None]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a URL. Units: bytes, unix seconds."""

    url: str
    file: str
    digest: str
    size: int
    mtime: float
    etag: str = ""
    last_modified: str = ""
    name: str = ""


class HttpFiles:
    """The files of one instance."""

    def __init__(self, folder: Path, workers: Workers, chance: Chance, *, stall_s: float = STALL_S) -> None:
        self._folder = folder
        self._workers = workers
        self._chance = chance
        self._stall_s = stall_s
        self._locks = KeyedLocks()

    async def fetch(
        self,
        source: HttpSource,
        into: Path,
        proxies: Mapping[str, str],
        ca_bundle: str,
        on_bytes: OnBytes | None = None,
    ) -> Kept:
        """Put the file behind a URL at the new path `into`, downloaded now if it has changed; return what is known of it.

        Raises: UserError, HostError.
        """
        place = self._place(source.url)
        async with self._locks.hold(place):
            kept = await self._fetch(source, place, proxies, ca_bundle, on_bytes)
            await in_thread(os.utime, place)
            await in_thread(os.link, place / kept.file, into)
        for other in await in_thread(_too_much, self._folder):
            async with self._locks.hold(other):
                await in_thread(shutil.rmtree, other, ignore_errors=True)
        return kept

    async def _fetch(
        self,
        source: HttpSource,
        place: Path,
        proxies: Mapping[str, str],
        ca_bundle: str,
        on_bytes: OnBytes | None,
    ) -> Kept:
        known = await in_thread(_load, place, source.url)
        if known is not None and source.checksum == f"sha256:{known.digest}":
            return known  # what is asked for is here, whatever the server has now
        conditional = known if known is not None and not source.checksum else None
        target = f"{self._chance.hex(16)}.data"
        await in_thread(place.mkdir, parents=True, exist_ok=True, mode=0o700)
        job = DownloadJob(
            url=source.url,
            target=str(place / target),
            checksum=source.checksum,
            etag=conditional.etag if conditional is not None else "",
            last_modified=conditional.last_modified if conditional is not None else "",
            proxies=dict(proxies),
            ca_bundle=ca_bundle,
            stall_s=self._stall_s,
        )
        try:
            done = await self._workers.call(
                download, job, None if on_bytes is None else lambda news: on_bytes(news.size)
            )
        except BaseException:
            await in_thread((place / target).unlink, missing_ok=True)
            raise
        if done.is_unchanged and conditional is not None:
            return conditional
        return await in_thread(_store, place, source.url, target, done)

    async def prune(self, before_s: float | None = None) -> int:
        """Remove files that nobody has asked for since; all of them without a time. Return how many bytes that frees."""
        freed = 0
        for place in await in_thread(list_folders, self._folder):
            async with self._locks.hold(place):
                freed += await in_thread(_prune, place, before_s)
        return freed

    def _place(self, url: str) -> Path:
        return self._folder / hashlib.sha256(url.encode()).hexdigest()[:32]


def _load(place: Path, url: str) -> Kept | None:
    try:
        kept = msgspec.json.decode((place / "kept.json").read_bytes(), type=Kept)
        info = (place / kept.file).lstat()
    except (OSError, msgspec.MsgspecError):
        return None
    return kept if kept.url == url and info.st_size == kept.size else None


def _store(place: Path, url: str, target: str, done: Downloaded) -> Kept:
    kept = Kept(
        url=url,
        file=target,
        digest=done.digest,
        size=done.size,
        mtime=done.mtime,
        etag=done.etag,
        last_modified=done.last_modified,
        name=done.name,
    )
    temporary = place / f"{target}.json"
    temporary.write_bytes(msgspec.json.encode(kept))
    os.replace(temporary, place / "kept.json")
    for path in place.iterdir():
        if path.name not in ("kept.json", target):
            path.unlink(missing_ok=True)
    return kept


def _too_much(folder: Path) -> list[Path]:
    """Return the places that were asked for longest ago, so many that the others are small enough together."""
    total, found = 0, []
    for _, size, place in sorted(_all(folder), reverse=True):
        total += size
        if total > KEPT_BYTES:
            found.append(place)
    return found


def _all(folder: Path) -> list[tuple[float, int, Path]]:
    """Return when each place was last asked for, and how large it is."""
    found = []
    for place in list_folders(folder):
        with contextlib.suppress(OSError):
            found.append((*_look(place), place))
    return found


def _look(place: Path) -> tuple[float, int]:
    """Return when a place was last asked for, and its size. Raises: OSError."""
    infos = [path.lstat() for path in (place, *place.iterdir())]
    return infos[0].st_mtime, sum(info.st_size for info in infos[1:])


def _prune(place: Path, before_s: float | None) -> int:
    try:
        used, size = _look(place)
    except OSError:
        return 0
    if before_s is not None and used >= before_s:
        return 0
    shutil.rmtree(place, ignore_errors=True)
    return size
