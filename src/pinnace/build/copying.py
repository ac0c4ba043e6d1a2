"""Copies what a COPY or ADD takes into a mounted root filesystem. Runs in the worker process.

It must never write outside of the target's root: every path given by a person is resolved inside it, and below that only
folders that this process made or looked at are entered.
Source: Dockerfile reference, COPY and ADD; `docker build` and BuildKit's copies, where the reference is silent.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from pinnace.base.errors import UserError
from pinnace.build.archives import is_archive, unpack_archive
from pinnace.build.digest import Report, read_xattrs, told_as_host_error
from pinnace.build.modes import Chmod, ModeError, parse_chmod
from pinnace.build.places import make_folders, resolve_inside
from pinnace.build.selection import Found, Selection, find_sources
from pinnace.build.walk import walk

T = TypeVar("T")

WHOLE_BYTES = 1 << 20  # files up to here are copied with one read
CHUNK_BYTES = 16 << 20  # how much the kernel copies before progress is told
FOLDER_MODE = 0o755
INLINE_MODE = 0o644
NO_KERNEL_COPY = (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)


class CopyJob(msgspec.Struct, frozen=True, kw_only=True):
    """Copy selections, in order, into `target_root` at `target` (absolute; a folder when it ends with "/").

    `uid` and `gid` of -1 keep the source's owner, or 0 for files of the context. `chmod` is the flag's text; "" keeps
    the source's mode. `inline` are files given as (name, text).
    """

    selections: tuple[Selection, ...]
    target_root: str
    target: str
    uid: int = -1
    gid: int = -1
    chmod: str = ""
    inline: tuple[tuple[str, str], ...] = ()


class CopyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was copied. `newest_ns` is when one of the sources that may change was last changed. Units: bytes; ns since 1970."""

    entries: int
    size: int
    newest_ns: int


class MakeFolderJob(msgspec.Struct, frozen=True, kw_only=True):
    """Make a folder and its parents inside a root."""

    root: str
    path: str
    uid: int = 0
    gid: int = 0


def copy_sources(job: CopyJob, report: Report) -> CopyFacts:
    """Do a `CopyJob`. Raises: UserError when a source isn't there or can't go where it should, HostError."""
    os.umask(0)
    with told_as_host_error():
        return _Copier(job, report).run()


def make_folder(job: MakeFolderJob, report: Report) -> bool:
    """Make a folder; what is there stays as it is. Returns whether something was made. Raises: UserError."""
    os.umask(0)
    with told_as_host_error():
        return make_folders(job.root, job.path, job.uid, job.gid)


@dataclass(frozen=True, slots=True)
class _Open:
    """A folder of the target that is being filled; its times are set when nothing more comes into it."""

    prefix: str
    real: str
    info: os.stat_result | None


