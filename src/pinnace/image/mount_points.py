"""Keeps out of a layer what a runtime makes in a root file system so that it can mount there.

Called in threads on an upper directory that nobody mounts any more. Invariant: what has contents, and what the layers below
don't have in the same way, stays.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path

# Mount points of every container, the innermost first.
MOUNT_POINTS = ("etc/hosts", "etc/resolv.conf", "etc/hostname", "dev", "proc", "sys")
FOLDERS = ("etc",)  # that mount points are made in
OPAQUE = "trusted.overlay.opaque"


def drop_mount_points(tree: Path, below: Sequence[Path]) -> None:
    """Take away empty mount points that the layers below (top first) don't have, and folders that only these changed."""
    dropped = False
    for name in MOUNT_POINTS:
        if any(os.path.lexists(layer / name) for layer in below):
            continue
        place = tree / name
        with contextlib.suppress(OSError):
            if place.is_dir() and not place.is_symlink():
                place.rmdir()
                dropped = True
            elif place.is_file() and not place.is_symlink() and place.stat().st_size == 0:
                place.unlink()
                dropped = True
    for name in FOLDERS if dropped else ():
        if _is_as_below(tree / name, [layer / name for layer in below]):
            with contextlib.suppress(OSError):
                (tree / name).rmdir()  # refuses where there is something in it


def _is_as_below(folder: Path, below: Sequence[Path]) -> bool:
    """Say whether a folder is there just as below, or was made for mount points: then there is none below."""
    if not folder.is_dir() or folder.is_symlink():
        return False
    found = next((path for path in below if os.path.lexists(path)), None)
    if found is None:
        return True
    ours, theirs = folder.stat(), found.lstat()
    with contextlib.suppress(OSError):
        os.getxattr(folder, OPAQUE)
        return False  # it hides what is below
    same = (ours.st_mode, ours.st_uid, ours.st_gid) == (theirs.st_mode, theirs.st_uid, theirs.st_gid)
    return stat.S_ISDIR(theirs.st_mode) and same
