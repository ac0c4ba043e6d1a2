"""Replaces variables in words and takes quotes away, as the Dockerfile's own small shell does.

Pure. One reader goes over the text once, from left to right; a `${NAME…}` is read by the same reader up to its brace, so
quotes, escapes and further variables inside of it mean what they mean outside.
Source: Dockerfile reference, "Environment replacement"; BuildKit, frontend/dockerfile/shell/lex.go (behaviour).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pinnace.dockerfile.words import is_space

SPECIAL_PARAMETERS = "@*#?-$!"  # Source: POSIX, XCU 2.5.2; never set in a Dockerfile
DEFAULT_ESCAPE = "\\"


class ExpansionError(ValueError):
    """A word that can't be expanded: a quote or brace without its end, or `${NAME:?message}` without a value."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How a text is read.

    `quotes`: quotes are quotes, not plain characters. `keep_quotes` and `keep_escapes`: they stay in the result.
    `keep_unset`: a variable without a value stays as it is written, instead of becoming empty.
    """

    escape: str = DEFAULT_ESCAPE
    quotes: bool = True
    keep_quotes: bool = False
    keep_escapes: bool = False
    keep_unset: bool = False


AS_WRITTEN = Rules(keep_quotes=True, keep_escapes=True, keep_unset=True)
HEREDOC_TEXT = Rules(quotes=False)  # the escape is always "\" in there, whatever the directive says


def expand_word(word: str, values: Mapping[str, str], rules: Rules = Rules()) -> str:
    """Return the word without its quotes and with its variables replaced.

    Raises: ExpansionError.
    Example: `"$A-${B:-x}"` with A=1 → `1-x`.
    """
    return _Reader(word, values, rules).read()[0]


def expand_words(text: str, values: Mapping[str, str], rules: Rules = Rules()) -> list[str]:
    """Return the words of a text; blanks that come out of a variable outside quotes split too.

    Raises: ExpansionError.
    Example: `$P "$P"` with P="80 443" → ["80", "443", "80 443"].
    """
    return _Reader(text, values, rules).read()[1]


class _Words:
    """Collects characters into words. `add` splits at blanks, `add_whole` does not."""

    def __init__(self) -> None:
        self._done: list[str] = []
        self._word = ""

    def add(self, text: str) -> None:
        for char in text:
            if not is_space(char):
                self._word += char
            elif self._word:
                self._done.append(self._word)
                self._word = ""

    def add_whole(self, text: str) -> None:
        self._word += text

    def all(self) -> list[str]:
        return [*self._done, self._word] if self._word else self._done


class _Reader:
    def __init__(self, text: str, values: Mapping[str, str], rules: Rules) -> None:
        self._text = text
        self._values = values
        self._rules = rules
        self._position = 0

    def read(self, stop: str = "", *, keep_escapes: bool | None = None) -> tuple[str, list[str]]:
        """Read up to `stop`, or to the end; return the result as one text and as words."""
        keep = self._rules.keep_escapes if keep_escapes is None else keep_escapes
        result: list[str] = []
        words = _Words()
        while char := self._peek():
            if char == stop:
                self._position += 1
                return "".join(result), words.all()
            if char == "$":
                part = self._variable()
                words.add(part)
            elif char in "'\"" and self._rules.quotes:
                part = self._single_quoted() if char == "'" else self._double_quoted(keep)
                words.add_whole(part)
            elif self._text.startswith("<<", self._position):
                part = self._heredoc_mark()
                words.add_whole(part)
            elif char == self._rules.escape:
                part = self._escaped(keep)
                words.add_whole(part)
            else:
                part = self._take()
                words.add(part)
            result.append(part)
        if stop:
            raise ExpansionError(f"unexpected end of statement while looking for matching {stop}")
        return "".join(result), words.all()

    def _peek(self) -> str:
        return self._text[self._position : self._position + 1]

    def _take(self) -> str:
        char = self._peek()
        self._position += 1
        return char

    def _escaped(self, keep: bool) -> str:
        escape = self._take()
        return (escape if keep else "") + self._take()

    def _heredoc_mark(self) -> str:
        """`<<` and the blanks after it are one piece, so that the name stays with it."""
        start = self._position
        self._position += 2
        while self._peek() in (" ", "\t", "\r"):
            self._position += 1
        return self._text[start : self._position]

    def _single_quoted(self) -> str:
        start = self._position
        end = self._text.find("'", start + 1)
        if end < 0:
            raise ExpansionError("unexpected end of statement while looking for matching single-quote")
        self._position = end + 1
        return self._text[start : end + 1] if self._rules.keep_quotes else self._text[start + 1 : end]

    def _double_quoted(self, keep: bool) -> str:
        quote = self._take() if self._rules.keep_quotes else self._take()[:0]
        result = quote
        while char := self._peek():
            if char == '"':
                self._position += 1
                return result + quote
            if char == "$":
                result += self._variable()
                continue
            self._position += 1
            if char == self._rules.escape:
                result += char if keep else ""
                following = self._peek()
                if not following:
                    break
                if following in ('"', "$", self._rules.escape):
                    char = self._take()
            result += char
        raise ExpansionError("unexpected end of statement while looking for matching double-quote")

    # --- variables ---------------------------------------------------------------------------------------------------

    def _variable(self) -> str:
        self._position += 1
        if self._peek() == "{":
            self._position += 1
            return self._braced()
        name = self._name()
        if not name:
            return "$"
        value = self._values.get(name)
        if value is None:
            return f"${name}" if self._rules.keep_unset else ""
        return value

    def _name(self) -> str:
        char = self._peek()
        if char and char in SPECIAL_PARAMETERS:
            return self._take()
        start = self._position
        digits_only = char.isdigit()
        while (char := self._peek()) and (
            char.isdigit() or (not digits_only and (char == "_" or char.isalpha()))
        ):
            self._position += 1
        return self._text[start : self._position]

    def _braced(self) -> str:
        if not self._peek():
            raise ExpansionError("syntax error: missing '}'")
        if self._peek() in "{}:":
            raise ExpansionError("syntax error: bad substitution")
        name = self._name()
        operator = self._take()
        if operator == "}":
            value = self._values.get(name)
            return f"${{{name}}}" if value is None and self._rules.keep_unset else value or ""
        if operator == ":":
            operator += self._take()
        if not operator:
            raise ExpansionError("syntax error: missing '}'")
        if operator not in (":-", ":+", ":?", "-", "+", "?", "#", "%", "/"):
            raise ExpansionError(f"unsupported modifier ({operator}) in substitution")
        if operator == "/":
            return self._replaced(name)
        word = self._until("}", keep_escapes=operator in "#%")
        value = self._values.get(name)
        if value is None and self._rules.keep_unset:
            return f"${{{name}{operator}{word}}}"
        if operator in "#%":
            return _trimmed(value or "", word, operator)
        return _chosen(name, value, operator, word)

    def _until(self, stop: str, *, keep_escapes: bool) -> str:
        try:
            return self.read(stop, keep_escapes=keep_escapes)[0]
        except ExpansionError:
            if not self._peek():
                raise ExpansionError(f"syntax error: missing '{stop}'") from None
            raise

    def _replaced(self, name: str) -> str:
        every = self._peek() == "/"
        if every:
            self._position += 1
        pattern = self._until("/", keep_escapes=True)
        replacement = self._until("}", keep_escapes=True)
        value = self._values.get(name)
        if value is None and self._rules.keep_unset:
            return f"${{{name}/{pattern}/{replacement}}}"
        expression = re.compile(_translate(pattern, greedy=True))
        return _substituted(value or "", expression, replacement, every=every)


def _substituted(value: str, expression: re.Pattern[str], replacement: str, *, every: bool) -> str:
    """Replace the first match, or all; nothing is replaced right behind a match. Source: Go, regexp.ReplaceAllString."""
    result, end = "", 0
    for match in expression.finditer(value):
        if match.end() == match.start() == end and end:
            continue
        result += value[end : match.start()] + replacement
        end = match.end()
        if not every:
            break
    return result + value[end:]


def _chosen(name: str, value: str | None, operator: str, word: str) -> str:
    """Return what a default, an alternative or a demand gives; with ":" an empty value counts as none."""
    present = bool(value) if operator.startswith(":") else value is not None
    match operator[-1]:
        case "-":
            return value or "" if present else word
        case "+":
            return word if present else ""
        case _:
            if not present:
                state = "unset" if value is None else "empty"
                raise ExpansionError(f"{name}: {word or f'is not allowed to be {state}'}")
            return value or ""


def _trimmed(value: str, word: str, operator: str) -> str:
    """Take the shortest match of a pattern from the front ("#") or the end ("%"); the longest if the sign is doubled."""
    longest = word.startswith(operator)
    expression = re.compile(_translate(word[1:] if longest else word, greedy=longest))
    if operator == "#":
        match = expression.match(value)
        return value[match.end() :] if match else value
    starts = range(len(value) + 1) if longest else range(len(value), -1, -1)
    for start in starts:
        if expression.fullmatch(value, start):
            return value[:start]
    return value


def _translate(pattern: str, *, greedy: bool) -> str:
    """Return a shell pattern (`*`, `?`, no brackets) as a regular expression. Raises: ExpansionError."""
    result, chars = "", iter(pattern)
    for char in chars:
        if char == "*":
            result += ".*" if greedy else ".*?"
        elif char == "?":
            result += "."
        elif char == "\\":
            escaped = next(chars, "")
            if not escaped or escaped not in "*?\\}/":
                raise ExpansionError(
                    f"invalid pattern ({pattern}) in substitution: invalid escape '\\{escaped}'"
                )
            result += re.escape(escaped)
        else:
            result += re.escape(char)
    return result
