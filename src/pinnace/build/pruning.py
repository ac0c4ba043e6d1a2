"""Decides what of the build cache is forgotten: by age, by size, or all of it. Pure.

Called by `builder`, after each build with the instance's own bounds, and when a person asks for it.
Invariant: what is used now is never forgotten; what was used longest ago goes first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

STEP: Final = "regular"  # Source: BuildKit, client/diskusage.go, UsageRecordType
MOUNT: Final = "exec.cachemount"
KEPT_SHARE, MOST_SHARE, FREE_SHARE = 10, 60, 20  # percent of the disk


class CacheRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the cache keeps. Units: bytes, unix seconds.

    `shared`: an image has the layer too, so that forgetting it frees nothing. `group` is the same for records with one layer,
    of which only the first weighs something.
    """

    id: str
    type: Literal["regular", "exec.cachemount"]
    text: str
    size: int
    created: float
    used: float
    group: str
    shared: bool = False
    in_use: bool = False


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be forgotten: what nobody used for `older_than_s`, then the oldest until at most `max_bytes` are left.

    `every`: also steps whose layers images have. `ids`: only these. Without any of it, all.
    """

    every: bool = False
    older_than_s: float = 0.0
    max_bytes: int | None = None
    ids: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


def plan_prune(records: Sequence[CacheRecord], bounds: Bounds, now: float) -> tuple[CacheRecord, ...]:
    """Return what goes, the oldest first."""
    candidates = sorted(
        (one for one in records if _may_go(one, bounds, now)), key=lambda one: (one.used, one.id)
    )
    if bounds.max_bytes is None:
        return tuple(candidates)
    users = Counter(one.group for one in records if not one.shared)
    left = weigh(records)
    gone: list[CacheRecord] = []
    for one in candidates:
        if left <= bounds.max_bytes:
            break
        gone.append(one)
        if not one.shared:
            users[one.group] -= 1
            left -= 0 if users[one.group] else one.size
    return tuple(gone)


def compute_limit(used: int, total: int, free: int) -> int:
    """Return how much the cache may hold on a disk, when nobody has set it. Units: bytes.

    Up to 60 % of the disk as long as 20 % of it stay free; what 10 % of the disk hold may stay in any case.
    Source: BuildKit, cmd/buildkitd/config, DetectDefaultGCCap and DefaultGCPolicy (reserved, maximum, minimum free).
    Example: a disk of 100 GB with 15 GB free, of which the cache has 30: it must give 5 back, 25 are allowed.
    """
    short = total * FREE_SHARE // 100 - free
    return min(total * MOST_SHARE // 100, max(total * KEPT_SHARE // 100, used - short))


def _may_go(record: CacheRecord, bounds: Bounds, now: float) -> bool:
    if record.in_use or (record.shared and not bounds.every):
        return False
    if bounds.ids and not any(record.id.startswith(one) for one in bounds.ids):
        return False
    if bounds.types and record.type not in bounds.types:
        return False
    return record.used <= now - bounds.older_than_s


def weigh(records: Iterable[CacheRecord]) -> int:
    """Return what records take on disk that nothing else takes: a layer counts once, an image's not at all."""
    sizes = {one.group: one.size for one in records if not one.shared}
    return sum(sizes.values())
