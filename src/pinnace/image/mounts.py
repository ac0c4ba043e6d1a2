"""Mounts and unmounts: the system calls behind a `MountPlan`. Synchronous; callers use threads.

Invariant: `mount_overlay` mounts or raises; `unmount` of what is not mounted does nothing.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from pinnace.base.errors import HostError
from pinnace.image.overlay import MountPlan, render_options

MNT_DETACH, UMOUNT_NOFOLLOW = 2, 8  # Source: linux/fs.h
MS_RDONLY = 1

_libc = ctypes.CDLL(None, use_errno=True)


def mount_overlay(plan: MountPlan) -> None:
    """Mount as planned. Raises: HostError."""
    flags = 0 if plan.upper else MS_RDONLY
    try:
        _mount(plan, render_options(plan), flags)
    except ValueError:
        # More than a page of paths: /proc/self/fd/N is short, and every kernel takes it (the new mount API takes long
        # options only since 6.5).
        with _descriptors([*plan.lowers, *((plan.upper, plan.work) if plan.upper else ())]) as names:
            _mount(plan, render_options(plan, names), flags)


def unmount(target: str) -> bool:
    """Take a mount away, even if something still uses it; say whether there was one. Raises: HostError."""
    if _libc.umount2(os.fsencode(target), MNT_DETACH | UMOUNT_NOFOLLOW) == 0:
        return True
    error = ctypes.get_errno()
    if error in (errno.EINVAL, errno.ENOENT):
        return False
    raise HostError(f"{target} can't be unmounted: {os.strerror(error)}", errno=error)


def is_mounted(target: str) -> bool:
    """Say whether something is mounted at `target`."""
    try:
        return os.stat(target).st_dev != os.stat(os.path.dirname(target)).st_dev
    except OSError:
        return False


def mounts_below(root: str) -> tuple[str, ...]:
    """Return what is mounted below a directory, deepest first."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        targets = [_unescape(line.split(" ", 5)[4]) for line in file]
    return tuple(sorted((target for target in targets if target.startswith(root + "/")), reverse=True))


def _mount(plan: MountPlan, options: bytes, flags: int) -> None:
    if _libc.mount(b"overlay", os.fsencode(plan.target), b"overlay", ctypes.c_ulong(flags), options) == 0:
        return
    error = ctypes.get_errno()
    raise HostError(
        f"{plan.describe()}\ncan't be mounted: {os.strerror(error)}", errno=error, hint=_hint(error)
    )


def _hint(error: int) -> str:
    if error == errno.ENODEV:
        return "the kernel has no overlayfs: modprobe overlay"
    if error == errno.EPERM:
        return "mounting needs root: run it with sudo"
    if error == errno.EINVAL:
        return "the last lines of dmesg say why; the file system below must support trusted.* attributes and file types (xfs: ftype=1)"
    return "the last lines of dmesg may say more"


@contextmanager
def _descriptors(paths: list[str]) -> Iterator[list[str]]:
    fds: list[int] = []
    try:
        for path in paths:
            fds.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        yield [f"/proc/self/fd/{fd}" for fd in fds]
    except FileNotFoundError as error:
        raise HostError(
            f"a layer is missing: {error.filename}",
            errno=error.errno,
            hint="build, import or pull the image anew",
        ) from error
    finally:
        for fd in fds:
            os.close(fd)


def _unescape(text: str) -> str:
    """Undo mountinfo's escapes of space, tab, newline and backslash. Example: "a\\\\040b" is "a b"."""
    if "\\" not in text:
        return text
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text
