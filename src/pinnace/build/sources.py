"""Finds what a COPY names, in a folder: the build context, or another stage's files. Digests it, and copies it.

`find_sources` decides (patterns, ignore rules, where each file lands); `digest_sources` and `copy_sources` do the work and
run in a worker process. It must never read outside the source's root or write outside the target's: every path is
resolved inside its root.
Source: Dockerfile reference, COPY and ADD.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import shutil
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from pinnace.base.errors import UserError
from pinnace.dockerfile.ignore import IgnoreRules, parse_ignore
from pinnace.dockerfile.patterns import match_name as match_pattern
from pinnace.dockerfile.source import suggest

Report = Callable[[str, int, int], None]

MAX_LINKS = 255  # Source: path_resolution(7) allows 40; images in the wild chain more
BLOCK_BYTES = 1 << 20
ARCHIVE_MAGIC = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What to take from where. `ignore` is the text of a .dockerignore; `keep_owner` is for files of other stages."""

    root: str
    sources: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    ignore: str = ""
    ignore_name: str = ".dockerignore"
    what: str = "the build context"
    keep_owner: bool = False


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One source that was found: its path in the root, whether it is a folder, and what a pattern led to."""

    path: str
    is_folder: bool


class SelectionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a selection holds. Units: bytes."""

    digest: str
    entries: int
    size: int


class CopyJob(msgspec.Struct, frozen=True, kw_only=True):
    """Copy a selection into `target_root` at `target` (absolute; a folder when it ends with "/").

    `uid` and `gid` of -1 keep the source's owner, or 0 for files of the context. `mode` of -1 keeps the source's.
    """

    selection: Selection
    target_root: str
    target: str
    uid: int = -1
    gid: int = -1
    mode: int = -1
    unpack: bool = False
    inline: tuple[tuple[str, str], ...] = ()


class MakeFolderJob(msgspec.Struct, frozen=True, kw_only=True):
    """Make a folder and its parents inside a root."""

    root: str
    path: str
    uid: int = 0
    gid: int = 0


# --- finding -------------------------------------------------------------------------------------------------------


def find_sources(selection: Selection) -> list[Found]:
    """Return what the sources name, in order. Raises: UserError that says where was looked, and what is near."""
    rules = parse_ignore(selection.ignore, selection.ignore_name) if selection.ignore else IgnoreRules()
    found: list[Found] = []
    for source in selection.sources:
        matches = [
            m for m in _match(selection.root, source) if not m or _is_visible(selection.root, m, rules)
        ]
        if not matches:
            raise _not_found(selection, source, rules)
        for match in matches:
            real = resolve_inside(selection.root, match)
            found.append(Found(path=match, is_folder=os.path.isdir(real)))
    return found


def _is_visible(root: str, path: str, rules: IgnoreRules) -> bool:
    if rules.hidden_by(path) is None:
        return True
    # A hidden folder counts when something below it is brought back.
    return any(rule.keeps for rule in rules.rules) and any(True for _ in _walk(root, path, rules, ()))


def _match(root: str, source: str) -> list[str]:
    """Return the paths in the root that a source pattern means, sorted; "" is the root itself."""
    cleaned = posixpath.normpath("/" + source).lstrip("/")
    if cleaned in ("", "."):
        return [""]
    places = [""]
    for part in cleaned.split("/"):
        following: list[str] = []
        for place in places:
            if not any(char in part for char in "*?[\\"):
                candidate = posixpath.join(place, part)
                if os.path.lexists(resolve_inside(root, candidate, follow_last=False)):
                    following.append(candidate)
                continue
            folder = resolve_inside(root, place)
            if os.path.isdir(folder):
                names = sorted(name for name in os.listdir(folder) if match_pattern(part, name))
                following += [posixpath.join(place, name) for name in names]
        places = following
    return places


