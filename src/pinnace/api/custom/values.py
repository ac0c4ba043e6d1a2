"""Says what is wrong with values, by a structural schema: types, bounds, patterns, formats, required fields, junctors.

A schema is compiled once to a `Judge`; judging walks value and schema together and calls only the checks that a node has.
With a former value at hand, what hasn't changed since isn't judged again (ratcheting). Pure.
Source: Kubernetes v1.37, kube-openapi/pkg/validation (validate, errors) and apiextensions-apiserver/pkg/apiserver/
validation (validation.go, ratcheting.go).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from pinnace.api.cel.engine import CelError, matches
from pinnace.api.custom.formats import FORMATS
from pinnace.api.validation.problems import Problems, render_value

UNKNOWN: Final = object()
"""Stands for a former value that can't be told."""

Check = Callable[[Any, str, Problems], None]


def type_name(value: Any) -> str:
    """Return the name of a JSON value's type."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def where(path: str) -> str:
    """Return how sentences call the place of a value; the object itself has no name."""
    return f"{path} in body" if path else " in body"


class Judge:
    """One compiled node of a schema."""

    __slots__ = (
        "_additional",
        "_checks",
        "_items",
        "_keys",
        "_list_type",
        "_nullable",
        "_properties",
        "_types",
    )

    def __init__(self, raw: Mapping[str, Any], *, nested: bool = False) -> None:
        type_ = raw.get("type") or ""
        self._types: tuple[str, ...] = (type_,) if type_ else ()
        if raw.get("x-kubernetes-int-or-string"):
            self._types = ("integer", "string")
        self._nullable = bool(raw.get("nullable"))
        self._properties = {
            name: Judge(part, nested=nested) for name, part in (raw.get("properties") or {}).items()
        }
        items, more = raw.get("items"), raw.get("additionalProperties")
        self._items = Judge(items, nested=nested) if isinstance(items, Mapping) else None
        self._additional = Judge(more, nested=nested) if isinstance(more, Mapping) else None
        self._list_type = raw.get("x-kubernetes-list-type") or ""
        self._keys: tuple[str, ...] = tuple(raw.get("x-kubernetes-list-map-keys") or ())
        self._checks: tuple[Check, ...] = tuple(_build_checks(raw))

    def judge(self, value: Any, path: str, problems: Problems, old: Any = UNKNOWN) -> None:
        """Add everything that is wrong with a value; nothing where it is what it was."""
        if old is not UNKNOWN and old == value and type(old) is type(value):
            return
        if value is None and self._nullable:
            return
        if self._types and not self._is_of_type(value):
            got = type_name(value)
            expected = ",".join(self._types)
            problems.wrong_type(path, got, f'{where(path)} must be of type {expected}: "{got}"')
            return
        for check in self._checks:
            check(value, path, problems)
        if isinstance(value, dict):
            self._judge_map(value, path, problems, old)
        elif isinstance(value, list) and self._items is not None:
            self._judge_list(value, path, problems, old)

    def _is_of_type(self, value: Any) -> bool:
        found = type_name(value)
        return found in self._types or (found == "integer" and "number" in self._types)

    def _judge_map(self, value: dict[str, Any], path: str, problems: Problems, old: Any) -> None:
        before = old if isinstance(old, dict) else None
        properties, additional = self._properties, self._additional
        prefix = f"{path}." if path else ""
        for name, part in value.items():
            judge = properties.get(name, additional)
            if judge is not None:
                was = UNKNOWN if before is None else before.get(name, UNKNOWN)
                judge.judge(part, prefix + name, problems, was)

    def _judge_list(self, value: list[Any], path: str, problems: Problems, old: Any) -> None:
        assert self._items is not None
        before: dict[Any, Any] = {}
        if self._list_type == "map" and isinstance(old, list):
            before = {key_of(item, self._keys): item for item in old if isinstance(item, dict)}
        for index, item in enumerate(value):
            was = UNKNOWN
            if before and isinstance(item, dict):
                was = before.get(key_of(item, self._keys), UNKNOWN)
            self._items.judge(item, f"{path}[{index}]", problems, was)


def key_of(item: Mapping[str, Any], keys: Iterable[str]) -> Any:
    """Return something hashable that tells a list's items apart by their keys."""
    return tuple([token(item.get(key)) for key in keys])


