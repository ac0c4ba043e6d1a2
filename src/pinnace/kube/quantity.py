"""Quantities of resources: "100m", "1.5Gi", 2, 0.5, "1e3".

Pure. A quantity is a whole number of nanos with the notation that it was written in, so comparisons and sums are exact.
Source: Kubernetes v1.36, apimachinery/pkg/api/resource/quantity.go and suffix.go

Invariant: parse_quantity(str(q)) == q for every q.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache, total_ordering
from typing import TypeAlias

QuantityLike: TypeAlias = str | int | float

NANO = 10**9
MAX_NANOS = (2**63 - 1) * NANO  # Source: quantity.go, maxAllowed; larger amounts are capped, not refused

_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL_SUFFIXES = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_SUFFIXES = {exponent: suffix for suffix, exponent in _BINARY.items()} | {0: ""}
_SHAPE = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)")
_EXPONENT = re.compile(r"[eE]([-+]?[0-9]+)")
_MAX_EXPONENT = 400  # beyond this every number is capped or rounds up to 1n; keeps 10**n small
_MAX_LENGTH = 512

FORMAT_MESSAGE = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"  # Source: quantity.go
NUMBER_MESSAGE = "unable to parse numeric part of quantity"
SUFFIX_MESSAGE = "unable to parse quantity's suffix"


class QuantityError(ValueError):
    """The text is no quantity; the message is Kubernetes'."""


class Format(Enum):
    """The notation of a quantity, kept when it is rendered again."""

    DECIMAL_SI = "DecimalSI"
    BINARY_SI = "BinarySI"
    DECIMAL_EXPONENT = "DecimalExponent"


@total_ordering
class Quantity:
    """An exact amount of a resource; equal amounts are equal whatever their notation.

    Units: `nano` is a billionth of the resource's own unit (cores, bytes, pieces).
    """

    __slots__ = ("format", "nano")

    def __init__(self, nano: int, format: Format = Format.DECIMAL_SI) -> None:
        self.nano = nano
        self.format = format

    def value(self) -> int:
        """Return whole units, rounded away from zero."""
        return _divide_up(self.nano, NANO)

    def milli(self) -> int:
        """Return thousandths, rounded away from zero."""
        return _divide_up(self.nano, NANO // 1000)

    def __add__(self, other: Quantity) -> Quantity:
        return Quantity(self.nano + other.nano, self.format if self.nano else other.format)

    def __sub__(self, other: Quantity) -> Quantity:
        return Quantity(self.nano - other.nano, self.format if self.nano else other.format)

    def __neg__(self) -> Quantity:
        return Quantity(-self.nano, self.format)

    def __bool__(self) -> bool:
        return self.nano != 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and other.nano == self.nano

    def __lt__(self, other: Quantity) -> bool:
        return self.nano < other.nano

    def __hash__(self) -> int:
        return hash(self.nano)

    def __str__(self) -> str:
        return render_quantity(self)

    def __repr__(self) -> str:
        return f"Quantity({self})"


def _divide_up(number: int, divisor: int) -> int:
    return -(-number // divisor) if number >= 0 else number // divisor


@lru_cache(maxsize=4096)
def _parse_text(text: str) -> Quantity:
    match = _SHAPE.fullmatch(text) if 0 < len(text) <= _MAX_LENGTH else None
    if match is None:
        raise QuantityError(FORMAT_MESSAGE)
    sign, whole, fraction, suffix = match.group(1), match.group(2), match.group(3) or "", match.group(4)
    if not whole and not fraction:
        raise QuantityError(NUMBER_MESSAGE if match.group(3) is not None else FORMAT_MESSAGE)
    digits = int(whole + fraction)
    if (steps := _BINARY.get(suffix)) is not None:
        format, numerator, denominator = Format.BINARY_SI, digits * 1024**steps * NANO, 10 ** len(fraction)
    else:
        format, exponent = _decimal_exponent(suffix)
        exponent = max(-_MAX_EXPONENT, min(exponent, _MAX_EXPONENT)) + 9 - len(fraction)
        numerator, denominator = digits * 10 ** max(exponent, 0), 10 ** max(-exponent, 0)
    nano = min(
        -(-numerator // denominator), MAX_NANOS
    )  # less than a nano is rounded up to one, away from zero
    if format is Format.BINARY_SI and nano < NANO:
        format = Format.DECIMAL_SI
    return Quantity(-nano if sign == "-" else nano, format)


def _decimal_exponent(suffix: str) -> tuple[Format, int]:
    if (exponent := _DECIMAL.get(suffix)) is not None:
        return Format.DECIMAL_SI, exponent
    if match := _EXPONENT.fullmatch(suffix):
        return Format.DECIMAL_EXPONENT, int(match[1])
    raise QuantityError(SUFFIX_MESSAGE)


def parse_quantity(quantity: QuantityLike) -> Quantity:
    """Return the exact amount of a quantity as it stands in an object, be it text or a bare number.

    Raises: QuantityError with Kubernetes' message.
    """
    if isinstance(quantity, str):
        return _parse_text(quantity)
    if isinstance(quantity, bool):
        raise QuantityError(FORMAT_MESSAGE)
    return _parse_text(repr(quantity))


def render_quantity(quantity: Quantity) -> str:
    """Return the canonical form: no fraction, the largest suffix that keeps the number whole, the same notation.

    Example: 0.5 -> "500m", 1024Mi -> "1Gi", 1.5Gi -> "1536Mi", 0.5Ki -> "512", 1500m -> "1500m", 3000m -> "3", 1e4 -> "10e3".
    """
    nano = abs(quantity.nano)
    sign = "-" if quantity.nano < 0 else ""
    if not nano:
        return "0"
    if quantity.format is Format.BINARY_SI and nano >= 1024 * NANO and nano % NANO == 0:
        number, steps = _strip(nano // NANO, 1024, 6)
        return f"{sign}{number}{_BINARY_SUFFIXES[steps]}"
    number, steps = _strip(nano, 1000, 9)
    exponent = steps * 3 - 9
    if quantity.format is Format.DECIMAL_EXPONENT:
        return f"{sign}{number}e{exponent}" if exponent else f"{sign}{number}"
    return f"{sign}{number}{_DECIMAL_SUFFIXES[exponent]}"


def _strip(number: int, factor: int, most: int) -> tuple[int, int]:
    steps = 0
    while steps < most and number % factor == 0:
        number //= factor
        steps += 1
    return number, steps


def canonical(quantity: QuantityLike) -> str:
    """Return a quantity as the API shows it.

    Raises: QuantityError.
    """
    return render_quantity(parse_quantity(quantity))


def cpu_milli(quantity: QuantityLike) -> int:
    """Return CPU in thousandths of a core, rounded up.

    Raises: QuantityError.
    """
    return parse_quantity(quantity).milli()


def to_bytes(quantity: QuantityLike) -> int:
    """Return memory, storage or a count in whole units, rounded up.

    Raises: QuantityError.
    """
    return parse_quantity(quantity).value()


def from_bytes(size: int) -> str:
    """Return bytes as a canonical quantity of powers of 1024. Example: 134217728 -> "128Mi", 1000 -> "1k"."""
    return render_quantity(Quantity(size * NANO, Format.BINARY_SI))
