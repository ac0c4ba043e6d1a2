"""Keeps out of layers what a runtime makes in a root filesystem so that it can mount there.

Called by `execute` before and after a command; file work, so in a thread.
Invariant: what the command itself wrote, or what was there before, stays.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Mount points of every container: the files of `sandbox/compose.py`, the folders of `container/config.py`.
STUBS = ("etc/hosts", "etc/resolv.conf", "etc/hostname", "dev", "proc", "sys", "etc")

# A folder's time is set a little after that of the file that was made in it, more on a busy machine. A command that writes
# there so soon only loses the folder's time by that.
MAKING_NS = 50_000_000


@dataclass(frozen=True, slots=True)
class Before:
    """What a root filesystem lacked before the command, and when the folders that stubs are made in were changed."""

    absent: tuple[str, ...]
    times: tuple[tuple[str, int, int], ...]


def look(root: Path) -> Before:
    """Look at a root filesystem before the command."""
    absent = tuple(stub for stub in STUBS if not os.path.lexists(root / stub))
    folders = {os.path.dirname(stub) for stub in absent}
    times = []
    for folder in sorted(folders):
        with contextlib.suppress(FileNotFoundError):
            info = os.stat(root / folder, follow_symlinks=False)
            times.append((folder, info.st_atime_ns, info.st_mtime_ns))
    return Before(absent, tuple(times))


def clear(root: Path, before: Before) -> None:
    """Take away the stubs that are still empty; a folder in which nothing else changed gets its time back."""
    changed = _changed_beside(root, before.absent)
    for stub in before.absent:
        place = root / stub
        with contextlib.suppress(OSError):
            if place.is_dir() and not place.is_symlink():
                place.rmdir()
            elif place.is_file() and place.stat().st_size == 0:
                place.unlink()
    for folder, atime_ns, mtime_ns in before.times:
        if folder not in changed:
            with contextlib.suppress(FileNotFoundError):
                os.utime(root / folder, ns=(atime_ns, mtime_ns), follow_symlinks=False)


def _changed_beside(root: Path, stubs: Sequence[str]) -> frozenset[str]:
    """Return the folders that were changed after the last stub was made in them: by the command."""
    changed = set()
    for folder in {os.path.dirname(stub) for stub in stubs}:
        made = [_changed_ns(root / stub) for stub in stubs if os.path.dirname(stub) == folder]
        if _mtime_ns(root / folder) > max(made) + MAKING_NS:
            changed.add(folder)
    return frozenset(changed)


def _changed_ns(path: Path) -> int:
    try:
        return os.stat(path, follow_symlinks=False).st_ctime_ns
    except OSError:
        return 0


def _mtime_ns(path: Path) -> int:
    try:
        return os.stat(path, follow_symlinks=False).st_mtime_ns
    except OSError:
        return 0