def token(value: Any) -> Any:
    """Return something hashable that is equal for equal JSON values only (in Python, True == 1)."""
    if isinstance(value, dict | list):
        return msgspec.json.encode(value, order="sorted")
    return (type(value) is bool, value)


def value_at(value: Any, path: Iterable[str]) -> Any:
    """Return what stands at a path of field names, or None."""
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


# ---------------------------------------------------------------------------------------------------- checks


def _build_checks(raw: Mapping[str, Any]) -> Iterable[Check]:
    for keyword, build in _CHECKS.items():
        given = raw.get(keyword)
        if given is not None and given is not False and given != []:
            yield build(given, raw)


def _for_strings(check: Callable[[str, str, Problems], None]) -> Check:
    def run(value: Any, path: str, problems: Problems) -> None:
        if isinstance(value, str):
            check(value, path, problems)

    return run


def _for_numbers(check: Callable[[float, str, Problems], None]) -> Check:
    def run(value: Any, path: str, problems: Problems) -> None:
        if isinstance(value, int | float) and not isinstance(value, bool):
            check(value, path, problems)

    return run


def _required(given: Any, raw: Mapping[str, Any]) -> Check:
    names = tuple(given)

    def run(value: Any, path: str, problems: Problems) -> None:
        if isinstance(value, dict):
            for name in names:
                if name not in value:
                    problems.required(f"{path}.{name}" if path else name)

    return run


def _enum(given: Any, raw: Mapping[str, Any]) -> Check:
    allowed = {token(one) for one in given}
    shown = [one if isinstance(one, str) else msgspec.json.encode(one).decode() for one in given]

    def run(value: Any, path: str, problems: Problems) -> None:
        if token(value) not in allowed:
            problems.not_supported(path, value, shown)

    return run


def _max_length(limit: Any, raw: Mapping[str, Any]) -> Check:
    def check(value: str, path: str, problems: Problems) -> None:
        if len(value) > limit:
            problems.too_long(path, limit)

    return _for_strings(check)


def _min_length(limit: Any, raw: Mapping[str, Any]) -> Check:
    def check(value: str, path: str, problems: Problems) -> None:
        if len(value) < limit:
            problems.invalid(path, value, f"{where(path)} should be at least {limit} chars long")

    return _for_strings(check)


def _pattern(pattern: Any, raw: Mapping[str, Any]) -> Check:
    def check(value: str, path: str, problems: Problems) -> None:
        try:
            fits = matches(pattern, value)
        except CelError:
            fits = False
        if not fits:
            problems.invalid(path, value, f"{where(path)} should match '{pattern}'")

    return _for_strings(check)


def _format(name: Any, raw: Mapping[str, Any]) -> Check:
    rule = FORMATS.get(str(name).replace("-", ""))

    def check(value: str, path: str, problems: Problems) -> None:
        if rule is not None and not rule(value):
            problems.wrong_type(path, value, f"{where(path)} must be of type {name}: {render_value(value)}")

    return _for_strings(check)


def _maximum(limit: Any, raw: Mapping[str, Any]) -> Check:
    excluded = bool(raw.get("exclusiveMaximum"))

    def check(value: float, path: str, problems: Problems) -> None:
        if value > limit or (excluded and value == limit):
            words = "less than" if excluded else "less than or equal to"
            problems.invalid(path, value, f"{where(path)} should be {words} {_number(limit)}")

    return _for_numbers(check)


def _minimum(limit: Any, raw: Mapping[str, Any]) -> Check:
    excluded = bool(raw.get("exclusiveMinimum"))

    def check(value: float, path: str, problems: Problems) -> None:
        if value < limit or (excluded and value == limit):
            words = "greater than" if excluded else "greater than or equal to"
            problems.invalid(path, value, f"{where(path)} should be {words} {_number(limit)}")

    return _for_numbers(check)


