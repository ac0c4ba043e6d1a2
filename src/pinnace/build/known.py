"""Remembers the digests of a context's files by what the kernel says of them, so that only changed files are read again.

Used by `digest`, in the worker process; one file on disk for each context. A file counts as unchanged when its size, its
times and its inode are what they were: its change time can't be set by anybody.
Invariant: a digest is remembered only of a file that was at rest while it was read, and for a while before: the kernel's
clock has a grain, within which a second change would not be seen.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import msgspec

REST_NS = 1_000_000_000
ENTRIES_MAX = 100_000


class Known(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was known of one file. Units: bytes; nanoseconds since 1970."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int
    digest: str


def memory_path(folder: Path, root: Path) -> Path:
    """Return where the digests of the context `root` are kept."""
    return folder / f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:32]}.msgpack"


class KnownFiles:
    """The digests of one context; `path` "" remembers nothing."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._known: dict[str, Known] = {}
        self._seen: set[str] = set()
        self._changed = False
        if path:
            self._load()

    def _load(self) -> None:
        try:
            self._known = msgspec.msgpack.decode(Path(self._path).read_bytes(), type=dict[str, Known])
        except (OSError, msgspec.MsgspecError):
            self._known = {}  # nothing is known: all is read

    def find(self, real: str, info: os.stat_result) -> str | None:
        """Return the digest of a file, if it is what it was."""
        known = self._known.get(real)
        if known is None or known != _describe(info, known.digest):
            return None
        self._seen.add(real)
        return known.digest

    def remember(self, real: str, before: os.stat_result, after: os.stat_result, digest: str) -> None:
        """Keep a digest, given the file's state before and after it was read."""
        known = _describe(after, digest)
        at_rest = known == _describe(before, digest) and after.st_ctime_ns < time.time_ns() - REST_NS
        if self._path and at_rest and _is_text(real):
            self._known[real] = known
            self._seen.add(real)
            self._changed = True

    def save(self) -> None:
        """Write what is new; when it gets too much, only what was needed now. A failure costs nothing but time."""
        if not self._changed:
            return
        if len(self._known) > ENTRIES_MAX:
            self._known = {real: self._known[real] for real in list(self._seen)[:ENTRIES_MAX]}
        temporary = f"{self._path}.{os.getpid()}.tmp"
        try:
            Path(temporary).write_bytes(msgspec.msgpack.encode(self._known))
            os.replace(temporary, self._path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)


def _describe(info: os.stat_result, digest: str) -> Known:
    return Known(info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino, info.st_dev, digest)


def _is_text(name: str) -> bool:
    """Say whether a name can be written as UTF-8: a few can't, and are just read each time."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
