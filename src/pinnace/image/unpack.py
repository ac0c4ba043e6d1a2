"""Unpacks a layer's tar into a tree that overlayfs takes as a lower directory.

Runs in the worker process, the only writer of a tree that has no name yet. It never follows a link out of the root (see
`tree`), never sets an attribute that overlayfs reads from an archive, and gives up at the first entry it can't make.
Invariant: when it returns, every entry is there with its owner, mode, time and attributes; the caller throws the tree
away when it raises.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from pinnace.base.errors import HostError, PinnaceError
from pinnace.image import tar_format as tf
from pinnace.image import whiteouts
from pinnace.image.recipe import RecipeWriter
from pinnace.image.root_facts import mark_root
from pinnace.image.streams import write_all
from pinnace.image.tar_format import Entry, TarError, show
from pinnace.image.tar_read import TarReader
from pinnace.image.tree import Tree, clean_path, made_error

WHOLE_BYTES = 1 << 20  # files up to here are written with one call
TIME_MIN_NS, TIME_MAX_NS = -(2**31) * 10**9, 2**34 * 10**9 - 1  # what ext4 can hold
HOLE_BYTES = 1 << 16
_ZEROS = bytes(HOLE_BYTES)
PROGRESS_EVERY = 512
ID_MAX = 2**32 - 2  # Source: Linux; the last one means "no change" to chown
REPLACED_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive may ask for. Units: bytes; `content_bytes` 0 means as much as the disk has free."""

    entries: int = 5_000_000
    content_bytes: int = 0
    xattr_bytes: int = 65536  # Source: linux/limits.h, XATTR_SIZE_MAX
    xattrs_bytes: int = 262144  # all of one entry, with their names


@dataclass(slots=True)
class Unpacked:
    """What was made. Units: bytes of file contents."""

    entries: int = 0
    size: int = 0


Progress = Callable[[int, int], None]


def unpack(
    reader: TarReader,
    tree: Tree,
    limits: Limits,
    progress: Progress | None = None,
    recipe: RecipeWriter | None = None,
) -> Unpacked:
    """Make all entries in `tree`. `progress` is called with (entries, bytes read) now and then.

    `recipe`, if it is the reader's tape, is told which contents became which files.
    Raises: TarError (the archive's fault), HostError (the machine's).
    """
    return _Unpacker(reader, tree, limits, recipe).run(progress)


