"""Keeps mount points out of layers: what a runtime needs in a root filesystem so that it can mount there.

Two ways. `make` puts them into a folder that is mounted below all layers, so that the runtime finds them and nothing has to be
made. Where a layer hides that (it deleted such a path, or leads it elsewhere by a link), the runtime makes them among what the
command writes: `look` before and `clear` after the command take them away.
Called by `execute`; file work, so in a thread.
Invariant: what the command itself wrote, or what was there before, stays.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pinnace.base.errors import HostError, UserError
from pinnace.build.places import resolve_inside


@dataclass(frozen=True, slots=True)
class Stub:
    """One mount point: an absolute path, a file or a folder."""

    target: str
    is_file: bool = False
    mode: int = 0o755


# Mount points of every container: the files of `sandbox/compose.py`, the folders of `container/config.py`.
USUAL = (
    *(Stub(f"/etc/{name}", is_file=True, mode=0o644) for name in ("hosts", "resolv.conf", "hostname")),
    *(Stub(path) for path in ("/dev", "/proc", "/sys")),
)

# A folder's time is set a little after that of the file that was made in it, more on a busy machine. A command that writes
# there so soon only loses the folder's time by that.
MAKING_NS = 50_000_000


def make(folder: Path, stubs: Iterable[Stub] = ()) -> None:
    """Make the mount points in a new folder. Raises: HostError."""
    try:
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
        for stub in (*USUAL, *stubs):
            _make(folder, stub)
    except OSError as error:
        raise HostError(f"{folder}: {error.strerror}", errno=error.errno) from error


def _make(folder: Path, stub: Stub) -> None:
    parts = [part for part in stub.target.split("/") if part]
    place = folder
    for number, part in enumerate(parts, 1):
        place = place / part
        is_last = number == len(parts)
        with contextlib.suppress(FileExistsError):
            if is_last and stub.is_file:
                place.touch(0o644, exist_ok=False)
            else:
                place.mkdir()
                place.chmod(stub.mode if is_last else 0o755)
        if not is_last and not place.is_dir():
            return  # one mount is to lie in another that is a file: the runtime tells


def check(root: Path, stubs: Sequence[Stub]) -> None:
    """Refuse mounts in whose place the image has something of another kind. Raises: UserError.

    What lies in another mount is not looked at: there the image's own files don't show.
    """
    targets = [stub.target for stub in (*USUAL, *stubs)]
    for stub in stubs:
        if not any(stub.target.startswith(f"{target}/") for target in targets):
            _check(root, stub)


def _check(root: Path, stub: Stub) -> None:
    try:
        real = Path(resolve_inside(str(root), stub.target))
    except UserError:
        return  # a loop of links: the runtime tells
    there = next(path for path in (real, *real.parents) if os.path.lexists(path))
    needs_folder = there != real or not stub.is_file
    if there.is_dir() == needs_folder:
        return
    what, kind = ("a file", "a folder") if there.is_dir() else ("a folder", "a file")
    what = what if there == real else "something"
    raise UserError(
        f"{what} can't be mounted at {stub.target}: /{there.relative_to(root)} is {kind} in the image",
        "give the mount another target, or remove what is there",
    )


@dataclass(frozen=True, slots=True)
class Before:
    """What a root filesystem lacked before the command, and when the folders that stubs are made in were changed.

    Shape: paths in the root; what lies deeper comes first.
    """

    absent: tuple[str, ...]
    times: tuple[tuple[str, int, int], ...]


def look(root: Path, stubs: Iterable[Stub] = ()) -> Before:
    """Look at a root filesystem before the command."""
    absent: set[str] = set()
    for stub in (*USUAL, *stubs):
        with contextlib.suppress(UserError):  # a loop of links: the runtime tells
            real = Path(resolve_inside(str(root), stub.target))
            while real != root and not os.path.lexists(real):
                absent.add(str(real.relative_to(root)))
                real = real.parent
    folders = {os.path.dirname(path) for path in absent} - absent
    times = []
    for folder in sorted(folders):
        with contextlib.suppress(FileNotFoundError):
            info = os.stat(root / folder, follow_symlinks=False)
            times.append((folder, info.st_atime_ns, info.st_mtime_ns))
    return Before(tuple(sorted(absent, key=lambda path: (-path.count("/"), path))), tuple(times))


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
