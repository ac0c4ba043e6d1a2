"""Splits a Dockerfile's text into logical lines: directives, continuations, comments and here-documents resolved.

Pure. Called by `parse`. Knows which instructions take here-documents, and nothing else of what they mean.
Source: BuildKit, frontend/dockerfile/parser/parser.go and directives.go (behaviour).
Invariant: every logical line says the physical lines that it came from, first to last.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pinnace.dockerfile.expand import AS_WRITTEN, DEFAULT_ESCAPE, ExpansionError, Rules, expand_words
from pinnace.dockerfile.source import Source, split_physical
from pinnace.dockerfile.words import split_blanks

DIRECTIVES = ("syntax", "escape", "check")
HEREDOC_INSTRUCTIONS = ("RUN", "COPY", "ADD")

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*")
_HEREDOC = re.compile(r"(\d*)<<(-?)\s*([^<]*)")


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A here-document as written; `expand` says whether variables in it are replaced, `chomp` that it began with `<<-`."""

    name: str
    text: str = ""
    expand: bool = True
    chomp: bool = False
    file_descriptor: int = 0

    @property
    def data(self) -> str:
        """The text without leading tabs, if they don't count."""
        return re.sub(r"^\t+", "", self.text, flags=re.MULTILINE) if self.chomp else self.text


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
    physical = split_physical(source.text)
    directives = _read_directives(source, physical)
    escape = directives.get("escape", DEFAULT_ESCAPE)
    instructions: list[LogicalLine] = []
    index = 0
    while index < len(physical):
        if not physical[index].strip() or _is_comment(physical[index]):
            index += 1
            continue
        first = index + 1
        text, index = _join(physical, index, escape)
        if not text:
            continue
        line = split_keyword(text, first)
        heredocs: list[Heredoc] = []
        if "<<" in text and _takes_heredocs(line):
            heredocs, index = _read_heredocs(source, text, physical, index, first)
        instructions.append(replace(line, last=index, heredocs=tuple(heredocs)))
    return Lines(directives, tuple(instructions))


def split_keyword(text: str, first: int) -> LogicalLine:
    """Return an instruction's keyword and the rest of it."""
    keyword, *rest = split_blanks(text.strip(), 1)
    return LogicalLine(keyword.upper(), rest[0].strip() if rest else "", first, first)


def parse_heredoc(word: str) -> Heredoc | None:
    """Return the here-document that a word announces; None when it is another word. Example: `3<<-"EOF"`."""
    match = _HEREDOC.fullmatch(word)
    if match is None or not match[3]:
        return None
    try:
        plain = expand_words(match[3], {}, Rules(keep_unset=True))
        raw = expand_words(match[3], {}, Rules(keep_quotes=True, keep_unset=True))
    except ExpansionError:
        return None
    if len(plain) != 1 or len(raw) != 1:
        return None
    is_quoted = _count_quotes(plain[0]) != _count_quotes(raw[0])
    return Heredoc(plain[0], expand=not is_quoted, chomp=match[2] == "-", file_descriptor=int(match[1] or 0))


def _count_quotes(text: str) -> int:
    return text.count("'") + text.count('"')


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _takes_heredocs(line: LogicalLine) -> bool:
    keyword = line.keyword
    if keyword == "ONBUILD" and line.rest:
        keyword = split_keyword(line.rest, line.first).keyword
    return keyword in HEREDOC_INSTRUCTIONS


def _read_directives(source: Source, physical: list[str]) -> dict[str, str]:
    directives: dict[str, str] = {}
    for number, line in enumerate(physical, 1):
        match = _DIRECTIVE.fullmatch(line.strip())
        if match is None or match.group(1).lower() not in DIRECTIVES:
            break
        name, value = match.group(1).lower(), match.group(2)
        if name in directives:
            raise source.error(
                number, f"only one {name} parser directive can be used", "remove one of the two lines"
            )
        if name == "escape" and value not in ("\\", "`"):
            raise source.error(number, f"invalid escape token {value!r}", "it must be ` or \\")
        directives[name] = value
    return directives


def _join(physical: list[str], index: int, escape: str) -> tuple[str, int]:
    """Return one logical line and the index after it. Comments and empty lines inside a continuation are left out."""
    mark = re.escape(escape)
    continued = re.compile(rf"(?:(?<!{mark})|^){mark}[ \t]*$")
    parts: list[str] = []
    while index < len(physical):
        line = physical[index].rstrip("\r")
        index += 1
        if parts and (_is_comment(line) or not line.strip()):
            continue
        match = continued.search(line)
        parts.append(line if match is None else line[: match.start()])
        if match is None:
            break
    return "".join(parts).strip(), index


def _read_heredocs(
    source: Source, text: str, physical: list[str], index: int, first: int
) -> tuple[list[Heredoc], int]:
    try:
        words = expand_words(text, {}, AS_WRITTEN)
    except ExpansionError:
        return [], index  # a quote without its end: the shell may know what it means
    heredocs = []
    for announced in filter(None, map(parse_heredoc, words)):
        body: list[str] = []
        while True:
            if index >= len(physical):
                raise source.error(
                    first,
                    f"the here-document {announced.name} has no end",
                    f"end it with a line that is just {announced.name}",
                )
            line = physical[index]
            index += 1
            if (line.lstrip("\t") if announced.chomp else line).rstrip("\r") == announced.name:
                break
            body.append(line + "\n")
        heredocs.append(replace(announced, text="".join(body)))
    return heredocs, index
