"""A Dockerfile's text with what errors need: its name and its lines."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from pinnace.base.errors import UserError


@dataclass(frozen=True, slots=True)
class Source:
    """The text of a Dockerfile; `name` is how the person named it."""

    name: str
    text: str

    def line(self, number: int) -> str:
        """Return a line by its number, from 1; empty when there is none."""
        lines = split_physical(self.text)
        return lines[number - 1] if 0 < number <= len(lines) else ""

    def error(self, number: int, message: str, hint: str = "") -> UserError:
        """Return an error that shows the line it is about."""
        return UserError(message, hint, where=f"{self.name}:{number}: {self.line(number).strip()}")


def split_physical(text: str) -> list[str]:
    """Return the lines as an editor counts them: only a newline ends one (a form feed or U+2028 does not)."""
    lines = text.removeprefix("\ufeff").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def suggest(word: str, known: Iterable[str]) -> str:
    """Return a hint naming the nearest of `known`, or listing nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else ""
