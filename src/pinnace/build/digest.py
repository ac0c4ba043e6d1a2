"""Digests what a COPY takes: names, kinds, modes, owners where they are kept, contents; never times. Runs in the worker.

Invariant: two selections with the same digest give the same files when they are copied.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
import stat
from collections.abc import Callable, Iterator

import msgspec

from pinnace.base.errors import HostError, UserError
from pinnace.build.known import KnownFiles
from pinnace.build.listing import Listing, ListingMaker
from pinnace.build.selection import Found, Selection, find_sources
from pinnace.build.walk import Item, walk

Report = Callable[[str, int, int], None]  # what, entries, bytes

BLOCK_BYTES = 1 << 20
KEPT_XATTRS = ("security.capability", "user.")  # what a copy of another stage's file takes along


class SelectionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a selection holds. Units: bytes."""

    digest: str
    entries: int
    size: int
    unmatched: tuple[str, ...] = ()
    listing: Listing = Listing()


def digest_sources(job: Selection, report: Report) -> SelectionFacts:
    """Return the digest of a selection. Raises: UserError when a source isn't there, HostError."""
    findings = find_sources(job)
    digester = _Digester(job, report)
    with told_as_host_error():
        for found in findings.found:
            digester.add_source(found)
    digester.known.save()
    return SelectionFacts(
        digest=digester.total.hexdigest(),
        entries=digester.entries,
        size=digester.size,
        unmatched=findings.unmatched,
        listing=digester.listing.finish(),
    )


@contextlib.contextmanager
def told_as_host_error() -> Iterator[None]:
    """Tell what the machine refuses as that, with the file; a source that goes away meanwhile is the person's doing."""
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(
            f"{error.filename} vanished while it was read", "build again when nothing changes it"
        ) from error
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        raise HostError(f"{name}{error.strerror}", errno=error.errno) from error


class _Digester:
    def __init__(self, selection: Selection, report: Report) -> None:
        self._selection = selection
        self._rules = selection.rules()
        self._excludes = selection.excludes()
        self._report = report
        self.known = KnownFiles(selection.known)
        self._buffer = memoryview(bytearray(BLOCK_BYTES))
        self.total = hashlib.sha256()
        self.listing = ListingMaker()
        self.entries = 0
        self.size = 0

    def add_source(self, found: Found) -> None:
        self._add_fields("folder" if found.is_folder else "file", "" if found.is_folder else found.name)
        for item in self._items(found):
            self._add_item(item, posixpath.join(found.path, item.name) if item.name else found.path)
        self._add_fields("end")

    def _items(self, found: Found) -> Iterator[Item]:
        yield Item("", found.real, os.stat(found.real, follow_symlinks=False))
        if found.is_folder:
            yield from walk(found.real, found.path, self._rules, self._excludes, found.included())

    def _add_item(self, item: Item, path: str) -> None:
        info = item.info
        self.entries += 1
        self.size += info.st_size if stat.S_ISREG(info.st_mode) else 0
        owner = f"{info.st_uid}:{info.st_gid}" if self._selection.keep_owner else ""
        self._add_fields(item.name, f"{info.st_mode:o}", owner)
        if self._selection.keep_owner:
            for name, value in read_xattrs(item.real).items():
                self._add_fields(name, value.hex())
        content = self._content(item)
        self._add_fields(content)
        if not item.is_folder:
            self.listing.add(path, f"{info.st_mode:o}", owner, content)
        self._report("reading", self.entries, self.size)

    def _add_fields(self, *fields: str) -> None:
        """A NUL ends each field: no name, link or number has one in it."""
        self.total.update("\0".join((*fields, "")).encode(errors="surrogateescape"))

    def _content(self, item: Item) -> str:
        mode = item.info.st_mode
        if stat.S_ISREG(mode):
            return self.known.find(item.real, item.info) or self._digest_file(item)
        if stat.S_ISLNK(mode):
            return os.readlink(item.real)
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            return str(item.info.st_rdev)
        return ""

    def _digest_file(self, item: Item) -> str:
        found, before = hashlib.sha256(), self.size - item.info.st_size
        descriptor = os.open(item.real, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            while count := os.readv(descriptor, [self._buffer]):
                found.update(self._buffer[:count])
                before += count
                if count == BLOCK_BYTES:
                    self._report("reading", self.entries, before)
            digest = found.hexdigest()
            self.known.remember(item.real, item.info, os.fstat(descriptor), digest)
            return digest
        finally:
            os.close(descriptor)


def read_xattrs(real: str) -> dict[str, bytes]:
    """Return the attributes of a file that a copy keeps."""
    names = os.listxattr(real, follow_symlinks=False)
    return {
        name: os.getxattr(real, name, follow_symlinks=False)
        for name in sorted(names)
        if name.startswith(KEPT_XATTRS)
    }
