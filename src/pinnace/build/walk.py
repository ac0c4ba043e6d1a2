"""Goes through the files below a folder, in one order that never changes, past what ignore rules hide.

Runs in the worker process, for digesting and for copying. It follows no links and holds one list of names for each level
that it is in, however large the tree is.
Invariant: a folder comes before what is in it; a hidden folder comes only if something below it is shown.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from pinnace.base.errors import UserError
from pinnace.dockerfile.ignore import Hits, IgnoreRules

NO_RULES = IgnoreRules()


@dataclass(frozen=True, slots=True)
class Item:
    """One file or folder: its name below the folder where the walk began, its real path, its state."""

    name: str
    real: str
    info: os.stat_result

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.info.st_mode)


@dataclass(slots=True)
class _Level:
    """A folder being read. `waiting` is its own item while it is hidden and nothing below it was shown."""

    name: str
    path: str
    real: str
    hits: Hits = ()
    exclude_hits: Hits = ()
    waiting: Item | None = None
    names: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = iter(sorted(os.listdir(self.real)))


def walk(
    real: str, path: str = "", rules: IgnoreRules = NO_RULES, exclude: IgnoreRules = NO_RULES
) -> Iterator[Item]:
    """Yield what is below the folder `real`, not itself. `rules` look at paths below `path`, `exclude` at names.

    Raises: UserError when the tree changes meanwhile.
    """
    levels = [_Level("", path, real, rules.hits_of(path))]
    while levels:
        level = levels[-1]
        part = next(level.names, None)
        if part is None:
            levels.pop()
            continue
        item = Item(_join(level.name, part), f"{level.real}/{part}", _lstat(f"{level.real}/{part}"))
        below = _judge(level, item, _join(level.path, part), rules, exclude)
        if not below.is_hidden:
            for one in levels:
                if one.waiting is not None:
                    yield one.waiting
                    one.waiting = None
            yield item
        if item.is_folder and (not below.is_hidden or below.may_show):
            waiting = item if below.is_hidden else None
            levels.append(_Level(item.name, below.path, item.real, below.hits, below.exclude_hits, waiting))


@dataclass(frozen=True, slots=True)
class _Judged:
    """What the rules say of an item: `may_show` that something below it may be shown although it is hidden."""

    path: str
    hits: Hits = ()
    exclude_hits: Hits = ()
    is_hidden: bool = False
    may_show: bool = False


def _judge(level: _Level, item: Item, path: str, rules: IgnoreRules, exclude: IgnoreRules) -> _Judged:
    if not rules.rules and not exclude.rules:
        return _Judged(path)
    hits, exclude_hits = rules.hit(path, level.hits), exclude.hit(item.name, level.exclude_hits)
    hiding = [
        one.may_show_below(where, found)
        for one, where, found in ((rules, path, hits), (exclude, item.name, exclude_hits))
        if one.hiding(found) is not None
    ]
    return _Judged(path, hits, exclude_hits, is_hidden=bool(hiding), may_show=all(hiding))


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _lstat(real: str) -> os.stat_result:
    try:
        return os.lstat(real)
    except FileNotFoundError:
        raise UserError(f"{real} vanished while it was read", "build again when nothing changes it") from None
