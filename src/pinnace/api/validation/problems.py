"""Collects everything that is wrong with one object, in Kubernetes' words, and makes the `Invalid` error of it.

Used by every rule. Pure. Invariant: the order of the problems is the order in which the rules looked.
Source: Kubernetes v1.36, apimachinery/pkg/util/validation/field/errors.go, and api/errors NewInvalid.
"""

import json
from collections.abc import Iterable, Set
from typing import Any

import msgspec

from pinnace.base.errors import ApiError, Cause, Reason

_TITLES = {
    "FieldValueRequired": "Required value",
    "FieldValueInvalid": "Invalid value",
    "FieldValueTypeInvalid": "Invalid value",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueDuplicate": "Duplicate value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueTooLong": "Too long",
    "FieldValueTooMany": "Too many",
    "FieldValueNotFound": "Not found",
}

# A person reads some; a document of 3 MiB may have a hundred thousand, and none of its values is worth more than a look.
MOST = 500
SHOWN_MOST = 2000


def render_value(value: Any) -> str:
    """Return a value as an error shows it: quoted text, bare numbers, JSON for the rest."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if value is None:
        return '"null"'
    if isinstance(value, bool | int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return msgspec.json.encode(value).decode()


class Problems:
    """A growing list of causes, each with its field's path."""

    __slots__ = ("found", "more")

    def __init__(self) -> None:
        self.found: list[Cause] = []
        self.more = False

    def __bool__(self) -> bool:
        return bool(self.found)

    def _add(self, reason: str, path: str, shown: str, detail: str) -> None:
        if len(self.found) >= MOST:
            self.more = True
            return
        if len(shown) > SHOWN_MOST:
            shown = f"{shown[:SHOWN_MOST]}..."
        message = ": ".join(part for part in (_TITLES[reason], shown, detail) if part)
        self.found.append(Cause(reason, message, path))

    def required(self, path: str, detail: str = "") -> None:
        """A value is missing."""
        self._add("FieldValueRequired", path, "", detail)

    def invalid(self, path: str, value: Any, detail: str) -> None:
        """A value breaks a rule."""
        self._add("FieldValueInvalid", path, render_value(value), detail)

    def wrong_type(self, path: str, value: Any, detail: str) -> None:
        """A value is not of the type or format that its schema wants."""
        self._add("FieldValueTypeInvalid", path, render_value(value), detail)

    def invalid_as_a_whole(self, path: str, detail: str) -> None:
        """A rule is broken that no single value shows."""
        self._add("FieldValueInvalid", path, "", detail)

    def immutable(self, path: str, value: Any) -> None:
        """A value was changed that may not be."""
        self.invalid(path, value, "field is immutable")

    def not_supported(self, path: str, value: Any, supported: Iterable[str]) -> None:
        """A value is none of a closed set; a sequence is shown in its order, a set by the alphabet."""
        shown = sorted(supported) if isinstance(supported, Set) else supported
        names = ", ".join(render_value(name) for name in shown)
        self._add("FieldValueNotSupported", path, render_value(value), f"supported values: {names}")

    def duplicate(self, path: str, value: Any, detail: str = "") -> None:
        """A value that must be unique is there twice."""
        self._add("FieldValueDuplicate", path, render_value(value), detail)

    def forbidden(self, path: str, detail: str) -> None:
        """A value may not be set here."""
        self._add("FieldValueForbidden", path, "", detail)

    def too_long(self, path: str, limit: int) -> None:
        """A value has more bytes than allowed; it is not shown."""
        self._add("FieldValueTooLong", path, "", f"may not be more than {limit} bytes")

    def too_many(self, path: str, count: int, limit: int) -> None:
        """A list has more items than allowed."""
        self._add("FieldValueTooMany", path, str(count), f"must have at most {limit} items")

    def not_found(self, path: str, value: Any, detail: str = "") -> None:
        """A value refers to something that is not there."""
        self._add("FieldValueNotFound", path, render_value(value), detail)

    def one_of(self, path: str, value: str, supported: Iterable[str], *, required: bool = False) -> None:
        """Check membership of a closed set; an empty value is fine unless `required`."""
        if value:
            if value not in supported:
                self.not_supported(path, value, supported)
        elif required:
            self.required(path)

    def not_negative(self, path: str, value: int | None) -> None:
        """Check a count."""
        if value is not None and value < 0:
            self.invalid(path, value, "must be greater than or equal to 0")

    def within(self, path: str, value: int | None, low: int, high: int) -> None:
        """Check an inclusive range; None is fine."""
        if value is not None and not low <= value <= high:
            self.invalid(path, value, f"must be between {low} and {high}, inclusive")

    def port(self, path: str, value: int | None) -> None:
        """Check a port's number."""
        self.within(path, value, 1, 65535)

    def each(self, path: str, value: Any, details: Iterable[str]) -> None:
        """Add one invalid for each of a name rule's sentences."""
        for detail in details:
            self.invalid(path, value, detail)

    def to_error(self, kind: str, group: str, name: str) -> ApiError:
        """Return the `Invalid` error that names all of them."""
        unique = list(dict.fromkeys(f"{cause.field}: {cause.message}" for cause in self.found))
        unique += ["and more that is not named here"] if self.more else []
        listed = unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]"
        qualified = f"{kind}.{group}" if group else kind
        return ApiError(
            Reason.INVALID,
            f'{qualified} "{name}" is invalid: {listed}',
            causes=self.found,
            kind=kind,
            group=group,
            name=name,
        )
