"""Decides which paths of a build context a `.dockerignore` hides.

Pure. Source: Dockerfile reference, ".dockerignore file"; moby/patternmatcher (behaviour): the last pattern that matches a
path or one of its parents decides; `!` brings back; `**` spans folders.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from pinnace.base.errors import UserError


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: its number, as written, its expression, whether it brings back."""

    line: int
    text: str
    expression: re.Pattern[str]
    keeps: bool


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """All lines of a `.dockerignore`, in order."""

    rules: tuple[Rule, ...] = ()

    def hidden_by(self, path: str) -> Rule | None:
        """Return the rule that hides `path` (relative, with '/'), None when it is in the context."""
        decided: Rule | None = None
        parents = _parents(path)
        for rule in self.rules:
            if (decided is None) == rule.keeps:
                continue  # it could not change the answer
            if any(rule.expression.fullmatch(candidate) for candidate in parents):
                decided = None if rule.keeps else rule
        return decided

    @property
    def has_exceptions(self) -> bool:
        """Say whether a hidden folder may hold paths that are brought back."""
        return any(rule.keeps for rule in self.rules)


def parse_ignore(text: str, name: str = ".dockerignore") -> IgnoreRules:
    """Return the rules of a file. Raises: UserError for a pattern that can't be read."""
    rules = []
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        line = raw.strip()
        if not line or raw.startswith("#"):
            continue
        keeps = line.startswith("!")
        pattern = line[1:].strip() if keeps else line
        if not pattern:
            raise UserError(
                'illegal exclusion pattern: "!"',
                "write what comes back after the !",
                f"{name}:{number}: {raw}",
            )
        cleaned = posixpath.normpath(pattern.replace("\\ ", " ")).lstrip("/")
        if cleaned == ".":
            continue
        rules.append(Rule(number, line, _compile(cleaned, name, number, raw), keeps))
    return IgnoreRules(tuple(rules))


def match_pattern(pattern: str, path: str) -> bool:
    """Say whether a COPY source pattern (Go's filepath.Match: `*` stays within a folder) matches a path."""
    return re.fullmatch(translate(pattern), path) is not None


def translate(pattern: str) -> str:
    """Return a pattern as a regular expression. Raises: ValueError for one that can't be read."""
    result, position = "", 0
    while position < len(pattern):
        char = pattern[position]
        if pattern.startswith("**", position):
            position += 2
            if pattern.startswith("/", position):
                position += 1
                result += "(?:.*/)?"
            else:
                result += ".*"
            continue
        if char == "*":
            result += "[^/]*"
        elif char == "?":
            result += "[^/]"
        elif char == "[":
            end = pattern.find("]", position + 2)
            if end < 0:
                raise ValueError("syntax error in pattern: [ without ]")
            inside = pattern[position + 1 : end]
            negated = inside.startswith("^")
            body = inside[1:] if negated else inside
            escaped = (
                body.replace("\\", "\\\\").replace("[", "\\[").replace("&&", "&\\&").replace("||", "|\\|")
            )
            result += f"[{'^' if negated else ''}{escaped}]"
            position = end
        elif char == "\\":
            position += 1
            if position >= len(pattern):
                raise ValueError("syntax error in pattern: \\ at the end")
            result += re.escape(pattern[position])
        else:
            result += re.escape(char)
        position += 1
    return result


def _compile(pattern: str, name: str, number: int, raw: str) -> re.Pattern[str]:
    try:
        return re.compile(translate(pattern))
    except (ValueError, re.error) as error:
        raise UserError(str(error), "escape special characters with \\", f"{name}:{number}: {raw}") from None


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
