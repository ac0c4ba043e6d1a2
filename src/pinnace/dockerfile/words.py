"""Splits and expands words as the Dockerfile's own small shell does.

Pure. `split_words` keeps quotes, `expand_word` takes them away and replaces `$NAME` and the `${NAME…}` forms.
Source: Dockerfile reference, "Environment replacement"; BuildKit, frontend/dockerfile/shell/lex.go (behaviour).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*|[0-9]|[@*#]")


class ExpansionError(ValueError):
    """A word that can't be expanded: a brace without its end, or `${NAME:?message}` without a value."""


def split_words(text: str, escape: str = "\\") -> list[str]:
    """Split at blanks outside quotes; quotes and escapes stay in the words. Example: `a "b c"` → ["a", '"b c"']."""
    words: list[str] = []
    word, quote, began, position = "", "", False, 0
    while position < len(text):
        char = text[position]
        if char == escape and position + 1 < len(text) and quote != "'":
            word, began = word + text[position : position + 2], True
            position += 2
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char.isspace():
            if began:
                words.append(word)
            word, began = "", False
            position += 1
            continue
        word, began = word + char, True
        position += 1
    return [*words, word] if began else words


def expand_word(word: str, values: Mapping[str, str], escape: str = "\\", *, raw_quotes: bool = False) -> str:
    """Return the word without its quotes and with its variables replaced; unknown ones are empty.

    With `raw_quotes` quotes and escapes stay (here-documents).
    Raises: ExpansionError.
    Example: `"$A-${B:-x}"` with A=1 → `1-x`.
    """
    return _Expander(values, escape, raw_quotes=raw_quotes).expand(word)


def variables_of(word: str, escape: str = "\\") -> set[str]:
    """Return the names that a word refers to."""
    seen = _Recorder()
    try:
        expand_word(word, seen, escape)
    except ExpansionError:
        pass
    return seen.names


class _Recorder(dict[str, str]):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
        self.names.add(key)
        return default


class _Expander:
    def __init__(self, values: Mapping[str, str], escape: str, *, raw_quotes: bool = False) -> None:
        self._values = values
        self._escape = escape
        self._raw = raw_quotes

    def expand(self, text: str) -> str:
        result, self._text, self._position = "", text, 0
        while self._position < len(text):
            result += self._next()
        return result

    def _next(self) -> str:
        char = self._take()
        if char == "$":
            return self._variable()
        if char == self._escape:
            following = self._take() if self._position < len(self._text) else ""
            if self._raw:
                return following if following == "$" else char + following
            return following
        if char == "'" and not self._raw:
            return self._until_quote()
        if char == '"' and not self._raw:
            return self._double_quoted()
        return char

    def _take(self) -> str:
        char = self._text[self._position]
        self._position += 1
        return char

    def _until_quote(self) -> str:
        end = self._text.find("'", self._position)
        if end < 0:
            raise ExpansionError("unexpected end of statement while looking for matching single-quote")
        part = self._text[self._position : end]
        self._position = end + 1
        return part

    def _double_quoted(self) -> str:
        result = ""
        while self._position < len(self._text):
            char = self._take()
            if char == '"':
                return result
            if char == "$":
                result += self._variable()
            elif char == self._escape and self._position < len(self._text):
                following = self._take()
                result += following if following in ('"', "$", self._escape) else char + following
            else:
                result += char
        raise ExpansionError("unexpected end of statement while looking for matching double-quote")

    def _variable(self) -> str:
        if self._text.startswith("{", self._position):
            return self._braced()
        match = _NAME.match(self._text, self._position)
        if match is None:
            return "$"
        self._position = match.end()
        return self._values.get(match.group()) or ""

    def _braced(self) -> str:
        body = self._brace_body()
        match = _NAME.match(body)
        if match is None:
            raise ExpansionError(f"unsupported modifier in substitution: ${{{body}}}")
        name, rest = match.group(), body[match.end() :]
        value = self._values.get(name)
        if not rest:
            return value or ""
        if rest[0] == ":" and len(rest) > 1 and rest[1] in "-+?":
            return self._default(name, value if value else None, rest[1], rest[2:])
        if rest[0] in "-+?":
            return self._default(name, value, rest[0], rest[1:])
        if rest[0] in "#%":
            twice = rest[:2] == rest[0] * 2
            pattern = self._inner(rest[2 if twice else 1 :])
            return _strip(value or "", pattern, front=rest[0] == "#", greedy=twice)
        if rest[0] == "/":
            every = rest.startswith("//")
            pattern, _, replacement = rest[2 if every else 1 :].partition("/")
            expression = re.compile(_glob(self._inner(pattern), greedy=True))
            return expression.sub(lambda _: self._inner(replacement), value or "", count=0 if every else 1)
        raise ExpansionError(f"unsupported modifier ({rest[:1]}) in substitution: ${{{body}}}")

    def _brace_body(self) -> str:
        start = self._position + 1
        depth, position = 1, start
        while position < len(self._text):
            char = self._text[position]
            if char == self._escape:
                position += 1
            elif char == "{" and self._text[position - 1] == "$":
                depth += 1
            elif char == "}":
                depth -= 1
                if depth == 0:
                    self._position = position + 1
                    return self._text[start:position]
            position += 1
        raise ExpansionError("syntax error: missing '}'")

    def _inner(self, text: str) -> str:
        return _Expander(self._values, self._escape).expand(text)

    def _default(self, name: str, value: str | None, operator: str, word: str) -> str:
        if operator == "-":
            return value if value is not None else self._inner(word)
        if operator == "+":
            return self._inner(word) if value is not None else ""
        if value is None:
            raise ExpansionError(f"{name}: {self._inner(word) or 'not set'}")
        return value


def _strip(value: str, pattern: str, *, front: bool, greedy: bool) -> str:
    lengths = range(len(value) + 1)
    expression = re.compile(_glob(pattern, greedy=True), re.DOTALL)
    for length in reversed(lengths) if greedy else lengths:
        part = value[:length] if front else value[len(value) - length :]
        if expression.fullmatch(part):
            return value[length:] if front else value[: len(value) - length]
    return value


def _glob(pattern: str, *, greedy: bool) -> str:
    star = ".*" if greedy else ".*?"
    result, position = "", 0
    while position < len(pattern):
        char = pattern[position]
        if char == "\\" and position + 1 < len(pattern):
            position += 1
            result += re.escape(pattern[position])
        else:
            result += star if char == "*" else "." if char == "?" else re.escape(char)
        position += 1
    return result
