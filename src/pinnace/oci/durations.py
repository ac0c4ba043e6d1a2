"""Reads durations as Go writes them. Pure. Source: Go, time.ParseDuration; BuildKit, instructions/parse.go, parseOptInterval."""

from __future__ import annotations

import re

_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000}
_UNITS |= {"s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
MINIMUM_NS = 1_000_000
MAXIMUM_NS = 2**63 - 1  # Source: Go, time.Duration: who reads the image takes no larger number


def parse_nanoseconds(text: str) -> int:
    """Return a duration in nanoseconds; "" is 0. Raises: ValueError. Example: "1m30s" → 90000000000."""
    if text in ("", "0"):
        return 0
    parts = _PART.findall(text)
    if "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration")
    exact = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if exact > MAXIMUM_NS:
        raise ValueError(f"{text!r} is longer than 292 years")
    total = round(exact)
    if 0 < total < MINIMUM_NS:
        raise ValueError(f"{text!r} is less than 1ms")
    return total
