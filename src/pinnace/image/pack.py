"""Writes a layer tree as the one tar that belongs to it: the same tree always gives the same bytes, hence the same diff id.

Runs in the worker process. That is why a layer needs no copy as an archive: its diff id is known after one reading, and
the archive can be written again whenever somebody pushes or saves it.
Order: depth first, names by their bytes; an opaque mark right after its directory. Times are whole seconds, owners are
numbers, sockets are left out (as GNU tar and Docker do), whiteouts are turned back into names.
Invariant: pack(unpack(pack(tree))) == pack(tree).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pinnace.base.errors import HostError, UserError
from pinnace.image import tar_format as tf
from pinnace.image import whiteouts
from pinnace.image.root_facts import means_root
from pinnace.image.tar_format import BLOCK, Entry, render_header, show

READ_BYTES = 1 << 20
END = bytes(2 * BLOCK)
PROGRESS_EVERY = 512


@dataclass(slots=True)
class Packed:
    """What was written. Units: bytes of file contents."""

    entries: int = 0
    size: int = 0


Progress = Callable[[int, int], None]


def pack(
    root: str, put: Callable[[bytes], None], progress: Progress | None = None, *, live: bool = False
) -> Packed:
    """Hand the tar of `root` to `put`. `progress` is called with (entries, bytes of contents) now and then.

    `live`: the tree is no layer but a mounted root, which somebody may change meanwhile: names mean nothing but
    themselves, what vanished is left out, what shrank is filled up with zeros.
    Raises: HostError when the tree can't be read or changes meanwhile; UserError for a name that a layer can't hold.
    """
    return _Packer(os.fsencode(root), put, live).run(progress)


class _Packer:
    def __init__(self, root: bytes, put: Callable[[bytes], None], live: bool) -> None:
        self._live = live
        self._root = root
        self._put = put
        self._links: dict[tuple[int, int], bytes] = {}
        self._done = Packed()

    def run(self, progress: Progress | None) -> Packed:
        done = self._done
        if not self._live:
            self._add_root()
        for path, state in _walk(self._root, b"", self._live):
            try:
                self._add(path, state)
            except FileNotFoundError:
                if not self._live:
                    raise
            done.entries += 1
            if progress is not None and not done.entries % PROGRESS_EVERY:
                progress(done.entries, done.size)
        self._put(END)
        return done

    def _add_root(self) -> None:
        """The root is written only where the layer says something about it."""
        state = os.stat(self._root)
        xattrs = self._xattrs(self._root)
        if means_root(self._root) or xattrs:
            entry = self._entry(b"./", state, tf.DIRECTORY)
            entry.mtime_ns = 0  # it changes with everything that is done beside the entries
            entry.xattrs = xattrs
            self._put(render_header(entry))
        self._add_opaque(self._root, b"", state)

    def _add(self, path: bytes, state: os.stat_result) -> None:
        mode = state.st_mode
        name = path.rpartition(b"/")[2]
        if name.startswith(whiteouts.PREFIX) and not self._live:
            raise UserError(
                f"the file {show(path)} can't be stored in a layer: names that begin with '.wh.' mean deleted files",
                hint="rename it, or delete it in the same step",
            )
        if stat.S_ISREG(mode):
            self._regular(path, state)
        elif stat.S_ISDIR(mode):
            entry = self._entry(path + b"/", state, tf.DIRECTORY)
            full = self._full(path)
            entry.xattrs = self._xattrs(full)
            self._put(render_header(entry))
            self._add_opaque(full, path + b"/", state)
        elif stat.S_ISLNK(mode):
            entry = self._entry(path, state, tf.SYMLINK)
            entry.mode = 0o777
            entry.link = os.readlink(self._full(path))
            self._done.size += len(entry.link)  # as Docker counts
            self._put(render_header(entry))
        elif whiteouts.is_whiteout(state):
            above, slash, _ = path.rpartition(b"/")
            self._put(render_header(Entry(above + slash + whiteouts.PREFIX + name, mode=0)))
        elif not stat.S_ISSOCK(mode):
            self._special(path, state)

    def _regular(self, path: bytes, state: os.stat_result) -> None:
        if state.st_nlink > 1:
            inode = (state.st_dev, state.st_ino)
            first = self._links.setdefault(inode, path)
            if first is not path:
                entry = self._entry(path, state, tf.LINK)
                entry.link = first
                self._put(render_header(entry))
                return
        try:
            fd = os.open(self._root + b"/" + path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            if self._live and error.errno == errno.ENOENT:
                self._links.pop((state.st_dev, state.st_ino), None)
                return
            raise HostError(
                f"the file {show(path)} can't be read: {error.strerror}", errno=error.errno
            ) from error
        try:
            entry = self._entry(path, state, tf.REGULAR)
            entry.size = state.st_size
            entry.xattrs = self._xattrs(fd)
            self._put(render_header(entry))
            if entry.size:
                self._contents(fd, path, entry.size)
                self._done.size += entry.size
        finally:
            os.close(fd)

    def _contents(self, fd: int, path: bytes, size: int) -> None:
        left = size
        while left:
            data = os.read(fd, min(left, READ_BYTES))
            if not data and self._live:
                data = bytes(min(left, READ_BYTES))
            if not data:
                raise HostError(
                    f"the file {show(path)} became shorter while it was read",
                    hint="end what still writes to it",
                )
            left -= len(data)
            self._put(data)
        if size % BLOCK:
            self._put(bytes(-size % BLOCK))

    def _special(self, path: bytes, state: os.stat_result) -> None:
        kind = {stat.S_IFCHR: tf.CHARACTER, stat.S_IFBLK: tf.DEVICE, stat.S_IFIFO: tf.FIFO}[
            stat.S_IFMT(state.st_mode)
        ]
        entry = self._entry(path, state, kind)
        if kind != tf.FIFO:
            entry.major, entry.minor = os.major(state.st_rdev), os.minor(state.st_rdev)
        self._put(render_header(entry))

    def _add_opaque(self, full: bytes, prefix: bytes, state: os.stat_result) -> None:
        if self._live:
            return
        try:
            value = os.getxattr(full, whiteouts.OPAQUE_XATTR, follow_symlinks=False)
        except OSError:
            return
        if value == whiteouts.OPAQUE_VALUE:
            self._put(render_header(Entry(prefix + whiteouts.OPAQUE, mode=0)))

    def _xattrs(self, what: bytes | int) -> dict[bytes, bytes]:
        """Return the attributes that a layer carries, of an open file or of a path's directory."""
        names = os.listxattr(what)
        if not names:
            return {}
        kept = [name for name in names if whiteouts.is_allowed_xattr(name)]
        return {os.fsencode(name): os.getxattr(what, name) for name in kept}

    def _entry(self, name: bytes, state: os.stat_result, kind: bytes) -> Entry:
        return Entry(
            name,
            kind,
            mode=stat.S_IMODE(state.st_mode),
            uid=state.st_uid,
            gid=state.st_gid,
            mtime_ns=state.st_mtime_ns,
        )

    def _full(self, path: bytes) -> bytes:
        return self._root + b"/" + path


