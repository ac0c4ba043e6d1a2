"""Decides which images `images`, `image prune` and their `--filter`s mean. Pure.

Source: Docker's documentation, docker image ls and docker image prune, "Filtering"; moby, daemon/images/images.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pinnace.base.errors import UserError
from pinnace.base.times import parse_time
from pinnace.image.views import Image
from pinnace.oci.reference import Reference

LIST_KEYS = ("before", "dangling", "label", "reference", "since", "until")
PRUNE_KEYS = ("dangling", "label", "label!", "until")
_SPAN = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")
_BOOLEANS = {"1": True, "true": True, "t": True, "0": False, "false": False, "f": False}

Filters = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Selected:
    """An image that is wanted, and those of its names that are."""

    image: Image
    references: tuple[Reference, ...]


def parse_filters(texts: Iterable[str], keys: Sequence[str]) -> dict[str, list[str]]:
    """Return key → values. Raises: UserError for a filter that there isn't. Example: "label=a=b" is {"label": ["a=b"]}."""
    found: dict[str, list[str]] = {}
    for text in texts:
        key, equal, value = text.partition("=")
        key = key.strip().lower()
        if not equal:
            raise UserError(f"invalid filter {text!r}", f"KEY=VALUE, with one of {', '.join(keys)}")
        if key not in keys:
            raise UserError(f"Invalid filter {key!r}", f"one of {', '.join(keys)}")
        found.setdefault(key, []).append(value)
    return found


def select(
    images: Iterable[Image],
    filters: Filters,
    *,
    now: float,
    find: Callable[[str], Image],
) -> tuple[Selected, ...]:
    """Return the images that hold all filters (of one key: labels all, others any).

    `find` looks up the image that `before` and `since` name. Raises: UserError, and what `find` raises.
    Shape: by `reference` only the fitting names are left; the order is that of `images`.
    """
    before = [find(text).created for text in filters.get("before", ())]
    since = [find(text).created for text in filters.get("since", ())]
    until = [parse_moment(text, now) for text in filters.get("until", ())]
    dangling = parse_dangling(filters)
    patterns = [compile_pattern(text) for text in filters.get("reference", ())]
    selected = []
    for image in images:
        if dangling is not None and dangling == bool(image.references):
            continue
        if not all(image.created < limit for limit in (*before, *until)):
            continue
        if not all(image.created > limit for limit in since):
            continue
        if not has_labels(image, filters):
            continue
        references = image.references
        if patterns:
            references = tuple(ref for ref in references if any(fits(ref, one) for one in patterns))
            if not references:
                continue
        selected.append(Selected(image, references))
    return tuple(selected)


def plan_prune(
    images: Iterable[Image], filters: Filters, *, every: bool, now: float, used: Callable[[Image], bool]
) -> tuple[Image, ...]:
    """Return the images that `image prune` removes: those without a name, with `every` all that no container uses."""
    dangling = parse_dangling(filters)
    if dangling is not None:
        every = not dangling
    until = [parse_moment(text, now) for text in filters.get("until", ())]
    return tuple(
        image
        for image in images
        if (every or not image.references)
        and not used(image)
        and all(image.created < limit for limit in until)
        and has_labels(image, filters)
    )


def parse_dangling(filters: Filters) -> bool | None:
    """Return what `dangling=` says; None when it isn't there. Raises: UserError."""
    values = [_BOOLEANS.get(text.lower()) for text in filters.get("dangling", ())]
    if None in values or len(set(values)) > 1:
        raise UserError(
            f"invalid filter 'dangling={','.join(filters['dangling'])}'", "dangling=true or dangling=false"
        )
    return values[0] if values else None


def has_labels(image: Image, filters: Filters) -> bool:
    """Say whether an image has all labels that `label` names, and not all that `label!` does."""
    labels = image.config.config.labels or {}

    def has(text: str) -> bool:
        key, equal, value = text.partition("=")
        return key in labels and (not equal or labels[key] == value)

    unwanted = filters.get("label!", ())
    return all(map(has, filters.get("label", ()))) and not (unwanted and all(map(has, unwanted)))


def parse_moment(text: str, now: float) -> float:
    """Return a time in seconds since 1970. Raises: UserError. Example: "24h" is a day ago; "2026-01-02", "1767323045"."""
    span = _SPAN.fullmatch(text)
    if text and span is not None:
        hours, minutes, seconds = (float(part or 0) for part in span.groups())
        return now - hours * 3600 - minutes * 60 - seconds
    try:
        return float(text)
    except ValueError:
        pass
    whole = text + {10: "T00:00:00", 16: ":00"}.get(len(text), "")
    try:
        return parse_time(whole if re.search(r"(Z|[+-]\d\d:?\d\d)$", whole[10:]) else whole + "Z")
    except ValueError:
        raise UserError(
            f"{text!r} is not a time", "such as 24h, 1h30m, 2026-01-02 or 2026-01-02T03:04:05Z"
        ) from None


def compile_pattern(text: str) -> re.Pattern[str]:
    """Return a shell pattern as an expression; "*" and "?" stop at slashes. Raises: UserError. Source: Go, path.Match."""
    parts, at = [], 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "*":
            parts.append("[^/]*")
        elif char == "?":
            parts.append("[^/]")
        elif char == "[":
            end = text.find("]", at + 1)
            if end < 0:
                raise UserError(f"the pattern {text!r} is not closed", "such as 'reference=my-*:v?'")
            inner = text[at:end]
            parts.append("[" + ("^" if inner.startswith("^") else "") + _escape_set(inner.lstrip("^")) + "]")
            at = end + 1
        elif char == "\\" and at < len(text):
            parts.append(re.escape(text[at]))
            at += 1
        else:
            parts.append(re.escape(char))
    try:
        return re.compile("".join(parts))
    except re.error as error:
        raise UserError(f"the pattern {text!r} can't be read: {error}") from error


def fits(reference: Reference, pattern: re.Pattern[str]) -> bool:
    """Say whether a pattern means a name: with its tag, or the repository alone. Source: distribution, FamiliarMatch."""
    return any(pattern.fullmatch(text) is not None for text in (reference.familiar, reference.familiar_name))


def _escape_set(text: str) -> str:
    return text.replace("\\", "\\\\").replace("[", "\\[")
