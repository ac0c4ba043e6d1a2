"""System calls that Python's `os` module lacks: mount, umount2, unshare, inotify, openat2. Thin; each raises OSError.

Used by `container/` and `sandbox/`. Decides nothing.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND = 1, 2, 4, 8, 4096
MNT_DETACH = 2
CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWNET = 0x04000000, 0x08000000, 0x40000000
IN_MODIFY, IN_CLOSE_WRITE, IN_MOVED_TO, IN_CREATE, IN_MOVE_SELF, IN_DELETE_SELF = (
    0x2,
    0x8,
    0x80,
    0x100,
    0x800,
    0x400,
)
_IN_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_SYS_OPENAT2 = 437  # the same on x86-64 and aarch64
_RESOLVE_IN_ROOT = 0x10


def _check(result: int, path: str = "") -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path or None)
    return result


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount; see mount(2)."""
    _check(
        _libc.mount(
            source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), data.encode() or None
        ),
        target,
    )


def unmount(target: str, flags: int = MNT_DETACH) -> None:
    """Unmount; see umount2(2). Fine when nothing is mounted there."""
    try:
        _check(_libc.umount2(os.fsencode(target), flags), target)
    except OSError as error:
        if error.errno not in (22, 2):  # EINVAL: not a mount point; ENOENT
            raise


def unshare(flags: int) -> None:
    """Give the calling thread new namespaces; see unshare(2)."""
    _check(_libc.unshare(flags))


def setns(path: str) -> None:
    """Let the calling thread enter the namespace that a file stands for; see setns(2). The thread must end afterwards."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(descriptor, 0), path)
    finally:
        os.close(descriptor)


def inotify_init() -> int:
    """Return a non-blocking inotify descriptor."""
    return _check(_libc.inotify_init1(_IN_FLAGS))


def inotify_add(descriptor: int, path: str | Path, mask: int) -> int:
    """Watch a path; see inotify_add_watch(2)."""
    return _check(_libc.inotify_add_watch(descriptor, os.fsencode(path), mask), str(path))


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def open_in_root(root: str, path: str, flags: int = os.O_RDONLY) -> int:
    """Open a path inside a root: symbolic links and ".." in it can't lead out. Source: openat2(2), RESOLVE_IN_ROOT."""
    folder = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        how = _OpenHow(flags | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT)
        return _check(
            _libc.syscall(
                _SYS_OPENAT2, folder, os.fsencode(path.lstrip("/")), ctypes.byref(how), ctypes.sizeof(how)
            ),
            path,
        )
    finally:
        os.close(folder)


def read_in_root(root: str, path: str, limit_bytes: int = 4 << 20) -> str:
    """Return a small text file inside a root; "" when it is missing or no file."""
    try:
        descriptor = open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK)  # a fifo must not block
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb") as stream:
        try:
            return stream.read(limit_bytes).decode(errors="replace")
        except OSError:
            return ""
