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
    hits: tuple[Hits, ...] = ()
    waiting: Item | None = None
    names: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = iter(sorted(os.listdir(self.real)))


def walk(real: str, path: str = "", rules: IgnoreRules = NO_RULES, *by_name: IgnoreRules) -> Iterator[Item]:
    """Yield what is below the folder `real`, not itself. `rules` look at paths below `path`, `by_name` at names.

    What any of them hides is hidden. Raises: UserError when the tree changes meanwhile.
    """
    named = tuple(one for one in by_name if one.rules)
    levels = [_Level("", path, real, (rules.hits_of(path), *(() for _ in named)))]
    while levels:
        level = levels[-1]
        part = next(level.names, None)
        if part is None:
            levels.pop()
            continue
        item = Item(_join(level.name, part), f"{level.real}/{part}", _lstat(f"{level.real}/{part}"))
        below = _judge(level, item, _join(level.path, part), rules, named)
        if not below.is_hidden:
            for one in levels:
                if one.waiting is not None:
                    yield one.waiting
                    one.waiting = None
            yield item
        if item.is_folder and (not below.is_hidden or below.may_show):
            waiting = item if below.is_hidden else None
            levels.append(_Level(item.name, below.path, item.real, below.hits, waiting))


@dataclass(frozen=True, slots=True)
class _Judged:
    """What the rules say of an item: `may_show` that something below it may be shown although it is hidden."""

    path: str
    hits: tuple[Hits, ...]
    is_hidden: bool = False
    may_show: bool = False


def _judge(
    level: _Level, item: Item, path: str, rules: IgnoreRules, named: tuple[IgnoreRules, ...]
) -> _Judged:
    if not rules.rules and not named:
        return _Judged(path, level.hits)
    judges = ((rules, path), *((one, item.name) for one in named))
    hits = tuple(one.hit(where, above) for (one, where), above in zip(judges, level.hits, strict=True))
    hiding = [
        one.may_show_below(where, found)
        for (one, where), found in zip(judges, hits, strict=True)
        if one.hiding(found) is not None
    ]
    return _Judged(path, hits, is_hidden=bool(hiding), may_show=all(hiding))


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _lstat(real: str) -> os.stat_result:
    try:
        return os.lstat(real)
    except FileNotFoundError:
        raise UserError(f"{real} vanished while it was read", "build again when nothing changes it") from None
