"""Blobs by digest. A blob is on disk, complete and verified before it has its name.

Synchronous: `store` calls it in threads. Invariant: a file in `blobs/` holds what its name says; one that does not is
reported when it is read, never repaired or used.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from pinnace.base.errors import ApiError, HostError, Reason, UserError
from pinnace.image.layout import Layout
from pinnace.oci.digest import Digest, digest_of


class Blobs:
    """The files below `blobs/sha256`."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._serial = itertools.count()

    def path(self, digest: Digest) -> Path:
        return self._layout.blob(digest)

    def has(self, digest: Digest) -> bool:
        return self.path(digest).exists()

    def size(self, digest: Digest) -> int:
        """Return the size in bytes. Raises: ApiError (NotFound)."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            raise _missing(digest) from None

    def list(self) -> Iterator[Digest]:
        for entry in os.scandir(self._layout.blobs):
            yield Digest("sha256:" + entry.name)

    def read(self, digest: Digest) -> bytes:
        """Return a small blob (a configuration, a manifest). Raises: ApiError (NotFound), HostError when it is damaged."""
        try:
            data = self.path(digest).read_bytes()
        except FileNotFoundError:
            raise _missing(digest) from None
        except OSError as error:
            raise HostError(
                f"the blob {digest} can't be read: {error.strerror}", errno=error.errno
            ) from error
        if digest_of(data) != digest:
            raise HostError(
                f"the blob {digest} is damaged: {self.path(digest)} holds something else",
                hint="remove the images that use it (pinnace rmi), and import, build or pull them anew",
            )
        return data

    def write(self, data: bytes) -> Digest:
        """Store `data` and return its name."""
        digest = digest_of(data)
        if not self.has(digest):
            with self.begin(digest) as writer:
                writer.write(data)
                writer.commit()
        return digest

    def begin(self, expected: Digest | None = None, size: int | None = None) -> BlobWriter:
        """Return a writer for a blob whose bytes come in pieces."""
        return BlobWriter(self, self.temporary(), expected, size)

    def temporary(self) -> Path:
        """Return a fresh path on the same file system."""
        return self._layout.ingest / f"blob-{os.getpid()}-{next(self._serial)}"

    def adopt(self, path: Path, digest: Digest) -> None:
        """Give a complete and verified file its name, once it is on disk."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)  # costs nothing when whoever wrote it did so
        finally:
            os.close(fd)
        os.chmod(path, 0o444)
        os.rename(path, self.path(digest))
        _sync_directory(self._layout.blobs)

    def discard(self, digest: Digest) -> tuple[Path | None, int]:
        """Take a blob out of the store; return where it is now, for somebody to remove, and its bytes."""
        target = self._layout.trash / f"blob-{os.getpid()}-{next(self._serial)}"
        try:
            size = self.path(digest).stat().st_size
            os.rename(self.path(digest), target)
        except FileNotFoundError:
            return None, 0
        return target, size


class BlobWriter:
    """Writes a blob to a file without a name; `commit` names it, leaving the block without it removes it."""

    def __init__(self, blobs: Blobs, path: Path, expected: Digest | None, size: int | None) -> None:
        self._blobs = blobs
        self._path = path
        self._expected = expected
        self._expected_size = size
        self._hash = hashlib.sha256()
        self._file = path.open("xb")
        self.size = 0

    def write(self, data: bytes) -> None:
        """Add bytes. Raises: UserError when there are more than were announced."""
        self._hash.update(data)
        self.size += len(data)
        if self._expected_size is not None and self.size > self._expected_size:
            raise UserError(
                f"the blob {self._expected} is larger than the {self._expected_size} bytes that were announced"
            )
        self._file.write(data)

    def commit(self) -> Digest:
        """Verify, write to disk, name. Raises: UserError when the digest or the size is another one."""
        digest = Digest("sha256:" + self._hash.hexdigest())
        if self._expected is not None and digest != self._expected:
            raise UserError(
                f"a blob has the digest {digest}, expected {self._expected}",
                hint="it was damaged on its way; try again",
            )
        if self._expected_size is not None and self.size != self._expected_size:
            raise UserError(f"the blob {digest} has {self.size} bytes, expected {self._expected_size}")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._blobs.adopt(self._path, digest)
        return digest

    def __enter__(self) -> BlobWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


def _missing(digest: Digest) -> ApiError:
    return ApiError(
        Reason.NOT_FOUND, f"there is no blob {digest} in the image store", kind="blobs", name=digest
    )


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
