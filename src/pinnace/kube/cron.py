"""Reads a CronJob's schedule: five fields, or a word like @hourly. Pure.

Used by the validation of CronJobs. Never looks at a clock. Invariant: what Kubernetes refuses is refused here in the same
words. Source: robfig/cron v3, parser.go, ParseStandard, which Kubernetes v1.36 uses.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_ATOI_MOST = 2**63 - 1


class CronError(ValueError):
    """A schedule that can't be read; the text says why, in Kubernetes' words."""


@dataclass(frozen=True, slots=True)
class Field:
    """The values that one field may have, and the names that stand for some of them."""

    low: int
    high: int
    names: Mapping[str, int]


def _number(names: str, first: int) -> Mapping[str, int]:
    return {name: first + index for index, name in enumerate(names.split())}


MINUTE = Field(0, 59, {})
HOUR = Field(0, 23, {})
DAY = Field(1, 31, {})
MONTH = Field(1, 12, _number("jan feb mar apr may jun jul aug sep oct nov dec", 1))
WEEKDAY = Field(0, 6, _number("sun mon tue wed thu fri sat", 0))
_FIELDS = (MINUTE, HOUR, DAY, MONTH, WEEKDAY)

_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY = "@every "


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a CronJob is due: five sets of values, or every so many seconds.

    `any_day` and `any_weekday` say that the field was a star: a day is due when both fields allow it if one of them is a
    star, and when either does otherwise. `zone` is "" unless the text names one.
    """

    minutes: frozenset[int] = frozenset()
    hours: frozenset[int] = frozenset()
    days: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    any_day: bool = False
    any_weekday: bool = False
    every_s: float | None = None
    zone: str = ""


@lru_cache(256)
def parse_schedule(text: str) -> Schedule:
    """Return what a schedule means.

    Raises: CronError.
    Example: "*/15 9-17 * * mon-fri" is due each quarter of an hour on working days.
    """
    if not text:
        raise CronError("empty spec string")
    zone = ""
    if text.startswith(("TZ=", "CRON_TZ=")):
        zone, space, rest = text.partition("=")[2].partition(" ")
        if not space:
            raise CronError("empty spec string")
        load_zone(zone, f"provided bad location {zone}: ")
        text = rest.strip()
    if text.startswith(_EVERY):
        return Schedule(every_s=max(1.0, float(int(_parse_duration(text)))), zone=zone)
    if text.startswith("@"):
        if text not in _WORDS:
            raise CronError(f"unrecognized descriptor: {text}")
        text = _WORDS[text]
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise CronError(f"expected exactly {len(_FIELDS)} fields, found {len(parts)}: [{' '.join(parts)}]")
    read = [_parse_field(part, field) for part, field in zip(parts, _FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = (values for values, _ in read)
    return Schedule(minutes, hours, days, months, weekdays, read[2][1], read[4][1], zone=zone)


def _parse_field(text: str, field: Field) -> tuple[frozenset[int], bool]:
    """Return a field's values, and whether it is a star."""
    values: set[int] = set()
    star = False
    for part in filter(None, text.split(",")):
        found, starred = _parse_range(part, field)
        values.update(found)
        star = star or starred
    return frozenset(values), star


def _parse_range(text: str, field: Field) -> tuple[range, bool]:
    bounds, *steps = text.split("/")
    low_text, *high_texts = bounds.split("-")
    star = low_text in ("*", "?")
    if star:
        low, high = field.low, field.high
    else:
        low = high = _parse_value(low_text, field)
        if len(high_texts) == 1:
            high = _parse_value(high_texts[0], field)
        elif high_texts:
            raise CronError(f"too many hyphens: {text}")
    step = 1
    if len(steps) == 1:
        step = _parse_number(steps[0])
        if not high_texts:
            high = field.high  # "3/5" is "3-59/5"
        star = star and step == 1
    elif steps:
        raise CronError(f"too many slashes: {text}")
    _check_range(low, high, step, field, text)
    return range(low, high + 1, step), star


def _check_range(low: int, high: int, step: int, field: Field, text: str) -> None:
    if low < field.low:
        raise CronError(f"beginning of range ({low}) below minimum ({field.low}): {text}")
    if high > field.high:
        raise CronError(f"end of range ({high}) above maximum ({field.high}): {text}")
    if low > high:
        raise CronError(f"beginning of range ({low}) beyond end of range ({high}): {text}")
    if step == 0:
        raise CronError(f"step of range should be a positive number: {text}")


def _parse_value(text: str, field: Field) -> int:
    named = field.names.get(text.lower())
    return _parse_number(text) if named is None else named


def _parse_number(text: str) -> int:
    if not re.fullmatch("[-+]?[0-9]+", text):
        raise CronError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    if len(text) > 20 or abs(int(text)) > _ATOI_MOST:
        raise CronError(
            f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": value out of range'
        )
    number = int(text)
    if number < 0:
        raise CronError(f"negative number ({number}) not allowed: {text}")
    return number


_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_MOST_S = (2**63 - 1) / 1e9  # nanoseconds in 63 bits
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([^0-9.]*)")


def _parse_duration(text: str) -> float:
    """Return the seconds of an @every. Source: Go's time.ParseDuration."""
    word = text[len(_EVERY) :]

    def fail(why: str) -> CronError:
        return CronError(f"failed to parse duration {text}: time: {why}")

    sign, rest = (-1, word[1:]) if word.startswith("-") else (1, word.removeprefix("+"))
    if rest == "0":
        return 0.0
    total, at = 0.0, 0
    while at < len(rest) or not rest:
        match = _DURATION_PART.match(rest, at)
        if match is None:
            raise fail(f'invalid duration "{word}"')
        number, unit = match.groups()
        if not unit:
            raise fail(f'missing unit in duration "{word}"')
        if unit not in _UNITS:
            raise fail(f'unknown unit "{unit}" in duration "{word}"')
        total += float(number) * _UNITS[unit]
        if total > _DURATION_MOST_S:
            raise fail(f'invalid duration "{word}"')
        at = match.end()
    return sign * total


def load_zone(name: str, prefix: str = "") -> None:
    """Raise unless there is such a time zone. Raises: CronError, with `prefix` before the reason."""
    if name in ("", "UTC", "Local"):
        return
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CronError(f"{prefix}unknown time zone {name}") from None
