"""Numbers that may be given as a share of a whole: maxSurge, maxUnavailable, minAvailable.

Pure. Source: Kubernetes v1.36, apimachinery/pkg/util/intstr/intstr.go, GetScaledValueFromIntOrPercent
"""

from __future__ import annotations

import re

_PERCENT = re.compile(r"([+-]?[0-9]+)%")


def parse_percent(value: str) -> int | None:
    """Return the number of percent; None if the text is no percentage. Example: "25%" -> 25."""
    match = _PERCENT.fullmatch(value)
    return int(match[1]) if match else None


def resolve_int_or_percent(value: int | str, total: int, *, round_up: bool) -> int:
    """Return a number as it is, or the share of `total` that a percentage is.

    Raises: ValueError in Kubernetes' words for a text that is no percentage.
    Example: "25%" of 10 is 3 rounded up and 2 rounded down.
    """
    if isinstance(value, int):
        return value
    percent = parse_percent(value)
    if percent is None:
        raise ValueError("invalid value for IntOrString: invalid type: string is not a percentage")
    share = percent * total
    return -(-share // 100) if round_up else share // 100
