"""Splits a Dockerfile's text into logical lines: directives, continuations, comments and here-documents resolved.

Pure. Called by `parse`. Knows which instructions take here-documents, and nothing else of what they mean.
Invariant: every logical line says the physical lines that it came from, first to last.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pinnace.dockerfile.source import Source

DEFAULT_ESCAPE = "\\"
DIRECTIVES = ("syntax", "escape", "check")
HEREDOC_INSTRUCTIONS = ("RUN", "COPY", "ADD")

_DIRECTIVE = re.compile(r"^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$")
_HEREDOC = re.compile(r"(?<![<\w])(\d*)<<(-?)\s*(?:\"([^\"\s]+)\"|'([^'\s]+)'|([a-zA-Z_][\w.]*))")
_INSTRUCTION = re.compile(r"^\s*([a-zA-Z]+)(?:\s+|$)(.*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A here-document: its name, its text, whether variables in it are expanded."""

    name: str
    text: str
    expand: bool = True
    file_descriptor: int = 0


@dataclass(frozen=True, slots=True)
class LogicalLine:
    """One instruction as written: its keyword in upper case, the rest as one line, its here-documents."""

    keyword: str
    rest: str
    first: int
    last: int
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True)
class Lines:
    """All of a file: the directives at its top, then its instructions."""

    directives: dict[str, str]
    instructions: tuple[LogicalLine, ...]

    @property
    def escape(self) -> str:
        return self.directives.get("escape", DEFAULT_ESCAPE)


def split_lines(source: Source) -> Lines:
    """Return the logical lines. Raises: UserError for a bad directive or a here-document without its end."""
    physical = source.text.removeprefix("\ufeff").splitlines()
    directives = _read_directives(source, physical)
    escape = directives.get("escape", DEFAULT_ESCAPE)
    instructions: list[LogicalLine] = []
    index = 0
    while index < len(physical):
        if not physical[index].strip() or physical[index].lstrip().startswith("#"):
            index += 1
            continue
        first = index + 1
        text, index = _join(physical, index, escape)
        match = _INSTRUCTION.match(text)
        if match is None:
            raise source.error(
                first,
                f"unknown instruction: {text.split()[0]}",
                "instructions begin with a word, such as RUN",
            )
        keyword, rest = match.group(1).upper(), match.group(2).strip()
        heredocs: list[Heredoc] = []
        if keyword in HEREDOC_INSTRUCTIONS or (keyword == "ONBUILD" and "<<" in rest):
            heredocs, index = _read_heredocs(source, rest, physical, index, first)
        instructions.append(LogicalLine(keyword, rest, first, index, tuple(heredocs)))
    return Lines(directives, tuple(instructions))


def _read_directives(source: Source, physical: list[str]) -> dict[str, str]:
    directives: dict[str, str] = {}
    for number, line in enumerate(physical, 1):
        if number == 1 and line.startswith("#!"):
            continue
        match = _DIRECTIVE.match(line.strip())
        if match is None or match.group(1).lower() not in DIRECTIVES:
            break
        name, value = match.group(1).lower(), match.group(2)
        if name in directives:
            raise source.error(number, f"only one {name} parser directive can be used")
        if name == "escape" and value not in ("\\", "`"):
            raise source.error(number, f"invalid ESCAPE {value!r}: must be ` or \\")
        directives[name] = value
    return directives


def _join(physical: list[str], index: int, escape: str) -> tuple[str, int]:
    """Return one logical line and the index after it. Comments and empty lines inside a continuation are left out."""
    continued = re.compile(r"([^" + re.escape(escape) + r"]|^)" + re.escape(escape) + r"[ \t]*$")
    parts: list[str] = []
    began = False
    while index < len(physical):
        line = physical[index]
        index += 1
        if began and (line.lstrip().startswith("#") or not line.strip()):
            continue
        began = True
        match = continued.search(line)
        if match is None:
            parts.append(line)
            break
        parts.append(line[: match.start()] + match.group(1))
    return "".join(parts).strip(), index


def _read_heredocs(
    source: Source, rest: str, physical: list[str], index: int, first: int
) -> tuple[list[Heredoc], int]:
    heredocs = []
    if rest.lstrip().startswith("["):
        return [], index
    for match in _HEREDOC.finditer(_mask_quotes(rest)):
        descriptor, chomp = match.group(1), match.group(2) == "-"
        original = _HEREDOC.match(rest, match.start())
        if original is None:
            continue
        quoted = original.group(3) or original.group(4)
        name = quoted or original.group(5)
        body: list[str] = []
        while True:
            if index >= len(physical):
                raise source.error(
                    first, f"the here-document {name} has no end", f"end it with a line that is just {name}"
                )
            line = physical[index].lstrip("\t") if chomp else physical[index]
            index += 1
            if line == name:
                break
            body.append(line + "\n")
        heredocs.append(Heredoc(name, "".join(body), expand=not quoted, file_descriptor=int(descriptor or 0)))
    return heredocs, index


def _mask_quotes(text: str) -> str:
    """Return the text with quoted parts blanked, except the quotes of a here-document's own name."""
    masked = list(text)
    quote = ""
    for position, char in enumerate(text):
        if quote:
            if char == quote:
                quote = ""
            else:
                masked[position] = " "
        elif char in "'\"":
            before = text[:position].rstrip("-").rstrip()
            if before.endswith("<<"):
                end = text.find(char, position + 1)
                if end > 0:
                    continue
            quote = char
    for match in re.finditer(r"<<-?\s*(['\"])(.*?)\1", text):
        masked[match.start() : match.end()] = text[match.start() : match.end()]
    return "".join(masked)
