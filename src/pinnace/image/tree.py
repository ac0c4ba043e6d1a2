"""A directory that nothing can be written outside of, whatever names and links an archive brings.

Called by `unpack`, in the worker process. Every path is opened by the kernel beneath the root (openat2 with
RESOLVE_IN_ROOT: a symbolic link is followed as after a chroot, so "/etc" means the tree's own /etc), the last part of a
name is never followed, and ".." is refused.
Invariant: every system call here takes a descriptor of a directory inside the root and one name without a slash.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
import struct
from types import TracebackType

from pinnace.base.errors import HostError
from pinnace.image.tar_format import TarError, show

SYS_OPENAT2 = 437  # the same number on every architecture. Source: Linux 5.6, asm-generic/unistd.h
RESOLVE_NO_MAGICLINKS, RESOLVE_IN_ROOT = 0x02, 0x10  # Source: linux/openat2.h
KEPT_DESCRIPTORS = 256
LINKS_MAX = 40  # Source: linux/namei.h, MAXSYMLINKS
PATH_MAX_BYTES = 4096

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


def open_in_root(root_fd: int, path: bytes, flags: int) -> int:
    """Open `path` as if `root_fd` were "/". Raises: OSError."""
    how = ctypes.create_string_buffer(
        struct.pack("=QQQ", flags | os.O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS), 24
    )
    while True:
        fd = _syscall(
            ctypes.c_long(SYS_OPENAT2),
            ctypes.c_int(root_fd),
            ctypes.c_char_p(path or b"."),
            how,
            ctypes.c_size_t(24),
        )
        if fd >= 0:
            return int(fd)
        error = ctypes.get_errno()
        # EAGAIN: the kernel saw a rename somewhere while it walked "..", and wants another try
        if error not in (errno.EINTR, errno.EAGAIN):
            raise OSError(error, os.strerror(error), path)


def clean_path(name: bytes) -> bytes:
    """Return `name` relative to the root, without "." and empty parts. Raises: TarError for ".."."""
    parts = [part for part in name.split(b"/") if part and part != b"."]
    if b".." in parts:
        raise TarError(
            f"the archive's entry {show(name)} has '..' in its name",
            hint="such archives are not unpacked: they may write outside",
        )
    path = b"/".join(parts)
    if len(path) >= PATH_MAX_BYTES:
        raise TarError(
            f"the archive has a name of {len(path)} bytes, more than {PATH_MAX_BYTES}: {show(path[:60])}…"
        )
    return path


class Tree:
    """The directory at `root`; directories that entries need but nobody listed are made and noted in `implied`."""

    def __init__(self, root: str | os.PathLike[str], parents: tuple[str, ...] = ()) -> None:
        self.root = os.fspath(root)
        self.root_fd = os.open(root, _DIRECTORY)
        self.implied: list[bytes] = []
        self._fds: dict[bytes, int] = {b"": self.root_fd}
        self._parents = [Tree(parent) for parent in parents]

    def __enter__(self) -> Tree:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.forget()
        os.close(self.root_fd)
        for parent in self._parents:
            parent.close()

    def forget(self) -> None:
        """Drop the remembered directories: a name was replaced, and may now lead elsewhere."""
        for path, fd in self._fds.items():
            if path:
                os.close(fd)
        self._fds = {b"": self.root_fd}

    def locate(self, path: bytes) -> tuple[int, bytes]:
        """Return (descriptor of the directory, last name) for a clean path, making the directory if it is missing."""
        directory, _, name = path.rpartition(b"/")
        fd = self._fds.get(directory)
        return (self.directory(directory) if fd is None else fd), name

    def directory(self, path: bytes, depth: int = 0) -> int:
        """Return a descriptor of the directory at a clean path, making what is missing. Raises: TarError."""
        fd = self._fds.get(path)
        if fd is not None:
            return fd
        try:
            fd = open_in_root(self.root_fd, path, _DIRECTORY)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise TarError(
                    f"the archive's directory {show(path)} can't be entered: {error.strerror}"
                ) from error
            fd = self._make(path, depth)
        if len(self._fds) >= KEPT_DESCRIPTORS:
            self.forget()
        self._fds[path] = fd
        return fd

    def open_parent(self, path: bytes) -> int:
        """Return a new descriptor of an existing directory, for looking only. Raises: OSError."""
        return open_in_root(self.root_fd, path.rpartition(b"/")[0], _DIRECTORY)

    def stat(self, path: bytes) -> os.stat_result | None:
        """Return the state of a clean path without following its last part; None when there is nothing."""
        try:
            fd = self.open_parent(path)
        except OSError:
            return None
        try:
            return os.stat(path.rpartition(b"/")[2] or b".", dir_fd=fd, follow_symlinks=False)
        except OSError:
            return None
        finally:
            os.close(fd)

    def remove(self, fd: int, name: bytes) -> None:
        """Remove whatever stands at a name, which must exist."""
        try:
            os.unlink(name, dir_fd=fd)
        except IsADirectoryError:
            self.forget_below(fd, name)
            return
        self.forget()

    def forget_below(self, fd: int, name: bytes) -> None:
        """Remove a directory and all in it, never following a link."""
        keep = os.dup(fd)  # `fd` is one of the remembered
        try:
            self.forget()
            shutil.rmtree(name, dir_fd=keep)
        except RecursionError:
            raise TarError(
                f"the archive replaces {show(name)}, whose directories are nested too deeply"
            ) from None
        finally:
            os.close(keep)

    def take_after_parents(self, path: bytes) -> None:
        """Give a directory that is there the owner and mode that it has in the layers below. Raises: OSError."""
        fd, name = self.locate(path)
        if stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
            self._take_after_parents(path, fd, name)

    def _make(self, path: bytes, depth: int) -> int:
        """Make a directory and those above it, one step at a time from the root; return a new descriptor of it."""
        if depth > LINKS_MAX:
            raise TarError(f"the archive's directory {show(path)} is a loop of symbolic links")
        here = b""
        fd = os.dup(self.root_fd)
        try:
            for name in path.split(b"/"):
                above, here = here, here + b"/" + name if here else name
                below = self._enter(above, here, name, fd, depth)
                os.close(fd)
                fd = below
        except OSError as error:
            os.close(fd)
            raise made_error(error, path) from error
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _enter(self, above: bytes, path: bytes, name: bytes, fd: int, depth: int) -> int:
        """Return a new descriptor of the directory `name` in `fd`, made if it is missing."""
        try:
            return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
        except FileNotFoundError:
            os.mkdir(name, 0o755, dir_fd=fd)
            self.implied.append(path)
            self._take_after_parents(path, fd, name)
            return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
        except NotADirectoryError:
            return self._enter_link(above, path, name, fd, depth)

    def _enter_link(self, above: bytes, path: bytes, name: bytes, fd: int, depth: int) -> int:
        """Follow a link inside the root; where it leads to nothing, its end is made."""
        if not stat.S_ISLNK(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
            raise TarError(f"the archive needs {show(path)} as a directory, but it is something else there")
        try:
            return open_in_root(self.root_fd, path, _DIRECTORY)
        except FileNotFoundError:
            target = os.readlink(name, dir_fd=fd)
            joined = target if target.startswith(b"/") else above + b"/" + target
            return os.dup(self.directory(_fold(joined), depth + 1))
        except NotADirectoryError:
            raise TarError(
                f"the archive needs {show(path)} as a directory, but it is a link to something else there"
            ) from None

    def _take_after_parents(self, path: bytes, fd: int, name: bytes) -> None:
        """Give a directory that the archive does not list the owner and mode that it has in the layers below."""
        for parent in self._parents:
            found = parent.stat(path)
            if found is None:
                continue
            if stat.S_ISDIR(found.st_mode):
                os.chown(name, found.st_uid, found.st_gid, dir_fd=fd, follow_symlinks=False)
                os.chmod(name, stat.S_IMODE(found.st_mode), dir_fd=fd)
            return


def _fold(path: bytes) -> bytes:
    """Resolve "." and ".." as text, staying at the root."""
    parts: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part and part != b".":
            parts.append(part)
    return b"/".join(parts)


def made_error(error: OSError, name: bytes) -> TarError | HostError:
    """Return the error that a failed system call for an entry means: the archive's fault, or the machine's."""
    if error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EINVAL, errno.EFBIG):
        return TarError(f"the archive's entry {show(name)} can't be made: {error.strerror}")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return HostError(
            f"no space is left for the archive's entry {show(name)}",
            errno=error.errno,
            hint="free some space: pinnace images, then pinnace rmi IMAGE",
        )
    return HostError(f"the archive's entry {show(name)} can't be made: {error.strerror}", errno=error.errno)
