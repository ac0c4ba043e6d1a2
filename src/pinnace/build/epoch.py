"""Decides what SOURCE_DATE_EPOCH does to an image: no time in it is later than that, and its own time is exactly that.

Pure. Source: reproducible-builds.org/specs/source-date-epoch; BuildKit, docs/build-repro.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from pinnace.base.errors import PinnaceError, UserError
from pinnace.base.times import parse_time, render_micro_time
from pinnace.oci.config import History

EPOCH_ARG = "SOURCE_DATE_EPOCH"
EPOCH_MAX = 253402300799  # the last second of the year 9999, which is as far as RFC 3339 goes


def read_epoch(build_args: Mapping[str, str]) -> int | None:
    """Return the time that was given; None without one. Units: unix seconds. Raises: UserError."""
    text = build_args.get(EPOCH_ARG, "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or int(text) > EPOCH_MAX:
        raise UserError(
            f"invalid {EPOCH_ARG}: {text!r} is not a number of seconds since 1970",
            f"for example --build-arg {EPOCH_ARG}=$(git log -1 --format=%ct)",
        )
    return int(text)


def clamp_history(history: Iterable[History], epoch: int | None) -> tuple[History, ...]:
    """Return a history in which nothing is later than the epoch."""
    if epoch is None:
        return tuple(history)
    return tuple(_clamp(one, epoch) for one in history)


def _clamp(one: History, epoch: int) -> History:
    try:
        late = bool(one.created) and parse_time(one.created) > epoch
    except (PinnaceError, ValueError):
        return one  # what another tool wrote there is its own affair
    return replace(one, created=render_micro_time(float(epoch))) if late else one
