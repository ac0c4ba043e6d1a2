"""Puts secrets where a command can read them as files: into memory, never onto a disk. A doer; file work, so in threads.

Called by `run_mounts`. Each command has a file system of its own in memory for them, which goes with the command.
Invariant: what is mounted here is unmounted by `remove`, or by `clear` when the daemon was killed meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pinnace.base.errors import HostError
from pinnace.container import system
from pinnace.image.mounts import mounts_below

SUFFIX = ".secrets"
DEFAULT_MODE = 0o400  # Source: Dockerfile reference, RUN --mount=type=secret
# noswap: pages of it never go to a swap disk. Kernels before 6.4 don't know it.
OPTIONS = ("mode=0700,noswap", "mode=0700")


@dataclass(frozen=True, slots=True, repr=False)
class SecretFile:
    """One file to be made."""

    data: bytes
    mode: int
    uid: int
    gid: int


def write(folder: Path, files: Sequence[SecretFile]) -> list[Path]:
    """Mount a file system in memory at `folder` and put the files there; return their paths. Raises: HostError."""
    folder.mkdir(mode=0o700)
    try:
        _mount(folder)
        return [_write_file(folder / str(number), file) for number, file in enumerate(files)]
    except BaseException:
        remove(folder)
        raise


def remove(folder: Path) -> None:
    """Take the files away. Fine when there are none."""
    system.unmount(str(folder))
    folder.rmdir() if folder.is_dir() else None


def clear(root: Path) -> None:
    """Take away all that is still mounted below a folder."""
    for point in mounts_below(str(root)):
        system.unmount(point)


def _mount(folder: Path) -> None:
    flags = system.MS_NOSUID | system.MS_NODEV
    for options in OPTIONS:
        try:
            system.mount("tmpfs", str(folder), "tmpfs", flags, options)
        except OSError as error:
            failure = error
        else:
            return
    raise HostError(
        f"there is no file system in memory for secrets: {failure.strerror}", errno=failure.errno
    ) from failure


def _write_file(path: Path, file: SecretFile) -> Path:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        left = memoryview(file.data)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fchown(descriptor, max(file.uid, 0), max(file.gid, 0))
        os.fchmod(descriptor, DEFAULT_MODE if file.mode < 0 else file.mode & 0o777)
    except OSError as error:
        raise HostError(f"a secret can't be kept in memory: {error.strerror}", errno=error.errno) from error
    finally:
        os.close(descriptor)
    return path
