"""CEL's functions on quantities and semantic versions. Pure.

Source: Kubernetes v1.37, apiserver/pkg/cel/library/quantity.go and semverlib.go; semver.org 2.0.0, 11.
"""

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from pinnace.api.cel.tagged import tag, type_of, untag
from pinnace.kube.quantity import canonical, parse_quantity

QUANTITY, SEMVER = "kubernetes.Quantity", "kubernetes.Semver"
NANO = 10**9
_INT64 = range(-(2**63), 2**63)


def _read(text: str) -> Fraction:
    try:
        return Fraction(parse_quantity(text).nano, NANO)
    except (ValueError, TypeError):
        raise ValueError(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        ) from None


def _number(value: Any) -> Fraction:
    if isinstance(value, int) and not isinstance(value, bool):
        return Fraction(value)
    return _read(untag(value, QUANTITY))


def quantity(text: str) -> dict[str, Any]:
    _read(text)
    return tag(QUANTITY, canonical(text))


def is_quantity(text: str) -> bool:
    try:
        _read(text)
    except ValueError:
        return False
    return True


def _render(number: Fraction) -> dict[str, Any]:
    if number.denominator == 1:
        return tag(QUANTITY, canonical(str(number.numerator)))
    return tag(QUANTITY, canonical(f"{int(number * 10**9)}n"))


def _sign(value: Any) -> int:
    number = _number(value)
    return (number > 0) - (number < 0)


def _is_integer(value: Any) -> bool:
    number = _number(value)
    return number.denominator == 1 and int(number) in _INT64


def _as_integer(value: Any) -> int:
    if not _is_integer(value):
        raise ValueError("cannot convert value to integer")
    return int(_number(value))


TESTS: dict[str, Callable[[Any], Any]] = {
    "sign": _sign,
    "isInteger": _is_integer,
    "asInteger": _as_integer,
    "asApproximateFloat": lambda value: float(_number(value)),
}
RETURNS = {"sign": "int", "isInteger": "bool", "asInteger": "int", "asApproximateFloat": "double"}

SUMS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda one, other: _render(_number(one) + _number(other)),
    "sub": lambda one, other: _render(_number(one) - _number(other)),
}


# ---------------------------------------------------------------------------------------------------- versions

_NUMBER = r"(0|[1-9][0-9]*)"
_SEMVER = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
)


def _normalize(text: str) -> str:
    """Return a version without a leading "v", with all three numbers, and without leading zeros."""
    head, sign, tail = text.removeprefix("v").partition("-")
    if not sign:
        head, sign, tail = head.partition("+")
    numbers = [part.lstrip("0") or "0" for part in head.split(".") if part.isdigit()]
    return ".".join([*numbers, "0", "0"][: max(3, len(numbers))]) + sign + tail


def _match(text: str) -> re.Match[str]:
    match = _SEMVER.fullmatch(text)
    if match is None:
        raise ValueError(
            "No Major.Minor.Patch elements found" if text.count(".") < 2 else f"invalid version {text!r}"
        )
    return match


def semver(text: str, normalize: bool = False) -> dict[str, Any]:
    wanted = _normalize(text) if normalize else text
    _match(wanted)
    return tag(SEMVER, wanted)


def is_semver(text: str, normalize: bool = False) -> bool:
    return _SEMVER.fullmatch(_normalize(text) if normalize else text) is not None


def _order(text: str) -> tuple[Any, ...]:
    major, minor, patch, before, _ = _match(text).groups()
    if before is None:
        return (int(major), int(minor), int(patch), 1, ())
    parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in before.split("."))
    return (int(major), int(minor), int(patch), 0, parts)


VERSION_PARTS: dict[str, Callable[[Any], int]] = {
    name: (lambda value, at=at: int(_match(untag(value, SEMVER)).group(at)))  # type: ignore[misc]
    for at, name in enumerate(("major", "minor", "patch"), start=1)
}


def compare_to(one: Any, other: Any) -> int:
    """Return -1, 0 or 1, for two quantities or two versions."""
    if type_of(one) == SEMVER:
        left, right = _order(untag(one, SEMVER)), _order(untag(other, SEMVER))
        return (left > right) - (left < right)
    difference = _number(one) - _number(other)
    return (difference > 0) - (difference < 0)


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "isLessThan": lambda one, other: compare_to(one, other) < 0,
    "isGreaterThan": lambda one, other: compare_to(one, other) > 0,
}
