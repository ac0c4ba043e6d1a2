"""Sizes and ages as Docker prints them."""

from __future__ import annotations


def render_size(size: float) -> str:
    """Return bytes in decimal units with three digits. Example: 123456789 → "123MB". Source: docker/go-units, HumanSize."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            return f"{size:.3g}{unit}"
        size /= 1000
    raise AssertionError


def render_age(seconds: float) -> str:
    """Return a duration in words. Example: 90 → "About a minute". Source: docker/go-units, HumanDuration."""
    whole = int(seconds)
    hours = round(seconds / 3600)
    rows: tuple[tuple[bool, str], ...] = (
        (whole < 1, "Less than a second"),
        (whole == 1, "1 second"),
        (whole < 60, f"{whole} seconds"),
        (whole < 120, "About a minute"),
        (whole < 3600, f"{whole // 60} minutes"),
        (hours <= 1, "About an hour"),
        (hours < 48, f"{hours} hours"),
        (hours < 24 * 7 * 2, f"{hours // 24} days"),
        (hours < 24 * 30 * 2, f"{hours // 24 // 7} weeks"),
        (hours < 24 * 365 * 2, f"{hours // 24 // 30} months"),
        (True, f"{hours // 24 // 365} years"),
    )
    return next(text for holds, text in rows if holds)
