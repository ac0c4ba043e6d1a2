"""Go templates for `--format`, as far as people use them with Docker: fields, pipelines, functions, if, range, with.

Called by the verbs. `parse_template` reads, `Template.render` fills in; neither does anything else.
Invariant: what this can't read is refused with its place; nothing of a template is ever run as code.
Source: Go 1.22, text/template (the grammar and the truth of values); docker/cli, templates (the functions, in
`template_values`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pinnace.base.errors import UserError
from pinnace.cli.template_values import FUNCTIONS, MISSING, TemplateError, is_true, look_up, show

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<string>"(?:[^"\\]|\\.)*"|`[^`]*`)|
    (?P<number>-?\d+(?:\.\d+)?)|
    (?P<field>(?:\.[A-Za-z_]\w*)+|\.)|
    (?P<variable>\$\w*(?:\.[A-Za-z_]\w*)*)|
    (?P<word>[A-Za-z_]\w*)|
    (?P<sign>:=|=|\||\(|\)|,))""",
    re.VERBOSE,
)
_CONSTANTS = {"true": True, "false": False, "nil": None}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


@dataclass(slots=True)
class _Call:
    """Arguments side by side; the first may be a function's name."""

    words: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class _Pipeline:
    calls: list[_Call]
    names: tuple[str, ...] = ()  # variables that it sets
    after: tuple[str, ...] = ()  # fields of its value: (index . 0).Name


@dataclass(slots=True)
class _Block:
    """if, range or with: what stands in it, and behind its else."""

    kind: str
    pipeline: _Pipeline
    body: list[Any]
    other: list[Any]


class Template:
    """A template that was read."""

    def __init__(self, nodes: list[Any]) -> None:
        self._nodes = nodes

    def render(self, value: Any) -> str:
        """Return the text for a value. Raises: UserError, in Go's words, for a key that isn't there."""
        try:
            return "".join(_run(self._nodes, value, {"$": value}))
        except TemplateError as error:
            raise UserError(
                f'template parsing error: template: :1: executing "" at {error}',
                "{{json .}} shows what there is",
            ) from error


def parse_template(text: str) -> Template:
    """Return a template. Raises: UserError. Example: '{{.Id}} {{range .Mounts}}{{.Source}} {{end}}'."""
    try:
        parser = _Parser(text)
        nodes, end = parser.nodes()
        if end:
            raise TemplateError(f"unexpected {{{{{end}}}}}")
        return Template(nodes)
    except TemplateError as error:
        raise UserError(
            f"template parsing error: template: :1: {error}",
            "such as '{{.Id}}', '{{json .Config}}' or '{{range .RepoTags}}{{.}} {{end}}'",
        ) from error


class _Parser:
    """Reads the text between and inside of {{ and }}."""

    def __init__(self, text: str) -> None:
        self._pieces = _split(text)

    def nodes(self) -> tuple[list[Any], str]:
        """Return what stands up to the end of this block, and the word that ended it."""
        found: list[Any] = []
        for is_action, piece in self._pieces:
            if not is_action:
                found.append(piece)
                continue
            tokens = _tokens(piece)
            if not tokens:
                raise TemplateError("missing value for command")
            word = tokens[0].text if tokens[0].kind == "word" else ""
            if word in ("if", "range", "with"):
                found.append(self._block(word, tokens[1:]))
            elif word in ("end", "else"):
                return found, " ".join(token.text for token in tokens) if word == "else" else "end"
            else:
                found.append(_pipeline(tokens))
        return found, ""

    def _block(self, kind: str, tokens: list[_Token]) -> _Block:
        pipeline = _pipeline(tokens)
        body, end = self.nodes()
        other: list[Any] = []
        if end.startswith("else "):
            rest = _tokens(end.removeprefix("else "))
            if rest[0].text not in ("if", "with"):
                raise TemplateError(f"unexpected <{rest[0].text}> in else")
            return _Block(kind, pipeline, body, [self._block(rest[0].text, rest[1:])])
        if end == "else":
            other, end = self.nodes()
        if end != "end":
            raise TemplateError("unexpected EOF")
        return _Block(kind, pipeline, body, other)


def _split(text: str) -> Iterator[tuple[bool, str]]:
    at = 0
    trim = False
    while True:
        start = text.find("{{", at)
        plain = text[at:] if start < 0 else text[at:start]
        plain = plain.lstrip() if trim else plain
        if start < 0:
            yield False, plain
            return
        end = _action_end(text, start + 2)
        action = text[start + 2 : end]
        if action.startswith("- "):
            plain, action = plain.rstrip(), action[2:]
        trim = action.endswith(" -")
        action = action[:-2] if trim else action
        if plain:
            yield False, plain
        if not action.strip().startswith("/*"):
            yield True, action
        at = end + 2


