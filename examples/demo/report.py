"""What the demo prints: sections, commands with their output, and claims that hold or don't.

Invariant: the demo succeeds only if every claim that was made holds.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Report:
    """Prints, and remembers what was claimed. `styled` uses bold and colours."""

    styled: bool = field(default_factory=lambda: sys.stdout.isatty() and "NO_COLOR" not in os.environ)
    held: int = 0
    broken: list[str] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)
    _sections: int = 0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def section(self, title: str, why: str = "") -> None:
        """Begin a section."""
        self._sections += 1
        minutes, seconds = divmod(int(self.seconds), 60)
        self._print("")
        self._print(
            f"{self._style('1;36', f'{self._sections}. {title}')}  {self._style('2', f'{minutes}:{seconds:02}')}"
        )
        if why:
            self._print(f"   {why}")

    def command(self, words: Iterable[str]) -> None:
        """Print a command that is about to be run."""
        self._print(f"   {self._style('1', '$ ' + ' '.join(words))}")

    def output(self, text: str, *, last: int = 0) -> None:
        """Print a command's output; with `last`, only so many of its lines."""
        lines = text.rstrip().splitlines()
        for line in lines[-last:] if last else lines:
            self._print(f"   {line}")

    def note(self, text: str) -> None:
        """Print a fact."""
        self._print(f"   {text}")

    def claim(self, text: str, holds: bool) -> bool:
        """Print whether a claim holds, and remember it."""
        if holds:
            self.held += 1
            self._print(f"   {self._style('32', '✓')} {text}")
        else:
            self.broken.append(text)
            self._print(f"   {self._style('1;31', '✗')} {text}")
        return holds

    def end(self) -> int:
        """Print the summary; returns the exit code."""
        minutes, seconds = divmod(int(self.seconds), 60)
        self._print("")
        if self.broken:
            self._print(
                self._style(
                    "1;31", f"{len(self.broken)} of {self.held + len(self.broken)} claims did not hold:"
                )
            )
            for text in self.broken:
                self._print(f"   ✗ {text}")
            return 1
        self._print(self._style("1;32", f"All {self.held} claims held, in {minutes} min {seconds} s."))
        return 0

    def _style(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.styled else text

    def _print(self, text: str) -> None:
        print(text, flush=True)
