"""Decides which paths of a build context a `.dockerignore` hides.

Pure. Source: Dockerfile reference, ".dockerignore file"; moby/patternmatcher (behaviour): the last pattern that matches a
path or one of its parents decides; `!` brings back; `**` spans folders.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile

from pinnace.base.errors import UserError
from pinnace.dockerfile.patterns import PatternError, compile_path, has_wildcards

Hits = tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: its number, as written, its expression, whether it brings back, its parts up to the first wildcard."""

    line: int
    text: str
    expression: re.Pattern[str]
    keeps: bool
    lead: tuple[str, ...] = ()
    is_exact: bool = False


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """All lines of a `.dockerignore`, in order; `union` matches what any of them matches."""

    rules: tuple[Rule, ...] = ()
    union: re.Pattern[str] | None = None

    def hit(self, path: str, above: Hits = ()) -> Hits:
        """Return which rules hit a path (relative, with "/"), given those that hit its folder: a rule for both is one for it."""
        if self.union is not None and self.union.fullmatch(path) is None:
            return above or (False,) * len(self.rules)  # the usual case, in one look
        return tuple(
            (bool(above) and above[number]) or rule.expression.fullmatch(path) is not None
            for number, rule in enumerate(self.rules)
        )

    def hits_of(self, path: str) -> Hits:
        """Return which rules hit a path or one of the folders above it."""
        hits: Hits = ()
        parts = path.split("/") if path else []
        for count in range(1, len(parts) + 1):
            hits = self.hit("/".join(parts[:count]), hits)
        return hits

    def hiding(self, hits: Hits) -> Rule | None:
        """Return the rule that hides what these rules hit: the last one, unless it brings back."""
        last = next((rule for rule, hit in zip(self.rules[::-1], hits[::-1], strict=False) if hit), None)
        return None if last is None or last.keeps else last

    def hidden_by(self, path: str) -> Rule | None:
        """Return the rule that hides a path, None when it is in the context."""
        return self.hiding(self.hits_of(path))

    def may_show_below(self, folder: str, hits: Hits) -> bool:
        """Say whether something below a hidden folder may be brought back; no means that it need not be entered."""
        parts = folder.split("/")
        return any(
            rule.keeps and not hit and _leads_below(rule, parts)
            for rule, hit in zip(self.rules, hits, strict=True)
        )


def parse_ignore(text: str, name: str = ".dockerignore") -> IgnoreRules:
    """Return the rules of a file. Raises: UserError for a pattern that can't be read."""
    return _read_rules(enumerate(text.removeprefix("\ufeff").split("\n"), 1), name)


def parse_excludes(patterns: Iterable[str]) -> IgnoreRules:
    """Return the rules of --exclude flags: the same patterns. Raises: UserError."""
    return _read_rules(((0, pattern) for pattern in patterns), "--exclude")


def _read_rules(lines: Iterable[tuple[int, str]], name: str) -> IgnoreRules:
    rules = []
    for number, raw in lines:
        line = raw.strip()
        if not line or raw.startswith("#"):
            continue
        keeps = line.startswith("!")
        pattern = line[1:].strip() if keeps else line
        where = f"{name}:{number}: {raw.strip()}" if number else f"{name}={raw}"
        if not pattern:
            raise UserError('illegal exclusion pattern: "!"', "write what comes back after the !", where)
        cleaned = posixpath.normpath(pattern)
        cleaned = cleaned.lstrip("/") if len(cleaned) > 1 else cleaned
        try:
            rules.append(_build_rule(number, line, cleaned, keeps=keeps))
        except PatternError as error:
            raise UserError(str(error), "escape special characters with \\", where) from None
    union = re.compile("|".join(f"(?:{rule.expression.pattern})" for rule in rules), re.DOTALL)
    return IgnoreRules(tuple(rules), union if rules else None)


def _build_rule(number: int, text: str, pattern: str, *, keeps: bool) -> Rule:
    parts = pattern.split("/")
    lead = tuple(takewhile(lambda part: not has_wildcards(part), parts))
    return Rule(number, text, compile_path(pattern), keeps, lead, is_exact=len(lead) == len(parts))


def _leads_below(rule: Rule, folder: list[str]) -> bool:
    """Say whether a pattern can match something below a folder, by the parts of it that are plain names."""
    shared = min(len(rule.lead), len(folder))
    if list(rule.lead[:shared]) != folder[:shared]:
        return False
    return not rule.is_exact or len(rule.lead) > len(folder)