def _not_found(selection: Selection, source: str, rules: IgnoreRules) -> UserError:
    cleaned = posixpath.normpath("/" + source).lstrip("/")
    rule = rules.hidden_by(cleaned) if cleaned else None
    if rule is not None and os.path.lexists(resolve_inside(selection.root, cleaned, follow_last=False)):
        return UserError(
            f"{source!r} is in {selection.what}, but {selection.ignore_name} hides it",
            f"line {rule.line} of {selection.ignore_name} is {rule.text!r}; add a line !{cleaned}",
        )
    folder = resolve_inside(selection.root, posixpath.dirname(cleaned))
    names = os.listdir(folder) if os.path.isdir(folder) else []
    near = suggest(posixpath.basename(cleaned), names)
    return UserError(
        f"{source!r} is not in {selection.what}",
        near or "sources are looked up in the build context, not beside the Dockerfile",
    )


def _walk(
    root: str, start: str, rules: IgnoreRules, exclude: tuple[str, ...]
) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the entries below a folder (not itself), parents first, sorted, with paths relative to the root."""
    folder = resolve_inside(root, start)
    for name in sorted(os.listdir(folder)):
        path = posixpath.join(start, name)
        if any(match_pattern(pattern, posixpath.relpath(path, start or ".")) for pattern in exclude):
            continue
        info = os.lstat(os.path.join(folder, name))
        hidden = rules.hidden_by(path) is not None
        if stat.S_ISDIR(info.st_mode):
            if hidden and not any(rule.keeps for rule in rules.rules):
                continue
            below = list(_walk(root, path, rules, exclude))
            if hidden and not below:
                continue
            yield path, info
            yield from below
        elif not hidden:
            yield path, info


# --- digesting -----------------------------------------------------------------------------------------------------


def digest_sources(job: Selection, report: Report) -> SelectionFacts:
    """Return the digest of a selection's content: names, kinds, modes, owners if they are kept, bytes; never times.

    Raises: UserError when a source isn't there.
    """
    rules = parse_ignore(job.ignore, job.ignore_name) if job.ignore else IgnoreRules()
    total, entries, size = hashlib.sha256(), 0, 0
    for found in find_sources(job):
        base = resolve_inside(job.root, found.path)
        total.update(f"{'d' if found.is_folder else 'f'}\0{posixpath.basename(found.path)}\0".encode())
        rows = (
            _walk(job.root, found.path, rules, job.exclude)
            if found.is_folder
            else iter([(found.path, os.stat(base))])
        )
        for path, info in rows:
            name = posixpath.relpath(path, found.path) if found.is_folder else posixpath.basename(path)
            owner = f"{info.st_uid}:{info.st_gid}" if job.keep_owner else ""
            content = _digest_entry(job.root, path, info, follow=not found.is_folder)
            total.update(f"{name}\0{info.st_mode:o}\0{owner}\0{content}\n".encode(errors="surrogateescape"))
            entries += 1
            size += info.st_size if stat.S_ISREG(info.st_mode) else 0
            if entries % 256 == 0:
                report("reading", entries, size)
    return SelectionFacts(digest=total.hexdigest(), entries=entries, size=size)


def _digest_entry(root: str, path: str, info: os.stat_result, *, follow: bool) -> str:
    if stat.S_ISLNK(info.st_mode):
        return "l" + os.readlink(resolve_inside(root, path, follow_last=False))
    if stat.S_ISREG(info.st_mode):
        with open(resolve_inside(root, path, follow_last=follow), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    if stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
        return f"n{info.st_rdev}"
    return ""


# --- copying -------------------------------------------------------------------------------------------------------


def copy_sources(job: CopyJob, report: Report) -> SelectionFacts:
    """Do a `CopyJob`. Raises: UserError when a source isn't there or can't go where it should, OSError."""
    os.umask(0)
    return _Copier(job, report).run()


def make_folder(job: MakeFolderJob, report: Report) -> bool:
    """Make a folder; what is there stays as it is. Returns whether something was made."""
    os.umask(0)
    return _make_folders(job.root, job.path, job.uid, job.gid)


class _Copier:
    def __init__(self, job: CopyJob, report: Report) -> None:
        self._job = job
        self._report = report
        self._rules = (
            parse_ignore(job.selection.ignore, job.selection.ignore_name)
            if job.selection.ignore
            else IgnoreRules()
        )
        self._links: dict[tuple[int, int], str] = {}
        self._entries = 0
        self._size = 0

    def run(self) -> SelectionFacts:
        job = self._job
        found = find_sources(job.selection) if job.selection.sources else []
        into_folder = (
            job.target.endswith("/")
            or len(found) + len(job.inline) > 1
            or os.path.isdir(resolve_inside(job.target_root, job.target))
        )
        for one in found:
            source = resolve_inside(job.selection.root, one.path)
            if one.is_folder:
                self._copy_folder(one.path, job.target)
            elif job.unpack and _is_archive(source):
                self._unpack(source, job.target)
            else:
                target = (
                    posixpath.join(job.target, posixpath.basename(one.path)) if into_folder else job.target
                )
                self._place_parent(target)
                self._copy_entry(source, os.stat(source), target)
        for name, data in job.inline:
            target = posixpath.join(job.target, name) if into_folder else job.target
            self._place_parent(target)
            self._write(target, data.encode())
        return SelectionFacts(digest="", entries=self._entries, size=self._size)

    def _place_parent(self, target: str) -> None:
        uid, gid = max(self._job.uid, 0), max(self._job.gid, 0)
        _make_folders(self._job.target_root, posixpath.dirname(target.rstrip("/")) or "/", uid, gid)

    def _copy_folder(self, start: str, target: str) -> None:
        uid, gid = max(self._job.uid, 0), max(self._job.gid, 0)
        made = _make_folders(self._job.target_root, target, uid, gid)
        if made and start:
            self._dress(
                resolve_inside(self._job.target_root, target),
                os.stat(resolve_inside(self._job.selection.root, start)),
            )
        times: list[tuple[str, os.stat_result]] = []
        for path, info in _walk(self._job.selection.root, start, self._rules, self._job.selection.exclude):
            place = posixpath.join(target, posixpath.relpath(path, start or "."))
            source = resolve_inside(self._job.selection.root, path, follow_last=False)
            if stat.S_ISDIR(info.st_mode):
                real = resolve_inside(self._job.target_root, place)
                if not os.path.isdir(real):
                    _remove(resolve_inside(self._job.target_root, place, follow_last=False))
                    os.mkdir(real, 0o755)
                self._dress(real, info)
                times.append((real, info))
                self._count(info)
            else:
                self._copy_entry(source, info, place)
        for real, info in reversed(times):
            os.utime(real, ns=(info.st_atime_ns, info.st_mtime_ns))

    def _copy_entry(self, source: str, info: os.stat_result, place: str) -> None:
        real = resolve_inside(self._job.target_root, place, follow_last=False)
        if os.path.isdir(real) and not os.path.islink(real):
            raise UserError(f"cannot copy to non-directory: {place} is a folder", "end the target with /")
        identity = (info.st_dev, info.st_ino)
        _remove(real)
        if stat.S_ISREG(info.st_mode) and info.st_nlink > 1 and identity in self._links:
            os.link(self._links[identity], real)
            self._count(info, linked=True)
            return
        if stat.S_ISLNK(info.st_mode):
            os.symlink(os.readlink(source), real)
        elif stat.S_ISREG(info.st_mode):
            shutil.copyfile(source, real, follow_symlinks=True)
            self._links[identity] = real
        elif stat.S_ISFIFO(info.st_mode) or stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
            os.mknod(real, info.st_mode, info.st_rdev)
        else:
            return  # a socket means nothing in an image
        if self._job.selection.keep_owner:
            _copy_attributes(source, real)
        self._dress(real, info)
        os.utime(real, ns=(info.st_atime_ns, info.st_mtime_ns), follow_symlinks=False)
        self._count(info)

    def _write(self, target: str, data: bytes) -> None:
        real = resolve_inside(self._job.target_root, target, follow_last=False)
        _remove(real)
        Path(real).write_bytes(data)
        os.chown(real, max(self._job.uid, 0), max(self._job.gid, 0))
        os.chmod(real, 0o644 if self._job.mode < 0 else self._job.mode)
        self._entries += 1
        self._size += len(data)

    def _dress(self, real: str, info: os.stat_result) -> None:
        job = self._job
        keep = job.selection.keep_owner
        uid = job.uid if job.uid >= 0 else (info.st_uid if keep else 0)
        gid = job.gid if job.gid >= 0 else (info.st_gid if keep else 0)
        os.lchown(real, uid, gid)
        if not stat.S_ISLNK(info.st_mode):
            os.chmod(real, stat.S_IMODE(info.st_mode) if job.mode < 0 else job.mode)

    def _count(self, info: os.stat_result, *, linked: bool = False) -> None:
        self._entries += 1
        if stat.S_ISREG(info.st_mode) and not linked:
            self._size += info.st_size
        if self._entries % 256 == 0:
            self._report("copying", self._entries, self._size)

    def _unpack(self, source: str, target: str) -> None:
        _make_folders(self._job.target_root, target, max(self._job.uid, 0), max(self._job.gid, 0))
        root = resolve_inside(self._job.target_root, target)
        with tarfile.open(source) as archive:
            try:
                archive.extractall(root, filter="tar", numeric_owner=True)
            except tarfile.FilterError as error:
                raise UserError(
                    f"{os.path.basename(source)}: {error}", "the archive reaches outside of its folder"
                ) from None
            for member in archive.getmembers():
                self._entries += 1
                self._size += member.size


def _is_archive(path: str) -> bool:
    with open(path, "rb") as file:
        head = file.read(512)
    return (head.startswith(ARCHIVE_MAGIC) and tarfile.is_tarfile(path)) or head[257:262] == b"ustar"


def _copy_attributes(source: str, target: str) -> None:
    for name in os.listxattr(source, follow_symlinks=False):
        if name.startswith(("security.capability", "user.")):
            os.setxattr(target, name, os.getxattr(source, name, follow_symlinks=False), follow_symlinks=False)


def _remove(real: str) -> None:
    if os.path.islink(real) or (os.path.lexists(real) and not os.path.isdir(real)):
        os.unlink(real)


def _make_folders(root: str, path: str, uid: int, gid: int) -> bool:
    made = False
    place = ""
    for part in posixpath.normpath("/" + path).strip("/").split("/"):
        if not part or part == ".":
            continue
        place = posixpath.join(place, part)
        real = resolve_inside(root, place)
        if not os.path.isdir(real):
            try:
                os.mkdir(real, 0o755)
            except FileExistsError:
                raise UserError(f"/{place} is a file, not a folder") from None
            os.chown(real, uid, gid)
            made = True
    return made


def resolve_inside(root: str, path: str, *, follow_last: bool = True) -> str:
    """Return the real path of `path` inside `root`: links are followed as if `root` were "/".

    Raises: UserError for a loop of links.
    """
    parts = [part for part in path.split("/") if part and part != "."]
    place: list[str] = []
    links = 0
    while parts:
        part = parts.pop(0)
        if part == "..":
            if place:
                place.pop()
            continue
        candidate = os.path.join(root, *place, part)
        if os.path.islink(candidate) and (parts or follow_last):
            links += 1
            if links > MAX_LINKS:
                raise UserError(f"{path}: too many levels of symbolic links")
            target = os.readlink(candidate)
            if target.startswith("/"):
                place = []
            parts = [piece for piece in target.split("/") if piece and piece != "."] + parts
            continue
        place.append(part)
    return os.path.join(root, *place) if place else root
