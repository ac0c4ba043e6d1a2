"""A Dockerfile's text with what errors need: its name and its lines."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from pinnace.base.errors import UserError

EXCERPT_LINES = 10
_SURROGATES = re.compile("[\udc80-\udcff]")  # what bytes become that are no UTF-8
_OTHER_MARKS = (
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)  # byte order marks; Windows' editors write them
CARET_COLUMNS_MAX = 200  # a longer line is wrapped by the terminal: carets would stand below something else


@dataclass(frozen=True, slots=True)
class Source:
    """The text of a Dockerfile; `name` is how the person named it."""

    name: str
    text: str

    def line(self, number: int) -> str:
        """Return a line by its number, from 1; empty when there is none."""
        lines = split_physical(self.text)
        return lines[number - 1] if 0 < number <= len(lines) else ""

    def error(self, number: int, message: str, hint: str = "", *, mark: str = "") -> UserError:
        """Return an error that shows the line it is about, with carets below `mark` if that stands in the line."""
        line = self.line(number).strip()
        where = f"{self.name}:{number}: {line}"
        column = line.lower().find(mark.lower()) if mark else -1
        if column >= 0 and len(line) <= CARET_COLUMNS_MAX:
            before = len(where) - len(line) + column
            where += f"\n{' ' * before}{'^' * len(mark)}"
        return UserError(message, hint, where=where)

    def excerpt(self, first: int, last: int) -> str:
        """Return where an instruction stands: all of its lines, as they are indented, up to `EXCERPT_LINES`.

        Example: "Dockerfile:2: RUN a \\\\\n           3:   b".
        """
        name = f"{self.name}:"
        last = max(first, last)
        lines = [self.line(number).rstrip() for number in range(first, last + 1)]
        indent = len(lines[0]) - len(lines[0].lstrip())
        shown = [f"{name}{first}: {lines[0].strip()}"]
        for number, line in enumerate(lines[1:EXCERPT_LINES], first + 1):
            cut = line[indent:] if not line[:indent].strip() else line
            shown.append(f"{' ' * len(name)}{number}: {cut}")
        if len(lines) > EXCERPT_LINES:
            shown.append(f"{' ' * len(name)}… to line {last}")
        return "\n".join(shown)


def decode_source(data: bytes, name: str, what: str = "dockerfile") -> str:
    """Return a file's text; `what` it is, for errors. Bytes that are no UTF-8 may stand in comments only, where they become U+FFFD.

    Raises: UserError, on the line.
    """
    for mark, encoding in _OTHER_MARKS:
        if data.startswith(mark):
            raise UserError(f"failed to read {what}: {name} is encoded in {encoding}", "save it as UTF-8")
    try:
        return data.decode()
    except UnicodeDecodeError:
        pass
    text = data.decode(errors="surrogateescape")
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if _SURROGATES.search(line):
            lines[number - 1] = _SURROGATES.sub("\ufffd", line)
            if not line.lstrip().startswith("#"):
                where = f"{name}:{number}: {lines[number - 1].strip()}"
                raise UserError(f"failed to read {what}: this line is not UTF-8", "save it as UTF-8", where)
    return "\n".join(lines)


def split_physical(text: str) -> list[str]:
    """Return the lines as an editor counts them: only a newline ends one (a form feed or U+2028 does not)."""
    lines = text.removeprefix("\ufeff").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def suggest(word: str, known: Iterable[str]) -> str:
    """Return a hint naming the nearest other one of `known`; "" when there is none."""
    others = [name for name in known if name != word]
    near = difflib.get_close_matches(word, others, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else ""