def _action_end(text: str, at: int) -> int:
    """Return where }} stands, not counting those inside of a string."""
    while at < len(text):
        if text.startswith("}}", at):
            return at
        if text[at] in '"`':
            closing = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`').match(text, at)
            if closing is None:
                raise TemplateError("unterminated quoted string")
            at = closing.end()
        else:
            at += 1
    raise TemplateError("unclosed action")


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise TemplateError(f"unexpected {text[at:].strip()[:1]!r} in command")
        found.append(_Token(str(match.lastgroup), match[str(match.lastgroup)]))
        at = match.end()
    return found


def _pipeline(tokens: list[_Token]) -> _Pipeline:
    """Read tokens as one pipeline, with parentheses. Raises: TemplateError."""
    tokens = list(tokens)
    names: list[str] = []
    if any(token.text in (":=", "=") for token in tokens):
        while tokens and tokens[0].kind == "variable":
            names.append(tokens.pop(0).text)
            if tokens and tokens[0].text == ",":
                tokens.pop(0)
        if not tokens or tokens.pop(0).text not in (":=", "="):
            raise TemplateError("unexpected := in command")
    pipeline = _read_calls(tokens, closed=False)
    pipeline.names = tuple(names)
    return pipeline


def _read_calls(tokens: list[_Token], *, closed: bool) -> _Pipeline:
    calls = [_Call()]
    while tokens:
        token = tokens.pop(0)
        if token.text == ")" and token.kind == "sign":
            if not closed:
                raise TemplateError("unexpected right paren")
            break
        if token.text == "(" and token.kind == "sign":
            inner = _read_calls(tokens, closed=True)
            if tokens and tokens[0].kind == "field" and tokens[0].text != ".":
                inner.after = tuple(tokens.pop(0).text[1:].split("."))
            calls[-1].words.append(inner)
        elif token.text == "|":
            calls.append(_Call())
        elif token.kind == "sign":
            raise TemplateError(f"unexpected {token.text!r} in command")
        else:
            calls[-1].words.append(token)
    else:
        if closed:
            raise TemplateError("unclosed left paren")
    if not all(call.words for call in calls):
        raise TemplateError("missing value for command")
    for call in calls:
        first = call.words[0]
        known = not isinstance(first, _Token) or first.text in FUNCTIONS or first.text in _CONSTANTS
        if not known and first.kind == "word":
            raise TemplateError(f"function {first.text!r} not defined; there are {', '.join(FUNCTIONS)}")
    return _Pipeline(calls)


def _run(nodes: Sequence[Any], dot: Any, names: dict[str, Any]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, str):
            yield node
        elif isinstance(node, _Pipeline):
            value = _evaluate(node, dot, names)
            if node.names:
                names[node.names[0]] = value
            else:
                yield show(value)
        else:
            yield from _run_block(node, dot, names)


def _run_block(block: _Block, dot: Any, names: dict[str, Any]) -> Iterator[str]:
    value = _evaluate(block.pipeline, dot, names)
    if block.kind == "range":
        items = _items(value)
        for key, item in items:
            given = dict(zip(block.pipeline.names[::-1], (item, key), strict=False))
            yield from _run(block.body, item, {**names, **given})
        if not items:
            yield from _run(block.other, dot, dict(names))
        return
    inner = {**names, **dict.fromkeys(block.pipeline.names, value)}
    if is_true(value):
        yield from _run(block.body, value if block.kind == "with" else dot, inner)
    else:
        yield from _run(block.other, dot, inner)


def _items(value: Any) -> list[tuple[Any, Any]]:
    if value is None or value is MISSING:
        return []
    if isinstance(value, Mapping):
        return sorted(value.items())
    if isinstance(value, (list, tuple)):
        return list(enumerate(value))
    raise TemplateError(f"range can't iterate over {show(value)}")


def _evaluate(pipeline: _Pipeline, dot: Any, names: Mapping[str, Any]) -> Any:
    value: Any = None
    for number, call in enumerate(pipeline.calls):
        first = call.words[0]
        words = call.words
        name = first.text if isinstance(first, _Token) and first.kind == "word" else ""
        if name in FUNCTIONS:
            given = [_value(word, dot, names) for word in words[1:]]
            if number:
                given.append(value)
            try:
                value = FUNCTIONS[name](*given)
            except TemplateError as error:
                raise TemplateError(f"<{name}>: {error}") from error
        elif len(words) > 1 or number:
            raise TemplateError(f"can't give argument to non-function {getattr(first, 'text', '(…)')}")
        else:
            value = _value(first, dot, names)
    for key in pipeline.after:
        value = look_up(value, key)
    return value


def _value(word: Any, dot: Any, names: Mapping[str, Any]) -> Any:
    if isinstance(word, _Pipeline):
        return _evaluate(word, dot, names)
    if word.kind == "string":
        return word.text[1:-1] if word.text.startswith("`") else json.loads(word.text, strict=False)
    if word.kind == "number":
        return float(word.text) if "." in word.text else int(word.text)
    if word.kind == "word":
        if word.text in _CONSTANTS:
            return _CONSTANTS[word.text]
        return FUNCTIONS[word.text]() if word.text in FUNCTIONS else look_up({}, word.text)
    head, *path = word.text.split(".")
    if word.kind == "variable":
        if head not in names:
            raise TemplateError(f"undefined variable {head!r}")
        value = names[head]
    else:
        value = dot
    try:
        for key in path:
            if key:
                value = look_up(value, key)
    except TemplateError as error:
        raise TemplateError(f"<{word.text}>: {error}") from error
    return value