def _multiple_of(step: Any, raw: Mapping[str, Any]) -> Check:
    def check(value: float, path: str, problems: Problems) -> None:
        if step <= 0:
            why = f"factor MultipleOf declared for {path} must be positive: {_number(step)}"
            problems.invalid(path, value, why)
            return
        ratio = value / step
        if not math.isfinite(ratio) or ratio != math.floor(ratio):
            problems.invalid(path, value, f"{where(path)} should be a multiple of {_number(step)}")

    return _for_numbers(check)


def _number(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _max_items(limit: Any, raw: Mapping[str, Any]) -> Check:
    def run(value: Any, path: str, problems: Problems) -> None:
        if isinstance(value, list) and len(value) > limit:
            problems.too_many(path, len(value), limit)

    return run


def _min_items(limit: Any, raw: Mapping[str, Any]) -> Check:
    def run(value: Any, path: str, problems: Problems) -> None:
        if isinstance(value, list) and len(value) < limit:
            problems.invalid(path, len(value), f"{where(path)} should have at least {limit} items")

    return run


def _max_properties(limit: Any, raw: Mapping[str, Any]) -> Check:
    def run(value: Any, path: str, problems: Problems) -> None:
        if isinstance(value, dict) and len(value) > limit:
            problems.too_many(path, len(value), limit)

    return run


def _min_properties(limit: Any, raw: Mapping[str, Any]) -> Check:
    def run(value: Any, path: str, problems: Problems) -> None:
        if isinstance(value, dict) and len(value) < limit:
            problems.invalid(path, len(value), f"{where(path)} should have at least {limit} properties")

    return run


# ---------------------------------------------------------------------------------------------------- junctors


def _branches(given: Any) -> list[Judge]:
    return [Judge(one, nested=True) for one in given]


def _try(judge: Judge, value: Any, path: str) -> Problems:
    found = Problems()
    judge.judge(value, path, found)
    return found


def _add_best(attempts: list[Problems], problems: Problems) -> None:
    """Add what is wrong by the branch that comes nearest."""
    problems.found.extend(min(attempts, key=lambda attempt: len(attempt.found)).found)


def _any_of(given: Any, raw: Mapping[str, Any]) -> Check:
    branches = _branches(given)

    def run(value: Any, path: str, problems: Problems) -> None:
        attempts = [_try(branch, value, path) for branch in branches]
        if all(attempts):
            problems.invalid("<nil>", "", f'"{path}" must validate at least one schema (anyOf)')
            _add_best(attempts, problems)

    return run


def _one_of(given: Any, raw: Mapping[str, Any]) -> Check:
    branches = _branches(given)

    def run(value: Any, path: str, problems: Problems) -> None:
        attempts = [_try(branch, value, path) for branch in branches]
        valid = sum(not attempt for attempt in attempts)
        if valid == 1:
            return
        more = f"Found {valid} valid alternatives" if valid else "Found none valid"
        problems.invalid("<nil>", "", f'"{path}" must validate one and only one schema (oneOf). {more}')
        if not valid:
            _add_best(attempts, problems)

    return run


def _all_of(given: Any, raw: Mapping[str, Any]) -> Check:
    branches = _branches(given)

    def run(value: Any, path: str, problems: Problems) -> None:
        attempts = [_try(branch, value, path) for branch in branches]
        if any(attempts):
            more = ". None validated" if all(attempts) else ""
            problems.invalid("<nil>", "", f'"{path}" must validate all the schemas (allOf){more}')
            for attempt in attempts:
                problems.found.extend(attempt.found)

    return run


def _not(given: Any, raw: Mapping[str, Any]) -> Check:
    branch = Judge(given, nested=True)

    def run(value: Any, path: str, problems: Problems) -> None:
        if not _try(branch, value, path):
            problems.invalid("<nil>", "", f'"{path}" must not validate the schema (not)')

    return run


_CHECKS: Mapping[str, Callable[[Any, Mapping[str, Any]], Check]] = {
    "required": _required,
    "enum": _enum,
    "maxLength": _max_length,
    "minLength": _min_length,
    "pattern": _pattern,
    "format": _format,
    "maximum": _maximum,
    "minimum": _minimum,
    "multipleOf": _multiple_of,
    "maxItems": _max_items,
    "minItems": _min_items,
    "maxProperties": _max_properties,
    "minProperties": _min_properties,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "allOf": _all_of,
    "not": _not,
}
