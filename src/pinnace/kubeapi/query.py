"""Reads a request's query. Pure.

Source: Kubernetes v1.36, apimachinery/pkg/conversion/queryparams and runtime/conversion.go for what a value may look like.
"""

import re
from urllib.parse import parse_qs

from pinnace.base.errors import ApiError, Reason

_NUMBER = re.compile(r"[-+]?[0-9]+")
_DIGITS_MOST = 32  # more than any number of 64 bits has, sign and some leading zeros included


class Query:
    """The parameters of one request; a parameter given twice has its first value, except in `all`."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, list[str]]) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return name in self._values

    @property
    def is_empty(self) -> bool:
        return not self._values

    def text(self, name: str, default: str = "") -> str:
        values = self._values.get(name)
        return values[0] if values else default

    def all(self, name: str) -> tuple[str, ...]:
        return tuple(self._values.get(name, ()))

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Return every parameter with each of its values."""
        return tuple((name, value) for name, values in self._values.items() for value in values)

    def flag(self, name: str, default: bool = False) -> bool:
        """Return whether the parameter is set: everything but "false" and "0" sets it, as does no value at all."""
        values = self._values.get(name)
        return default if not values else values[0].lower() not in ("false", "0")

    def number(self, name: str) -> int | None:
        """Return a whole number, None if absent or empty. Raises: ApiError BadRequest."""
        text = self.text(name)
        if not text:
            return None
        why = "invalid syntax"
        if _NUMBER.fullmatch(text):
            if len(text) < _DIGITS_MOST and -(1 << 63) <= int(text) < 1 << 63:
                return int(text)
            why = "value out of range"
        raise ApiError(Reason.BAD_REQUEST, f'{name}: strconv.ParseInt: parsing "{text}": {why}')


EMPTY = Query({})


def parse_query(text: str) -> Query:
    """Return the parameters that stand after the question mark."""
    return Query(parse_qs(text, keep_blank_values=True)) if text else EMPTY
