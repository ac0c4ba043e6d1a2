"""Turns patterns of paths into regular expressions: those of COPY (Go's filepath.Match) and those of `.dockerignore`.

Pure. Source: Go, path/filepath.Match (syntax of a pattern); moby/patternmatcher, patternmatcher.go (`**`, quirks too).
"""

from __future__ import annotations

import re
from functools import lru_cache

WILDCARDS = "*?[\\"


class PatternError(ValueError):
    """A pattern that can't be read."""


def has_wildcards(pattern: str) -> bool:
    """Say whether a pattern is more than a plain name."""
    return any(char in pattern for char in WILDCARDS)


def match_name(pattern: str, name: str) -> bool:
    """Say whether a COPY pattern for one part of a path matches a name. Raises: PatternError."""
    return _compile_name(pattern).fullmatch(name) is not None


@lru_cache(maxsize=256)
def _compile_name(pattern: str) -> re.Pattern[str]:
    return re.compile(_translate(pattern, deep=False), re.DOTALL)


def compile_path(pattern: str) -> re.Pattern[str]:
    """Return the expression that must match a whole path; `**` goes over any number of folders. Raises: PatternError.

    Example: `**/*.pyc` matches "a.pyc" and "x/y/a.pyc", `docs/**` matches what is below docs.
    """
    if pattern.startswith("**") and not has_wildcards(pattern[2:]):
        # Such a pattern is a suffix: "**file" also matches "myfile", which a file after "**/" would not.
        suffix = pattern[2:]
        also = "|" + re.escape(suffix[1:]) if suffix.startswith("/") else ""
        return re.compile(f".*{re.escape(suffix)}{also}", re.DOTALL)
    return re.compile(_translate(pattern, deep=True), re.DOTALL)


def _translate(pattern: str, *, deep: bool) -> str:
    result, position = "", 0
    while position < len(pattern):
        char = pattern[position]
        position += 1
        if char == "*" and deep and pattern.startswith("*", position):
            position += 1
            if pattern.startswith("/", position):
                position += 1
            result += "(?:.*/)?" if position < len(pattern) else ".*"
        elif char == "*":
            result += "[^/]*"
        elif char == "?":
            result += "[^/]"
        elif char == "[":
            expression, position = _read_class(pattern, position)
            result += expression
        elif char == "\\":
            if position == len(pattern):
                raise PatternError("syntax error in pattern: \\ at the end")
            result += re.escape(pattern[position])
            position += 1
        else:
            result += re.escape(char)
    return result


def _read_class(pattern: str, position: int) -> tuple[str, int]:
    """Read a class after its `[`: single characters and ranges, `^` for all others. Nothing in it is special but `\\ - ]`."""
    start = position
    negated = pattern.startswith("^", position)
    position += negated
    body = ""
    while not pattern.startswith("]", position) or not body:
        low, position = _read_class_char(pattern, position)
        if pattern.startswith("-", position):
            high, position = _read_class_char(pattern, position + 1)
            if high < low:
                raise PatternError(f"syntax error in pattern: the range {low}-{high} is empty")
            body += f"{re.escape(low)}-{re.escape(high)}"
        else:
            body += re.escape(low)
        if position >= len(pattern):
            raise PatternError(f"syntax error in pattern: [{pattern[start:]} without ]")
    return f"[{'^' if negated else ''}{body}]", position + 1


def _read_class_char(pattern: str, position: int) -> tuple[str, int]:
    char = pattern[position : position + 1]
    if not char or char in "-]":
        raise PatternError(f"syntax error in pattern: a class has {char!r} where a character belongs")
    if char == "\\":
        position += 1
        char = pattern[position : position + 1]
        if not char:
            raise PatternError("syntax error in pattern: \\ at the end")
    return char, position + 1
