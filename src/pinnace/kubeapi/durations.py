"""Renders a duration in the short form of Kubernetes' tables. Pure."""

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_YEAR = 365 * _DAY


def render_duration(seconds: float) -> str:
    """Return the duration in one or two units, fewer digits the longer it is.

    Source: Kubernetes v1.36, apimachinery/pkg/util/duration, HumanDuration.
    Example: 119 → "119s", 125 → "2m5s", 11 minutes → "11m", 3 h 5 min → "3h5m", 49 h → "2d1h".
    """
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 2 * _MINUTE:
        return f"{max(0, whole)}s"
    if whole < 10 * _MINUTE:
        return _two(whole, _MINUTE, "m", 1, "s")
    if whole < 3 * _HOUR:
        return f"{whole // _MINUTE}m"
    if whole < 8 * _HOUR:
        return _two(whole, _HOUR, "h", _MINUTE, "m")
    if whole < 2 * _DAY:
        return f"{whole // _HOUR}h"
    if whole < 8 * _DAY:
        return _two(whole, _DAY, "d", _HOUR, "h")
    if whole < 2 * _YEAR:
        return f"{whole // _DAY}d"
    if whole < 8 * _YEAR:
        return _two(whole, _YEAR, "y", _DAY, "d")
    return f"{whole // _YEAR}y"


def _two(whole: int, large: int, large_unit: str, small: int, small_unit: str) -> str:
    count, rest = divmod(whole, large)
    rest //= small
    return f"{count}{large_unit}{rest}{small_unit}" if rest else f"{count}{large_unit}"
