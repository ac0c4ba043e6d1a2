"""Looks over a build context before it is read: how much a COPY would take, and what weighs most. Runs in the worker process.

Reads names and sizes, never contents, past what the ignore file hides.
Invariant: it ends in time, with what it has seen until then.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections import Counter
from collections.abc import Callable

import msgspec

from pinnace.base.errors import PinnaceError
from pinnace.build.crowd import is_known
from pinnace.build.selection import Selection, find_sources
from pinnace.build.walk import walk

Report = Callable[[str, int, int], None]

TIME_MAX_S = 5.0
DEPTH = 3  # how many parts of a path an entry has at most that is counted on its own
ENTRIES_MAX = 20_000


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """What lies at or below a path. Units: bytes."""

    path: str
    size: int
    files: int
    is_folder: bool


class SurveyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen; `is_whole` when all of it was. Entries of up to `DEPTH` parts, each with all that is below it."""

    size: int
    files: int
    entries: tuple[Entry, ...]
    is_whole: bool


def survey_context(job: Selection, report: Report) -> SurveyFacts:
    """Look over what a selection takes. Never fails for what can't be read."""
    until = time.monotonic() + TIME_MAX_S
    sizes: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    folders: set[str] = set()
    total = files = 0
    is_whole = False
    with contextlib.suppress(PinnaceError, OSError):
        for found in find_sources(job).found:
            if not found.is_folder:
                info = os.lstat(found.real)
                total, files = total + info.st_size, files + 1
                sizes[found.path] += info.st_size
                counts[found.path] += 1
                continue
            for item in walk(found.real, found.path, job.rules(), job.excludes(), found.included()):
                path = f"{found.path}/{item.name}" if found.path else item.name
                parts = path.split("/")
                if item.is_folder:
                    if len(parts) <= DEPTH and len(folders) < ENTRIES_MAX:
                        folders.add(path)
                    continue
                size = item.info.st_size if stat.S_ISREG(item.info.st_mode) else 0
                total, files = total + size, files + 1
                for depth in range(1, min(len(parts), DEPTH) + 1):
                    name = "/".join(parts[:depth])
                    if name in sizes or len(sizes) < ENTRIES_MAX:
                        sizes[name] += size
                        counts[name] += 1
                if not files % 1000:
                    report("looking", files, total)
                    if time.monotonic() > until:
                        raise TimeoutError
        is_whole = True
    entries = tuple(Entry(path, sizes[path], counts[path], path in folders) for path in sizes)
    return SurveyFacts(size=total, files=files, entries=_most(entries), is_whole=is_whole)


def _most(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return those that matter: the largest, those with most files, and all of the names that `crowd` knows."""
    by_size = sorted(entries, key=lambda one: -one.size)[:40]
    by_count = sorted(entries, key=lambda one: -one.files)[:40]
    known = [one for one in entries if is_known(one.path)][:200]
    return tuple(dict.fromkeys((*by_size, *by_count, *known)))
