"""The grammar of label selectors as text: "app=web,tier in (a,b),!canary".

Pure; called through `selectors.parse_labels`.
Source: Kubernetes v1.36, apimachinery/pkg/labels/selector.go, Lexer and Parser

Invariant: parse_labels(str(s)) == s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from pinnace.base.errors import ApiError, Reason
from pinnace.kube.requirements import EVERYTHING, INTEGER, Operator, Requirement, Selector

_TOKEN = re.compile(r"\s*(==|!=|[=!(),<>]|[^\s=!(),<>]+)")
_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_DNS = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SYMBOLS = frozenset({"=", "==", "!=", "in", "notin", ">", "<"})
_TEXT_OPERATORS = {
    "=": Operator.EQUALS,
    "==": Operator.EQUALS,
    "!=": Operator.NOT_EQUALS,
    "in": Operator.IN,
    "notin": Operator.NOT_IN,
    ">": Operator.GREATER,
    "<": Operator.LESS,
}
_PUNCTUATION = frozenset({"=", "==", "!=", "!", "(", ")", ",", "<", ">"})


class _Parser:
    """Reads the grammar of label selectors, token by token."""

    def __init__(self, text: str) -> None:
        self.tokens = _TOKEN.findall(text)
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def expect(self, token: str, where: str) -> None:
        if (found := self.take()) != token:
            raise ValueError(f"found '{found}', expected: {where}")

    def requirements(self) -> Iterable[Requirement]:
        while self.peek():
            yield self.requirement()
            if not self.peek():
                return
            if (found := self.take()) != ",":
                raise ValueError(f"found '{found}', expected: ',' or 'end of string'")
            if self.peek() != "!" and (not self.peek() or self.peek() in _PUNCTUATION):
                raise ValueError(f"found '{self.peek()}', expected: identifier after ','")

    def requirement(self) -> Requirement:
        absent = self.peek() == "!"
        if absent:
            self.take()
        key = self.take()
        if not key or key in _PUNCTUATION:
            raise ValueError(f"found '{key}', expected: identifier")
        check_label_key(key)
        if absent:
            return Requirement(key, Operator.DOES_NOT_EXIST)
        if self.peek() in ("", ","):
            return Requirement(key, Operator.EXISTS)
        symbol = self.take()
        if symbol not in _SYMBOLS:
            raise ValueError(f"found '{symbol}', expected: in, notin, =, ==, !=, gt, lt")
        operator = _TEXT_OPERATORS[symbol]
        values = self.values() if symbol in ("in", "notin") else frozenset((self.value(),))
        return _checked(Requirement(key, operator, values))

    def value(self) -> str:
        if self.peek() in ("", ","):
            return ""
        token = self.take()
        if token in _PUNCTUATION:
            raise ValueError(f"found '{token}', expected: identifier")
        return token

    def values(self) -> frozenset[str]:
        self.expect("(", "'('")
        found: set[str] = set()
        while True:
            token = self.peek()
            if token in (",", ")"):
                if token == ")" and not found:
                    break
                found.add("")
            else:
                found.add(self.value())
            if self.peek() != ",":
                break
            self.take()
        self.expect(")", "',' or ')'")
        return frozenset(found)


def _checked(requirement: Requirement) -> Requirement:
    if requirement.operator in (Operator.IN, Operator.NOT_IN) and not requirement.values:
        raise ValueError("values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty")
    for value in requirement.values:
        if requirement.operator in (Operator.GREATER, Operator.LESS):
            if not INTEGER.fullmatch(value):
                raise ValueError(
                    f"values[0]: Invalid value: \"{value}\": for 'Gt', 'Lt' operators, the value must be an integer"
                )
        elif value and (len(value) > 63 or not _NAME.fullmatch(value)):
            raise ValueError(
                f'values[0][{requirement.key}]: Invalid value: "{value}": a valid label must be an empty string or consist '
                "of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
            )
    return requirement


def check_label_key(key: str) -> None:
    """Raise ValueError unless `key` is a qualified name: [prefix/]name."""
    prefix, slash, name = key.rpartition("/")
    good_name = 0 < len(name) <= 63 and _NAME.fullmatch(name)
    good_prefix = not slash or (len(prefix) <= 253 and _DNS.fullmatch(prefix))
    if not good_name or not good_prefix:
        raise ValueError(
            f"key: Invalid value: \"{key}\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
        )


@lru_cache(maxsize=1024)
def parse_labels(text: str) -> Selector:
    """Return the predicate of a label selector's text; an empty text selects everything.

    Raises: ApiError BadRequest in Kubernetes' words.
    Example: "app=web,tier in (a,b),!canary".
    """
    if not text.strip():
        return EVERYTHING
    try:
        return Selector(_Parser(text).requirements())
    except ValueError as error:
        raise ApiError(Reason.BAD_REQUEST, f"unable to parse requirement: {error}") from None