class _Unpacker:
    def __init__(self, reader: TarReader, tree: Tree, limits: Limits, recipe: RecipeWriter | None) -> None:
        self._recipe = recipe
        self._reader = reader
        self._tree = tree
        self._limits = limits
        self._done = Unpacked()
        self._times: dict[bytes, int] = {}  # of directories: set when nothing changes in them any more
        free = os.statvfs(tree.root).f_bavail * os.statvfs(tree.root).f_frsize
        self._room = limits.content_bytes or free
        self._makers: dict[bytes, Callable[[Entry, bytes, int, bytes], None]] = {
            tf.REGULAR: self._regular,
            tf.CONTIGUOUS: self._regular,
            tf.LINK: self._link,
            tf.SYMLINK: self._symlink,
            tf.CHARACTER: self._device,
            tf.DEVICE: self._device,
            tf.FIFO: self._device,
            tf.DIRECTORY: self._directory,
        }

    def run(self, progress: Progress | None) -> Unpacked:
        done = self._done
        for entry in self._reader:
            done.entries += 1
            if done.entries > self._limits.entries:
                raise TarError(f"the archive has more than {self._limits.entries} entries")
            self._add(entry)
            if progress is not None and not done.entries % PROGRESS_EVERY:
                progress(done.entries, self._reader.position)
        self._set_directory_times()
        # a directory that the archive listed after all depends on nothing below
        self._tree.implied = [path for path in self._tree.implied if path not in self._times]
        return done

    def _add(self, entry: Entry) -> None:
        path = clean_path(entry.name)
        if not (0 <= entry.uid <= ID_MAX and 0 <= entry.gid <= ID_MAX):
            raise TarError(
                f"the archive's entry {show(entry.name)} has the owner {entry.uid}:{entry.gid}, which can't be"
            )
        make = self._makers.get(entry.kind)
        if make is None:
            raise TarError(f"the archive's entry {show(entry.name)} has the unknown type {show(entry.kind)}")
        try:
            if not path:
                self._root(entry)
                return
            fd, name = self._tree.locate(path)
            if name.startswith(whiteouts.PREFIX):
                self._whiteout(path, fd, name)
            else:
                make(entry, path, fd, name)
        except OSError as error:
            raise made_error(error, path) from error

    def _root(self, entry: Entry) -> None:
        if entry.kind != tf.DIRECTORY:
            raise TarError(f"the archive's entry {show(entry.name)} would replace the root by something else")
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._tree.root_fd)
        try:
            self._set_open(entry, fd)
            mark_root(fd)
        finally:
            os.close(fd)

    def _regular(self, entry: Entry, path: bytes, parent: int, name: bytes) -> None:
        size = entry.real_size if entry.sparse is not None else entry.size
        self._done.size += size
        if self._done.size > self._room:
            raise self._too_large(path, size)
        fd = self._create(entry.mode, parent, name)
        try:
            if entry.sparse is not None:
                self._fill_sparse(entry, fd)
            elif entry.size <= WHOLE_BYTES:
                if entry.size:
                    write_all(fd, self._reader.read())
            else:
                self._fill_with_holes(entry, fd)
            if self._recipe is not None and entry.sparse is None:
                self._recipe.contents(path, entry.size)
            if entry.uid or entry.gid:
                os.fchown(fd, entry.uid, entry.gid)
                if entry.mode & 0o6000:
                    os.fchmod(fd, entry.mode)  # chown cleared the set-id bits
            if entry.xattrs:
                self._set_xattrs(entry, fd)
            time_ns = _clamp(entry.mtime_ns)
            os.utime(fd, ns=(time_ns, time_ns))
        finally:
            os.close(fd)

    def _create(self, mode: int, parent: int, name: bytes) -> int:
        try:
            return os.open(name, REPLACED_FLAGS, mode, dir_fd=parent)
        except FileExistsError:
            parent = self._clear(parent, name)
            try:
                return os.open(name, REPLACED_FLAGS, mode, dir_fd=parent)
            finally:
                os.close(parent)

    def _clear(self, parent: int, name: bytes) -> int:
        """Remove what an entry replaces; return a descriptor of the directory that the caller closes."""
        keep = os.dup(parent)
        try:
            self._remove(parent, name)
        except BaseException:
            os.close(keep)
            raise
        return keep

    def _remove(self, parent: int, name: bytes) -> None:
        """Remove what an entry replaces. What it held is gone, so that no recipe can name it."""
        self._tree.remove(parent, name)
        if self._recipe is not None:
            self._recipe.spoiled = True

    def _fill_with_holes(self, entry: Entry, fd: int) -> None:
        """Write a large file; long runs of zeros stay holes, which its archive may not have known as such."""
        holes = False
        for piece in self._reader.pieces():
            if piece[0] or piece[-1] or len(piece) < HOLE_BYTES:
                write_all(fd, piece)
                continue
            for at in range(0, len(piece), HOLE_BYTES):
                part = piece[at : at + HOLE_BYTES]
                if part == _ZEROS:
                    os.lseek(fd, HOLE_BYTES, os.SEEK_CUR)
                    holes = True
                else:
                    write_all(fd, part)
        if holes:
            os.ftruncate(fd, entry.size)

    def _fill_sparse(self, entry: Entry, fd: int) -> None:
        os.ftruncate(fd, entry.real_size)
        for offset, length in entry.sparse or ():
            os.lseek(fd, offset, os.SEEK_SET)
            for piece in self._reader.pieces(length):
                write_all(fd, piece)
                if self._recipe is not None:
                    self._recipe.raw(piece)

    def _link(self, entry: Entry, path: bytes, parent: int, name: bytes) -> None:
        target = clean_path(entry.link)
        if not target:
            raise TarError(f"the archive's entry {show(path)} is a hard link to the root")
        if target == path:
            return
        parent = os.dup(parent)  # locating the target may forget it
        try:
            source, source_name = self._tree.locate(target)
            try:
                os.link(source_name, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
            except FileExistsError:
                self._remove(parent, name)
                source, source_name = self._tree.locate(target)
                os.link(source_name, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            raise TarError(
                f"the archive's entry {show(path)} is a hard link to {show(entry.link)}, which is not in the archive before it"
            ) from None
        except PermissionError:
            raise TarError(
                f"the archive's entry {show(path)} is a hard link to {show(entry.link)}, which is a directory"
            ) from None
        finally:
            os.close(parent)

    def _symlink(self, entry: Entry, path: bytes, parent: int, name: bytes) -> None:
        self._done.size += len(entry.link)  # as Docker counts
        self._make_named(entry, parent, name, lambda fd: os.symlink(entry.link, name, dir_fd=fd))

    def _device(self, entry: Entry, path: bytes, parent: int, name: bytes) -> None:
        kind = {tf.CHARACTER: stat.S_IFCHR, tf.DEVICE: stat.S_IFBLK, tf.FIFO: stat.S_IFIFO}[entry.kind]
        if not (0 <= entry.major < 1 << 12 and 0 <= entry.minor < 1 << 20):
            raise TarError(
                f"the archive's entry {show(path)} has the device number {entry.major}:{entry.minor}"
            )
        device = os.makedev(entry.major, entry.minor)
        if kind == stat.S_IFCHR and device == whiteouts.DEVICE:
            raise TarError(
                f"the archive's entry {show(path)} is the device 0:0, which overlayfs takes for a deleted file"
            )
        self._make_named(entry, parent, name, lambda fd: os.mknod(name, kind | entry.mode, device, dir_fd=fd))

    def _make_named(self, entry: Entry, parent: int, name: bytes, make: Callable[[int], None]) -> None:
        keep = os.dup(parent)
        try:
            try:
                make(keep)
            except FileExistsError:
                self._remove(parent, name)
                make(keep)
            if entry.uid or entry.gid:
                os.chown(name, entry.uid, entry.gid, dir_fd=keep, follow_symlinks=False)
            time_ns = _clamp(entry.mtime_ns)
            os.utime(name, ns=(time_ns, time_ns), dir_fd=keep, follow_symlinks=False)
        finally:
            os.close(keep)

    def _directory(self, entry: Entry, path: bytes, parent: int, name: bytes) -> None:
        opaque = False
        try:
            os.mkdir(name, entry.mode, dir_fd=parent)
        except FileExistsError:
            state = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if not stat.S_ISDIR(state.st_mode):
                opaque = whiteouts.is_whiteout(state)
                keep = self._clear(parent, name)
                os.mkdir(name, entry.mode, dir_fd=keep)
                os.close(keep)
                parent = self._tree.locate(path)[0]
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            if opaque:
                os.setxattr(fd, whiteouts.OPAQUE_XATTR, whiteouts.OPAQUE_VALUE)
            self._set_open(entry, fd)
        finally:
            os.close(fd)
        self._times[path] = entry.mtime_ns

    def _set_open(self, entry: Entry, fd: int) -> None:
        os.fchown(fd, entry.uid, entry.gid)
        os.fchmod(fd, entry.mode)
        if entry.xattrs:
            self._set_xattrs(entry, fd)

    def _set_xattrs(self, entry: Entry, fd: int) -> None:
        total = sum(len(key) + len(value) for key, value in entry.xattrs.items())
        if total > self._limits.xattrs_bytes:
            raise TarError(
                f"the archive's entry {show(entry.name)} has attributes of {total} bytes, "
                f"more than {self._limits.xattrs_bytes}"
            )
        for key, value in entry.xattrs.items():
            name = key.decode(errors="surrogateescape")
            if not whiteouts.is_allowed_xattr(name):
                continue
            if len(value) > self._limits.xattr_bytes:
                raise TarError(
                    f"the archive's entry {show(entry.name)} has an attribute of {len(value)} bytes"
                )
            try:
                os.setxattr(fd, name, value)
            except OSError as error:
                if error.errno == errno.EOPNOTSUPP:
                    continue
                if error.errno in (errno.ENOSPC, errno.ERANGE, errno.E2BIG, errno.EINVAL):
                    raise TarError(
                        f"the archive's entry {show(entry.name)} has an attribute {show(key[:60])} of {len(value)} bytes "
                        f"that can't be set: {error.strerror}"
                    ) from error
                raise

    def _whiteout(self, path: bytes, parent: int, name: bytes) -> None:
        if name == whiteouts.OPAQUE:
            fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
            try:
                os.setxattr(fd, whiteouts.OPAQUE_XATTR, whiteouts.OPAQUE_VALUE)
            finally:
                os.close(fd)
            return
        if name.startswith(whiteouts.META_PREFIX):
            return
        hidden = name[len(whiteouts.PREFIX) :]
        if hidden in (b"", b".", b".."):
            raise TarError(f"the archive's entry {show(path)} is a whiteout of nothing")
        try:
            os.mknod(hidden, stat.S_IFCHR, whiteouts.DEVICE, dir_fd=parent)
        except FileExistsError:
            self._whiteout_of_own(parent, hidden)

    def _whiteout_of_own(self, parent: int, name: bytes) -> None:
        """A whiteout is for the layers below: what this layer itself brought stays, and hides them."""
        if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            return
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            os.setxattr(fd, whiteouts.OPAQUE_XATTR, whiteouts.OPAQUE_VALUE)
        finally:
            os.close(fd)

    def _set_directory_times(self) -> None:
        for path, time_ns in sorted(self._times.items(), reverse=True):
            state = self._tree.stat(path)
            if state is None or not stat.S_ISDIR(state.st_mode):
                continue  # a later entry took its place
            fd, name = self._tree.locate(path)
            os.utime(name, ns=(_clamp(time_ns), _clamp(time_ns)), dir_fd=fd, follow_symlinks=False)

    def _too_large(self, path: bytes, size: int) -> PinnaceError:
        if self._limits.content_bytes:
            return TarError(
                f"the archive's entry {show(path)} ({size} bytes) takes it over the limit of {self._room} bytes"
            )
        return HostError(
            f"the archive's entry {show(path)} claims {size} bytes, but the disk has only {self._room} bytes for all of it",
            errno=errno.ENOSPC,
            hint="free some space, or look whether the archive is what you think",
        )


def _clamp(time_ns: int) -> int:
    return min(max(time_ns, TIME_MIN_NS), TIME_MAX_NS)
