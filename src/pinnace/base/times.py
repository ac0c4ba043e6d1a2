"""Times as text, in the two forms that the API uses."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import lru_cache


def render_time(now: float) -> str:
    """Return `now` as a Kubernetes `Time`, in whole seconds.

    Source: apimachinery/pkg/apis/meta/v1/time.go (RFC 3339, UTC).
    Example: 0 → "1970-01-01T00:00:00Z".
    """
    return _render_second(math.floor(now))


@lru_cache(maxsize=16)  # thousands of writes a second say the same one
def _render_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def render_micro_time(now: float) -> str:
    """Return `now` as a Kubernetes `MicroTime`. Example: 0.25 → "1970-01-01T00:00:00.250000Z"."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> float:
    """Return the seconds since 1970 that an RFC 3339 text names. Raises: ValueError."""
    moment = datetime.fromisoformat(_cut_nanoseconds(text))
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.timestamp()


def _cut_nanoseconds(text: str) -> str:
    head, dot, tail = text.partition(".")
    if not dot:
        return text
    digits = len(tail) - len(tail.lstrip("0123456789"))
    return f"{head}.{tail[:digits][:6]:0<6}{tail[digits:]}"
