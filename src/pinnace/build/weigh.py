"""Weighs the layers of a build's stages: what their files are, which are largest, what is there in vain. Runs in the worker.

Reads names and sizes; contents only to compare large files that look alike.
Invariant: bounded in time, entries and bytes read; what wasn't looked at is told by `is_partial`.
"""

from __future__ import annotations

import contextlib
import filecmp
import os
import stat
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec

from pinnace.build.kinds_of_files import kind_of, waste_of
from pinnace.image import whiteouts

Report = Callable[[str, int, int], None]

ENTRIES_MAX = 300_000
TIME_MAX_S = 20.0
COMPARED_MAX_BYTES = 512 << 20
ALIKE_MIN_BYTES = 1 << 20
SHOWN = 8
FOLDER_DEPTH = 5


class WeighedLayer(msgspec.Struct, frozen=True, kw_only=True):
    """One layer of a stage: its tree on disk ("" when its files are not here), and what made it."""

    tree: str
    text: str
    is_base: bool


class WeighJob(msgspec.Struct, frozen=True, kw_only=True):
    """Weigh the stages (name and layers, bottom first); the last one is the image."""

    stages: tuple[tuple[str, tuple[WeighedLayer, ...]], ...]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Something in one layer of the image that is there in vain: what, how much, how it stays out. Units: bytes."""

    layer: int
    kind: str  # "waste", "removed", "replaced", "alike"
    what: str
    size: int
    other: int = -1
    remedy: str = ""


class StageFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a stage but not in the image, by kind of file. Units: bytes."""

    name: str
    left: dict[str, int]


class WeightFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `files` and `folders` are the image's largest: (path, bytes, layer)."""

    stages: tuple[StageFacts, ...]
    kinds: dict[str, int]
    files: tuple[tuple[str, int, int], ...]
    folders: tuple[tuple[str, int], ...]
    found: tuple[Found, ...]
    is_partial: bool = False


def weigh_stages(job: WeighJob, report: Report) -> WeightFacts:
    """Do a `WeighJob`. Never fails for what can't be read: that weighs nothing."""
    return _Weigher(job).run()


@dataclass(slots=True)
class _Tree:
    """One layer: sizes by path, what it deletes, the folders whose earlier contents it hides."""

    files: dict[str, int] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)


