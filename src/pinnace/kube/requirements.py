"""Requirements on labels, and the predicate that they make together.

Pure; `selectors` is where others get them from text and from structs.
Source: Kubernetes v1.36, apimachinery/pkg/labels/selector.go
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum


class Operator(Enum):
    """How a requirement compares; the value is the symbol in a selector's text."""

    EQUALS = "="
    NOT_EQUALS = "!="
    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    DOES_NOT_EXIST = "!"
    GREATER = ">"
    LESS = "<"


_ABSENT_MATCHES = frozenset({Operator.NOT_EQUALS, Operator.NOT_IN, Operator.DOES_NOT_EXIST})
INTEGER = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one key."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        if value is None:
            return self.operator in _ABSENT_MATCHES
        return self._accepts(value)

    def _accepts(self, value: str) -> bool:
        match self.operator:
            case Operator.EXISTS:
                return True
            case Operator.DOES_NOT_EXIST:
                return False
            case Operator.EQUALS | Operator.IN:
                return value in self.values
            case Operator.NOT_EQUALS | Operator.NOT_IN:
                return value not in self.values
            case Operator.GREATER | Operator.LESS:
                return self._compares(value)

    def _compares(self, value: str) -> bool:
        (bound,) = self.values
        if not INTEGER.fullmatch(value) or not INTEGER.fullmatch(bound):
            return False
        return int(value) > int(bound) if self.operator is Operator.GREATER else int(value) < int(bound)

    def __str__(self) -> str:
        match self.operator:
            case Operator.EXISTS:
                return self.key
            case Operator.DOES_NOT_EXIST:
                return f"!{self.key}"
            case Operator.IN | Operator.NOT_IN:
                return f"{self.key} {self.operator.value} ({','.join(sorted(self.values))})"
            case _:
                return f"{self.key}{self.operator.value}{next(iter(self.values))}"


class Selector:
    """A predicate over labels: all requirements hold. `nothing` is the one that nothing satisfies.

    Callable, so that it can be handed over where a predicate is asked for.
    """

    __slots__ = ("_equals", "_others", "nothing", "requirements")

    def __init__(self, requirements: Iterable[Requirement] = (), *, nothing: bool = False) -> None:
        self.requirements = tuple(sorted(requirements, key=lambda r: r.key))
        self.nothing = nothing
        self._equals = tuple(
            (r.key, next(iter(r.values))) for r in self.requirements if r.operator is Operator.EQUALS
        )
        self._others = tuple(r for r in self.requirements if r.operator is not Operator.EQUALS)

    @property
    def is_everything(self) -> bool:
        return not self.requirements and not self.nothing

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether labels satisfy all requirements."""
        if self.nothing:
            return False
        for key, value in self._equals:
            if labels.get(key) != value:
                return False
        return all(requirement.matches(labels) for requirement in self._others)

    __call__ = matches

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))

    def __repr__(self) -> str:
        return f"Selector({self})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Selector) and (self.requirements, self.nothing) == (
            other.requirements,
            other.nothing,
        )

    def __hash__(self) -> int:
        return hash((self.requirements, self.nothing))


EVERYTHING = Selector()
NOTHING = Selector(nothing=True)