def _walk(root: bytes, path: bytes, live: bool) -> Iterator[tuple[bytes, os.stat_result]]:
    """Yield (relative path, state) of all below `root`, depth first, names sorted."""
    todo = [_listing(root, path, live)]
    while todo:
        item = next(todo[-1], None)
        if item is None:
            todo.pop()
            continue
        yield item
        if stat.S_ISDIR(item[1].st_mode):
            todo.append(_listing(root, item[0], live))


def _listing(root: bytes, path: bytes, live: bool) -> Iterator[tuple[bytes, os.stat_result]]:
    prefix = path + b"/" if path else b""
    try:
        with os.scandir(root + b"/" + path) as found:
            items = sorted(_states(found, live), key=lambda item: item[0])
    except OSError as error:
        if live and error.errno == errno.ENOENT:
            return iter(())
        raise HostError(
            f"the directory {show(path)} of a layer can't be read: {error.strerror}", errno=error.errno
        ) from error
    return iter([(prefix + name, state) for name, state in items])


def _states(found: Iterable[os.DirEntry[bytes]], live: bool) -> Iterator[tuple[bytes, os.stat_result]]:
    for item in found:
        try:
            yield item.name, item.stat(follow_symlinks=False)
        except FileNotFoundError:
            if not live:
                raise
