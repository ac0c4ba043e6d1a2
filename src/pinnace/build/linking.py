"""Decides whether a `COPY --link` can be a layer of its own, which stays the same whatever stands below it. A doer (looks).

Called by `run`. Such a layer makes the folders above its files itself, with the usual owner and mode; where the layers below
have such a folder with others (as /tmp has), the step is done as one without --link, for else it would change them.
Source: Dockerfile reference, COPY --link: no link below is followed, the path to the target is made of folders only.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pinnace.build.places import clean
from pinnace.build.steps import Copy
from pinnace.image.whiteouts import is_whiteout

FOLDER_MODE = 0o755


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen. `hidden` are links that become folders; `obstacle` is the folder that must stay as it is, "" if none."""

    obstacle: str = ""
    hidden: tuple[str, ...] = ()


def is_numeric(chown: str) -> bool:
    """Say whether an owner is said without names, so that no file of the image is needed to read it."""
    return re.fullmatch(r"(\d+(:\d+)?)?", chown) is not None


def look_below(trees: Sequence[Path], step: Copy, owner: tuple[int, int]) -> Standing:
    """Return what stands in the way, in the trees of the layers below (bottom first). Raises: OSError."""
    wanted = (FOLDER_MODE, max(owner[0], 0), max(owner[1], 0))
    path, hidden = "", []
    parts = clean(step.target).split("/")
    for number, part in enumerate(parts):
        path = f"{path}/{part}" if path else part
        info = _find(trees, path) if path else None
        if info is None:
            continue
        is_target = number == len(parts) - 1 and not step.target.endswith("/")
        if stat.S_ISDIR(info.st_mode):
            if is_target or (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid) != wanted:
                return Standing(obstacle=f"/{path}")
        elif stat.S_ISLNK(info.st_mode) and not is_target:
            hidden.append(f"/{path}")
    return Standing(hidden=tuple(hidden))


def _find(trees: Sequence[Path], path: str) -> os.stat_result | None:
    """Return the state of a path as the layers together show it."""
    for tree in reversed(trees):
        try:
            info = os.lstat(tree / path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        return None if is_whiteout(info) else info
    return None
