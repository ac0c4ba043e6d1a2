"""Splits the rest of an instruction into words. Pure. What quotes and variables in them mean is in `expand`.

Source: BuildKit, frontend/dockerfile/parser/line_parsers.go and split_command.go (behaviour): ENV, LABEL and ARG look at
quotes; FROM, EXPOSE, COPY, ADD and VOLUME split at every blank; flags lose their quotes.
"""

from __future__ import annotations

import re

_BLANKS = re.compile(r"[\t\v\f\r ]+")
FLAG_BLANKS = "\t\n\v\f\r "  # Source: BuildKit, split_command.go looks at bytes: no other blank is one


def is_space(char: str) -> bool:
    """Say whether a character parts words. Source: Go, unicode.IsSpace: without the separators U+001C to U+001F."""
    return char.isspace() and not "\x1c" <= char <= "\x1f"


def split_blanks(text: str, limit: int = 0) -> list[str]:
    """Split at blanks, whatever the quotes; `limit` is how many times at most. Example: `"a b" c` → [`"a`, `b"`, `c`]."""
    return _BLANKS.split(text, maxsplit=limit) if text else []


def split_words(text: str, escape: str = "\\") -> list[str]:
    """Split at blanks outside quotes; quotes and escapes stay in the words. Example: `a "b c"` → ["a", '"b c"']."""
    words: list[str] = []
    word, quote, began, position = "", "", False, 0
    while position < len(text):
        char = text[position]
        if char == escape and quote != "'":
            if position + 1 == len(text):
                break  # an escape of nothing
            word, began = word + text[position : position + 2], True
            position += 2
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif is_space(char):
            if began:
                words.append(word)
            word, began = "", False
            position += 1
            continue
        word, began = word + char, True
        position += 1
    return [*words, word] if began else words


def take_flags(text: str, escape: str = "\\") -> tuple[list[str], str]:
    """Return the words at the start that begin with "--", without quotes, and what follows; a bare "--" ends them.

    Example: `--from=a "--chown=b c" x y` → (["--from=a"], `"--chown=b c" x y`).
    """
    flags: list[str] = []
    position = 0
    while True:
        while position < len(text) and text[position] in FLAG_BLANKS:
            position += 1
        if not text.startswith("--", position):
            return flags, text[position:].strip()
        word, position = _take_flag(text, position, escape)
        if word == "--":
            return flags, text[position:].strip()
        flags.append(word)


def _take_flag(text: str, position: int, escape: str) -> tuple[str, int]:
    word, quote = "", ""
    while position < len(text):
        char = text[position]
        if char in FLAG_BLANKS and not quote:
            break
        position += 1
        if char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote = char
        elif char == escape:
            word += text[position : position + 1]
            position += 1
        else:
            word += char
    return word, position