class _Copier:
    def __init__(self, job: CopyJob, report: Report) -> None:
        self._job = job
        self._selection = job.selections[0] if job.selections else Selection(root="", sources=())
        self._chmod = _read_chmod(job.chmod)
        self._report = report
        self._links: dict[tuple[int, int], str] = {}
        self._entries = 0
        self._size = 0
        self._newest_ns = 0

    def run(self) -> CopyFacts:
        job = self._job
        findings = [find_sources(selection) for selection in job.selections]
        count = sum(len(one.found) for one in findings) + len(job.inline)
        is_folder = job.target.endswith("/")
        if count > 1 and not is_folder:
            raise UserError(
                "When using COPY with more than one source file, the destination must be a directory and end with a /",
                f"{count} files match: end the target with a /",
            )
        into_folder = is_folder or os.path.isdir(resolve_inside(job.target_root, job.target))
        for selection, one in zip(job.selections, findings, strict=True):
            self._selection = selection
            for found in one.found:
                self._copy_source(found, into_folder=into_folder)
        for name, text in job.inline:
            self._write(self._place(name, into_folder=into_folder), text.encode())
        return CopyFacts(entries=self._entries, size=self._size, newest_ns=self._newest_ns)

    def _copy_source(self, found: Found, *, into_folder: bool) -> None:
        if found.is_folder:
            self._copy_folder(found)
        elif self._selection.unpack and is_archive(found.real):
            self._unpack(found)
        else:
            info = os.lstat(found.real)
            self._copy_entry(found.real, info, self._place(found.name, into_folder=into_folder))

    def _place(self, name: str, *, into_folder: bool) -> str:
        """Return where a file goes, with the folders above it made. A target that is a link is followed."""
        root, target = self._job.target_root, self._job.target
        folder = target if into_folder else posixpath.dirname(target)
        self._make_folders(folder)
        if into_folder:
            return os.path.join(resolve_inside(root, folder), name)
        real = resolve_inside(root, target)
        self._make_folders("/" + os.path.relpath(os.path.dirname(real), root))
        return real

    def _make_folders(self, path: str) -> bool:
        return make_folders(self._job.target_root, path, max(self._job.uid, 0), max(self._job.gid, 0))

    # --- folders -----------------------------------------------------------------------------------------------------

    def _copy_folder(self, found: Found) -> None:
        job = self._job
        made = self._make_folders(job.target)
        info = os.lstat(found.real)
        real = resolve_inside(job.target_root, job.target)
        # The root of a context or a stage, or what stands before "/./", is no folder that somebody meant.
        is_meant = made and found.path and not self._selection.parents
        if is_meant:
            self._dress(real, info)
        opened = [_Open("", real, info if is_meant else None)]
        rules, excludes = self._selection.rules(), self._selection.excludes()
        for item in walk(found.real, found.path, rules, excludes, found.included()):
            while not item.name.startswith(opened[-1].prefix):
                self._close(opened.pop())
            place = f"{opened[-1].real}/{posixpath.basename(item.name)}"
            if item.is_folder:
                opened.append(self._enter_folder(place, item.name + "/", item.info))
            else:
                self._copy_entry(item.real, item.info, place)
        for one in reversed(opened):
            self._close(one)

    def _enter_folder(self, place: str, prefix: str, info: os.stat_result) -> _Open:
        """Make a folder, or use the one that is there, also behind a link; anything else there is replaced."""
        self._count(info)
        try:
            os.mkdir(place, FOLDER_MODE)
        except FileExistsError:
            mode = os.lstat(place).st_mode
            if stat.S_ISLNK(mode):
                real = resolve_inside(self._job.target_root, os.path.relpath(place, self._job.target_root))
                if os.path.isdir(real):
                    return _Open(prefix, real, None)
            if not stat.S_ISDIR(mode):
                os.unlink(place)
                os.mkdir(place, FOLDER_MODE)
        self._dress(place, info)
        return _Open(prefix, place, info)

    def _close(self, opened: _Open) -> None:
        if opened.info is not None:
            os.utime(opened.real, ns=(opened.info.st_atime_ns, opened.info.st_mtime_ns))

    # --- everything else ---------------------------------------------------------------------------------------------

    def _copy_entry(self, source: str, info: os.stat_result, place: str) -> None:
        if stat.S_ISREG(info.st_mode):
            self._copy_file(source, info, place)
        elif stat.S_ISLNK(info.st_mode):
            target = os.readlink(source)
            self._make_named(place, info, lambda: os.symlink(target, place))
        elif not stat.S_ISSOCK(info.st_mode):  # a socket means nothing in an image
            self._make_named(place, info, lambda: os.mknod(place, info.st_mode, info.st_rdev))

    def _make_named(self, place: str, info: os.stat_result, make: Callable[[], None]) -> None:
        _replace(place, make)
        self._dress(place, info)
        os.utime(place, ns=(info.st_atime_ns, info.st_mtime_ns), follow_symlinks=False)
        self._count(info)

    def _copy_file(self, source: str, info: os.stat_result, place: str) -> None:
        identity = (info.st_dev, info.st_ino)
        if info.st_nlink > 1:
            first = self._links.setdefault(identity, place)
            if first != place:
                _replace(place, lambda: os.link(first, place))
                self._count(info)
                return
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        to = _replace(place, lambda: os.open(place, flags, 0o600))
        try:
            origin = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                self._copy_data(origin, to, info.st_size)
            finally:
                os.close(origin)
            uid, gid, mode = self._attributes(info)
            os.fchown(to, uid, gid)
            os.fchmod(to, mode)  # after the owner: changing that clears the set-id bits
            if self._selection.keep_owner:
                for name, value in read_xattrs(source).items():
                    os.setxattr(to, name, value)
            os.utime(to, ns=(info.st_atime_ns, info.st_mtime_ns))
        finally:
            os.close(to)
        self._count(info)

    def _copy_data(self, origin: int, to: int, size: int) -> None:
        if size <= WHOLE_BYTES:
            while data := os.read(origin, WHOLE_BYTES):
                self._size += _write_all(to, data)
            return
        copy: Callable[[int, int, int], int] = (
            os.copy_file_range
        )  # shares the blocks where the file system can
        while True:
            try:
                count = copy(origin, to, CHUNK_BYTES)
            except OSError as error:
                if error.errno not in NO_KERNEL_COPY or copy is not os.copy_file_range:
                    raise
                copy = _send
                continue
            if not count:
                return
            self._size += count
            self._report("copying", self._entries, self._size)

    def _write(self, place: str, data: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        to = _replace(place, lambda: os.open(place, flags, 0o600))
        try:
            self._size += _write_all(to, data)
            os.fchown(to, max(self._job.uid, 0), max(self._job.gid, 0))
            os.fchmod(to, self._chmod.apply(INLINE_MODE, is_folder=False))
        finally:
            os.close(to)
        self._entries += 1

    def _dress(self, place: str, info: os.stat_result) -> None:
        uid, gid, mode = self._attributes(info)
        os.lchown(place, uid, gid)
        if not stat.S_ISLNK(info.st_mode):
            os.chmod(place, mode)

    def _attributes(self, info: os.stat_result) -> tuple[int, int, int]:
        job, keep = self._job, self._selection.keep_owner
        uid = job.uid if job.uid >= 0 else (info.st_uid if keep else 0)
        gid = job.gid if job.gid >= 0 else (info.st_gid if keep else 0)
        return uid, gid, self._chmod.apply(info.st_mode, is_folder=stat.S_ISDIR(info.st_mode))

    def _count(self, info: os.stat_result) -> None:
        self._entries += 1
        self._note_change(info)
        self._report("copying", self._entries, self._size)

    def _unpack(self, found: Found) -> None:
        job = self._job
        self._make_folders(job.target)
        owner = (job.uid, job.gid) if job.uid >= 0 else None
        before = self._size
        done = unpack_archive(
            found.real,
            resolve_inside(job.target_root, job.target),
            owner,
            lambda entries, size: self._report("unpacking", self._entries + entries, before + size),
        )
        self._entries += done.entries
        self._size += done.size
        self._note_change(os.lstat(found.real))

    def _note_change(self, info: os.stat_result) -> None:
        if not self._selection.is_fixed:
            self._newest_ns = max(self._newest_ns, info.st_ctime_ns)


def _read_chmod(text: str) -> Chmod:
    try:
        return parse_chmod(text)
    except ModeError as error:
        raise UserError(str(error), "for example --chmod=755 or --chmod=u=rwX,go=rX") from None


def _replace(place: str, make: Callable[[], T]) -> T:
    """Make something new at a place; what is there, and is no folder, goes. Raises: UserError."""
    try:
        return make()
    except FileExistsError:
        if stat.S_ISDIR(os.lstat(place).st_mode):
            name = os.path.basename(place)
            raise UserError(
                f"cannot replace a directory with a file: {name} is a folder in the image",
                "name another target, or remove the folder first",
            ) from None
        os.unlink(place)
        return make()


def _send(origin: int, to: int, count: int) -> int:
    return os.sendfile(to, origin, None, count)


def _write_all(to: int, data: bytes) -> int:
    written = os.write(to, data)
    while written < len(data):
        written += os.write(to, memoryview(data)[written:])
    return written
