"""Reads durations as Go writes them."""

from __future__ import annotations

import re

_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def parse_nanoseconds(text: str) -> int:
    """Return a duration in nanoseconds; "" is 0. Raises: ValueError. Example: "1m30s" → 90000000000."""
    if not text:
        return 0
    parts = _PART.findall(text)
    if "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration")
    return round(sum(float(number) * _UNITS[unit] for number, unit in parts))
