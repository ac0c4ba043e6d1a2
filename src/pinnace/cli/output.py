"""How the command speaks: facts, then `hint:`; stdout is data, stderr is talk; readable without colour."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence


def say(text: str) -> None:
    """Print one line of talk to stderr."""
    print(text, file=sys.stderr)


def print_error(message: str, *, where: str = "", hint: str = "") -> None:
    """Print what failed, where, and what to do."""
    say(f"error: {message}")
    if where:
        say("\n".join(f"  {line}" for line in where.split("\n")))
    if hint:
        say(f"hint: {hint}")


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print columns as Docker and kubectl do: three spaces apart, no lines."""
    table = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for row in table:
        print("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
