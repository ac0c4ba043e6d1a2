"""Sizes and spans of time as people write them in settings and flags. Pure; imports nothing heavy."""

from __future__ import annotations

import re

from pinnace.base.errors import UserError

# Source: docker/go-units, size.go: decimal units with a B, and those that count in 1024 with an i.
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_amount(text: str) -> int:
    """Return bytes. Raises: UserError. Example: "20GB" is 20,000,000,000, "512Mi" 536,870,912, "100" 100."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UserError(f"{text!r} is no size", "a number and B, kB, MB, GB or TB: 20GB")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[match[2].lower()])


def parse_span(text: str) -> float:
    """Return seconds. Raises: UserError. Example: "24h" is 86400, "1h30m" 5400, "14d" 1209600."""
    parts = _SPAN.findall(text.strip())
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        if text.strip() == "0":
            return 0.0
        raise UserError(f"{text!r} is no span of time", "like 30m, 24h or 14d")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
