"""Reads and writes the state file, a SQLite database with one table: the log.

Called by `sqlite.py`: opened and loaded on the loop's thread before anything else runs, then used by the commit thread
only. A damaged file is reported, never repaired: each row carries a checksum, and the log must fit together.
Invariant: the file holds every change after `compacted`, and for each key alive at `compacted` its state then.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from sys import intern
from typing import cast

import msgspec

from pinnace.base.errors import HostError
from pinnace.store.interface import Change, ChangeType, Header, Key, Record, Revision, StoreFailed
from pinnace.store.state import State

APPLICATION_ID = 0x50494E4E  # "PINN"
FORMAT = 1
CHANGE_TYPES = frozenset(("ADDED", "MODIFIED", "DELETED"))

SCHEMA = f"""
CREATE TABLE log (
    revision INTEGER PRIMARY KEY,
    type TEXT NOT NULL,
    previous INTEGER NOT NULL,
    resource TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    header BLOB NOT NULL,
    value BLOB NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE TABLE compaction (revision INTEGER NOT NULL);
INSERT INTO compaction VALUES (0);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
"""

INSERT = "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
SELECT = "SELECT revision, type, previous, resource, namespace, name, header, value, checksum FROM log ORDER BY revision"

WIPE_HINT = "restore the file from a copy, or start over with: pinnace down --wipe"

# SQLite keeps the system's errno to itself; its primary result codes say as much as a person needs.
ERRNO_BY_CODE: Mapping[int, int] = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_NOMEM: errno.ENOMEM,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
}

Row = tuple[int, str, int, str, str, str, bytes, bytes, int]


class StoredHeader(msgspec.Struct, omit_defaults=True, gc=False):
    """The header as the file keeps it; the key has columns of its own."""

    uid: str = ""
    labels: dict[str, str] = {}
    owners: tuple[str, ...] = ()
    fields: dict[str, str] = {}


_encode_header = msgspec.json.Encoder().encode
_decode_header = msgspec.json.Decoder(StoredHeader).decode


class StateFile:
    """An open state file, locked against other processes."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make one. Raises: HostError, naming the file, when it can't be used as it is."""
        self.path = path
        if not path.exists():
            _create(path)
        try:
            self._db = _connect(path)
        except sqlite3.Error as error:
            raise _explain(error, path) from error

    def load(self) -> State:
        """Read the whole log. Raises: HostError when it is damaged."""
        try:
            compacted = Revision(self._db.execute("SELECT revision FROM compaction").fetchone()[0])
            return _replay(self._db.execute(SELECT), compacted, self.path)
        except sqlite3.Error as error:
            raise _explain(error, self.path) from error

    def commit(
        self, changes: Sequence[Change], drops: Sequence[Revision], compacted: Revision | None
    ) -> None:
        """Make all of it durable, or nothing. Raises: sqlite3.Error."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            db.executemany(INSERT, map(_to_row, changes))
            if drops:
                db.executemany("DELETE FROM log WHERE revision = ?", ((revision,) for revision in drops))
            if compacted is not None:
                db.execute("UPDATE compaction SET revision = ?", (compacted,))
            db.execute("COMMIT")
        except sqlite3.Error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        self._db.close()


def to_store_failed(error: Exception, path: Path) -> StoreFailed:
    """Return what writers are told when the disk refuses."""
    code = _primary_code(error)
    number = error.errno if isinstance(error, OSError) else ERRNO_BY_CODE.get(code, errno.EIO)
    hint = (
        "make room on the disk, then: pinnace down; pinnace up"
        if number == errno.ENOSPC
        else "see dmesg, then restart Pinnace"
    )
    return StoreFailed(f"{path} can't be written: {error}", errno=number, hint=hint)


def _create(path: Path) -> None:
    """Make an empty state file: complete, or not there at all, so that a truncated one is never taken for new."""
    wal = Path(f"{path}-wal")
    if wal.exists():
        raise HostError(
            f"{path} is missing, but its write-ahead log {wal.name} is there",
            errno=errno.ENOENT,
            hint=f"restore {path.name}, or remove {wal.name} too to start over",
        )
    fresh = Path(f"{path}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # it holds Secrets
        db = sqlite3.connect(fresh, isolation_level=None)
        try:
            db.executescript(f"PRAGMA synchronous = FULL; {SCHEMA}")
        finally:
            db.close()
        os.rename(fresh, path)
        _sync_folder(path.parent)
    except (OSError, sqlite3.Error) as error:
        raise _explain(error, path) from error


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0.0)
    try:
        # Exclusive before WAL: the index of the WAL stays in our memory, and a second process is refused.
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        _check_format(db, path)  # before anything is written: what is not ours stays as it is
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN IMMEDIATE")
        db.execute("COMMIT")
    except (sqlite3.Error, HostError):
        db.close()
        raise
    return db


def _check_format(db: sqlite3.Connection, path: Path) -> None:
    application = db.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION_ID:
        raise HostError(f"{path} is not a state file of Pinnace", hint=WIPE_HINT)
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version != FORMAT:
        raise HostError(
            f"{path} has format {version}; this Pinnace reads format {FORMAT}",
            hint="use the version of Pinnace that wrote it",
        )


def _replay(rows: Iterable[Row], compacted: Revision, path: Path) -> State:
    """Return the state that the rows describe, having checked that they fit together."""
    state = State(compacted, compacted)
    for row in rows:
        change_type, previous, record = _from_row(row, path)
        if record.revision <= compacted:
            if change_type == "DELETED" or state.get(record.key) is not None:
                raise _damaged(path, record, "should have been compacted")
            state.put(record)
            continue
        if record.revision != state.revision + 1:
            raise _damaged(path, record, f"does not follow {state.revision}")
        before = state.get(record.key)
        if (0 if before is None else before.revision) != previous or (before is None) != (
            change_type == "ADDED"
        ):
            raise _damaged(path, record, f"follows revision {previous} of the object, which is not there")
        state.apply(Change(change_type, record, before))
    return state


def _to_row(change: Change) -> Row:
    record = change.record
    header = record.header
    stored = _encode_header(StoredHeader(header.uid, dict(header.labels), header.owners, dict(header.fields)))
    previous = 0 if change.previous is None else change.previous.revision
    key = header.key
    return (
        record.revision, change.type, previous, *key, stored, record.value,
        _checksum(record.revision, change.type, previous, key, stored, record.value),
    )  # fmt: skip


def _from_row(row: Row, path: Path) -> tuple[ChangeType, int, Record]:
    revision, change_type, previous, resource, namespace, name, stored, value, checksum = row
    key = Key(intern(resource), intern(namespace), name)
    try:
        if (
            checksum != _checksum(revision, change_type, previous, key, stored, value)
            or change_type not in CHANGE_TYPES
        ):
            raise ValueError("its checksum is wrong")
        header = _decode_header(stored)
    except (ValueError, TypeError) as error:
        raise HostError(
            f"{path} is damaged: revision {revision} ({key}): {error}", errno=errno.EIO, hint=WIPE_HINT
        ) from error
    labels, fields = _shared(*header.labels.items()), _shared(*header.fields.items())
    full = Header(key=key, uid=header.uid, labels=labels, owners=header.owners, fields=fields)
    return cast(ChangeType, change_type), previous, Record(full, Revision(revision), value)


@lru_cache(maxsize=4096)
def _shared(*items: tuple[str, str]) -> Mapping[str, str]:
    """Return one map for all that say the same: the pods of a ReplicaSet have the labels of one, and nobody mutates them."""
    return dict(items)


def _checksum(revision: int, change_type: str, previous: int, key: Key, stored: bytes, value: bytes) -> int:
    start = zlib.crc32(f"{revision} {change_type} {previous} {key}".encode())
    return zlib.crc32(value, zlib.crc32(stored, start))


def _damaged(path: Path, record: Record, what: str) -> HostError:
    return HostError(
        f"{path} is damaged: revision {record.revision} ({record.key}) {what}",
        errno=errno.EIO,
        hint=WIPE_HINT,
    )


def _explain(error: Exception, path: Path) -> HostError:
    code = _primary_code(error)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return HostError(f"{path} is damaged: {error}", errno=errno.EIO, hint=WIPE_HINT)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return HostError(
            f"{path} is in use by another process",
            errno=errno.EBUSY,
            hint="is another pinnace up? pinnace status",
        )
    number = error.errno if isinstance(error, OSError) else ERRNO_BY_CODE.get(code, errno.EIO)
    return HostError(
        f"{path} can't be opened: {error}",
        errno=number,
        hint="is the folder there, and writable by this user?",
    )


def _primary_code(error: Exception) -> int:
    """Return SQLite's primary result code: the low byte of the extended one."""
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


__all__ = ["StateFile", "to_store_failed"]
