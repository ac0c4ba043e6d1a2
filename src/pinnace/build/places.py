"""Finds places inside a root directory as if it were "/": no symbolic link and no ".." leads out of it.

Called by all that reads or writes files of a build, in worker processes and in threads.
Invariant: what is returned lies in the root, whatever the links inside it say.
"""

from __future__ import annotations

import os
import posixpath

from pinnace.base.errors import UserError

LINKS_MAX = 255  # Source: containerd/continuity, fs/path.go, maxLinks (behaviour)


def resolve_inside(root: str, path: str, *, follow_last: bool = True) -> str:
    """Return the real path of `path` inside `root`; what isn't there is taken as it is named.

    Raises: UserError for a loop of links.
    Example: with /r/lib → /usr/lib in the root, "/lib/x" is "/r/usr/lib/x".
    """
    parts = [part for part in path.split("/") if part and part != "."]
    parts.reverse()
    place: list[str] = []
    links = 0
    while parts:
        part = parts.pop()
        if part == "..":
            del place[-1:]
            continue
        candidate = os.path.join(root, *place, part)
        if (parts or follow_last) and os.path.islink(candidate):
            links += 1
            if links > LINKS_MAX:
                raise UserError(f"{path}: too many levels of symbolic links")
            target = os.readlink(candidate)
            if target.startswith("/"):
                place = []
            parts += [piece for piece in reversed(target.split("/")) if piece and piece != "."]
            continue
        place.append(part)
    return os.path.join(root, *place) if place else root


def clean(path: str) -> str:
    """Return a path relative to a root, with ".." at the top cut off. Example: "../a/./b/" → "a/b"; "/" → ""."""
    return posixpath.normpath("/" + path).lstrip("/")


def make_folders(root: str, path: str, uid: int, gid: int) -> bool:
    """Make a folder and those above it; say whether the last one was made. Raises: UserError when a file is in the way."""
    made = False
    place = ""
    for part in clean(path).split("/"):
        if not part:
            continue
        place = f"{place}/{part}"
        real = resolve_inside(root, place)
        made = not os.path.isdir(real)
        if made:
            above = os.path.dirname(real)
            if not os.path.isdir(above):  # the place is a link to something that isn't there
                make_folders(root, os.path.relpath(above, root), uid, gid)
            try:
                os.mkdir(real, 0o755)
            except (FileExistsError, NotADirectoryError):
                raise UserError(
                    f"cannot copy to non-directory: {place} is a file",
                    "name another target, or remove it first",
                ) from None
            os.chown(real, uid, gid)
    return made