class _Weigher:
    def __init__(self, job: WeighJob) -> None:
        self._job = job
        self._trees: dict[str, _Tree] = {}
        self._entries = 0
        self._until = time.monotonic() + TIME_MAX_S
        self._is_partial = False

    def run(self) -> WeightFacts:
        *others, (_, image_layers) = self._job.stages
        image, found = self._stack(image_layers)
        sizes = {path: size for path, (size, _) in image.items()}
        stages = []
        for name, layers in others:
            merged, _ = self._stack(layers)
            left: Counter[str] = Counter()
            for path, (size, _) in merged.items():
                if sizes.get(path) != size:
                    left[kind_of(path)] += size
            stages.append(StageFacts(name=name, left=dict(left)))
        kinds: Counter[str] = Counter()
        for path, size in sizes.items():
            kinds[kind_of(path)] += size
        largest = sorted(image.items(), key=lambda one: -one[1][0])[:SHOWN]
        return WeightFacts(
            stages=tuple(stages),
            kinds=dict(kinds),
            files=tuple((path, size, layer) for path, (size, layer) in largest),
            folders=_largest_folders(sizes),
            found=(*self._find_waste(image_layers), *found, *self._find_alike(image_layers, image)),
            is_partial=self._is_partial,
        )

    def _tree(self, path: str) -> _Tree:
        known = self._trees.get(path)
        if known is None:
            known = self._trees[path] = _Tree()
            if path:
                self._scan(path, known)
        return known

    def _scan(self, root: str, tree: _Tree) -> None:
        seen: set[int] = set()
        for entry, path in _below(root):
            self._entries += 1
            if self._entries > ENTRIES_MAX or time.monotonic() > self._until:
                self._is_partial = True
                return
            try:
                info = entry.stat(follow_symlinks=False)
                if whiteouts.is_whiteout(info):
                    tree.deleted.append(path)
                elif stat.S_ISDIR(info.st_mode):
                    if _is_opaque(entry.path):
                        tree.deleted.append(path)
                elif stat.S_ISREG(info.st_mode) and (info.st_nlink == 1 or info.st_ino not in seen):
                    seen.add(info.st_ino)
                    tree.files[path] = info.st_size
            except OSError:
                continue

    def _stack(self, layers: tuple[WeighedLayer, ...]) -> tuple[dict[str, tuple[int, int]], list[Found]]:
        """Return the visible files of a stack: path → (size, layer); and what upper layers take away from lower ones."""
        visible: dict[str, tuple[int, int]] = {}
        removed: Counter[tuple[int, int]] = Counter()
        replaced: Counter[tuple[int, int]] = Counter()
        for number, layer in enumerate(layers):
            tree = self._tree(layer.tree)
            if tree.deleted:
                gone = _Prefixes(tree.deleted)
                for path in [path for path in visible if gone.covers(path)]:
                    size, where = visible.pop(path)
                    removed[where, number] += size
            for path, size in tree.files.items():
                before = visible.get(path)
                if before is not None:
                    replaced[before[1], number] += before[0]
                visible[path] = (size, number)
        found = [
            Found(layer=where, kind=kind, what=kind, size=size, other=by)
            for kind, sums in (("removed", removed), ("replaced", replaced))
            for (where, by), size in sums.items()
        ]
        return visible, found

    def _find_waste(self, layers: tuple[WeighedLayer, ...]) -> Iterator[Found]:
        for number, layer in enumerate(layers):
            if layer.is_base:
                continue
            sums: Counter[str] = Counter()
            remedies: dict[str, str] = {}
            for path, size in self._tree(layer.tree).files.items():
                waste = waste_of(path)
                if waste is not None:
                    sums[waste.what] += size
                    remedies[waste.what] = waste.remedy
            for what, size in sums.items():
                yield Found(layer=number, kind="waste", what=what, size=size, remedy=remedies[what])

    def _find_alike(
        self, layers: tuple[WeighedLayer, ...], image: dict[str, tuple[int, int]]
    ) -> Iterator[Found]:
        """Find large files that are in two layers under different paths."""
        groups: defaultdict[tuple[str, int], list[tuple[str, int]]] = defaultdict(list)
        for path, (size, layer) in image.items():
            if size >= ALIKE_MIN_BYTES:
                groups[os.path.basename(path), size].append((path, layer))
        budget = COMPARED_MAX_BYTES
        for (_, size), places in groups.items():
            (first, layer), *others = places
            for path, other in others:
                if other == layer or budget < size or time.monotonic() > self._until:
                    continue
                budget -= size
                with contextlib.suppress(OSError):
                    if filecmp.cmp(
                        f"{layers[layer].tree}/{first}", f"{layers[other].tree}/{path}", shallow=False
                    ):
                        yield Found(
                            layer=other, kind="alike", what=f"/{path} is /{first}", size=size, other=layer
                        )


class _Prefixes:
    """Paths that are deleted with all that is below them."""

    def __init__(self, paths: list[str]) -> None:
        self._paths = set(paths)

    def covers(self, path: str) -> bool:
        while path:
            if path in self._paths:
                return True
            path = path.rpartition("/")[0]
        return False


def _below(root: str) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Yield what is below a folder, with its path there; folders that can't be read are passed over."""
    waiting = [("", root)]
    while waiting:
        name, real = waiting.pop()
        with contextlib.suppress(OSError), os.scandir(real) as entries:
            for entry in entries:
                path = f"{name}/{entry.name}" if name else entry.name
                yield entry, path
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((path, entry.path))


def _is_opaque(path: str) -> bool:
    try:
        return os.getxattr(path, whiteouts.OPAQUE_XATTR, follow_symlinks=False) == whiteouts.OPAQUE_VALUE
    except OSError:
        return False


def _largest_folders(sizes: dict[str, int]) -> tuple[tuple[str, int], ...]:
    """Return folders that weigh much, none of which is almost all of another one that is named."""
    sums: Counter[str] = Counter()
    for path, size in sizes.items():
        folder = ""
        for part in path.split("/")[:-1][:FOLDER_DEPTH]:
            folder = f"{folder}/{part}" if folder else part
            sums[folder] += size
    shown: list[tuple[str, int]] = []
    for folder, size in sorted(sums.items(), key=lambda one: (-one[1], -len(one[0]))):
        above = next((s for f, s in shown if folder.startswith(f + "/")), 0)
        below = next((s for f, s in sums.items() if f.startswith(folder + "/") and s > size * 0.8), 0)
        if not below and not (above and size < above * 0.2):
            shown.append((folder, size))
        if len(shown) == SHOWN:
            break
    return tuple(shown)
