"""Manifests as people write them: YAML or JSON, several in one file, to plain JSON values.

Pure; used by the API for YAML bodies and by our CLI for files. A plain word means what Kubernetes' own YAML reader takes
it for (`y` and `on` are booleans, 0644 is octal, a date is text), so that one file means the same here and there.
Source: sigs.k8s.io/yaml v1.6, goyaml.v2/resolve.go and yaml.go, convertToJSONableObject

Invariant: the work is bounded by the size of the text: aliases that would multiply it are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import yaml

from pinnace.base.errors import ApiError, Reason, UserError

MAX_VALUES = 1_000_000  # a 3 MiB body of one-character items has about as many; more come only from aliases
MAX_DEPTH = 100
MAX_DUPLICATES = 100  # enough for a person to act on

_STR, _INT, _FLOAT, _BOOL, _NULL, _MERGE = (
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "merge")
)
_TRUE = frozenset(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"))
_FALSE = frozenset(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"))
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_INTEGER = re.compile(r"[-+]?(0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]+|[1-9][0-9_]*|0)")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Manifest:
    """One document of a file; `line` is where it starts, counted from 1."""

    value: dict[str, Any]
    line: int


class _Refused(Exception):
    """What can't be read, and on which line; 0 if no line is to blame."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


def classify(word: str) -> str:
    """Return the tag of a plain word."""
    if word in _NULLS:
        return _NULL
    if word in _TRUE or word in _FALSE:
        return _BOOL
    if word == "<<":
        return _MERGE
    if _INTEGER.fullmatch(word):
        return _INT
    return _FLOAT if _NUMBER.fullmatch(word) else _STR


def parse_manifests(text: bytes | str, source: str = "") -> tuple[Manifest, ...]:
    """Return the documents of a file, without empty ones.

    Raises: UserError with `where` as SOURCE:LINE.
    """
    try:
        return tuple(_manifests(text))
    except _Refused as refused:
        where = ":".join(filter(None, (source, str(refused.line or ""))))
        raise UserError(refused.message, where=where) from None


def yaml_to_json(body: bytes, twice: list[str] | None = None) -> bytes:
    """Return one YAML document as JSON.

    `twice` takes a sentence for each key that stands in one mapping twice: the last value counts then; without it such a
    document is refused. Raises: ApiError BadRequest.
    """
    try:
        values = [value for value, _ in _documents(body, twice)]
        return msgspec.json.encode(values[0] if values else None)
    except _Refused as refused:
        line = f"line {refused.line}: " if refused.line else ""
        raise ApiError(
            Reason.BAD_REQUEST, f"error converting YAML to JSON: yaml: {line}{refused.message}"
        ) from None


def _manifests(text: bytes | str) -> Iterator[Manifest]:
    for value, line in _documents(text):
        if value is None:
            continue
        if not isinstance(value, dict):
            raise _Refused("a manifest is a mapping of fields (apiVersion, kind, metadata, ...)", line)
        yield Manifest(value, line)


def _documents(text: bytes | str, twice: list[str] | None = None) -> Iterator[tuple[Any, int]]:
    # From events, not from nodes: libyaml's composer recurses, and a few hundred kB of brackets end the process.
    try:
        events = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                first = next(events)
                yield _Document(events, twice).value(first, 0), _line(first)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = str(error.problem or error.context or error)
        raise _Refused(message, mark.line + 1 if mark else 0) from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise _Refused(str(error).splitlines()[0]) from None


def _line(event: yaml.Event) -> int:
    return int(event.start_mark.line) + 1 if event.start_mark else 0


class _Document:
    """Turns one document's events into a value; each anchor's value is made once, however many aliases name it."""

    def __init__(self, events: Iterator[yaml.Event], twice: list[str] | None = None) -> None:
        self.events = events
        self.twice = twice
        self.anchors: dict[str, tuple[Any, int] | None] = {}  # None while the value is still open
        self.count = 0

    def value(self, event: Any, depth: int) -> Any:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        before = self.count
        self._spend(1, event)
        if depth > MAX_DEPTH:
            raise _Refused("exceeded max depth", _line(event))
        if event.anchor:
            self.anchors[event.anchor] = None
        value: Any
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = [self.value(item, depth + 1) for item in self._until(yaml.SequenceEndEvent)]
        else:
            value = self._mapping(depth)
        if event.anchor:
            self.anchors[event.anchor] = value, self.count - before
        return value

    def _until(self, end: type[yaml.Event]) -> Iterator[yaml.Event]:
        while not isinstance(event := next(self.events), end):
            yield event

    def _alias(self, event: yaml.AliasEvent) -> Any:
        if event.anchor not in self.anchors:
            raise _Refused(f"unknown anchor '{event.anchor}' referenced", _line(event))
        found = self.anchors[event.anchor]
        if found is None:
            raise _Refused(f"anchor '{event.anchor}' value contains itself", _line(event))
        value, size = found
        self._spend(size, event)
        return value

    def _spend(self, size: int, event: yaml.Event) -> None:
        self.count += size
        if self.count > MAX_VALUES:
            raise _Refused("document contains excessive aliasing", _line(event))

    def _mapping(self, depth: int) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key in self._until(yaml.MappingEndEvent):
            if isinstance(key, yaml.ScalarEvent) and _tag(key) == _MERGE:
                for part in self._merged(next(self.events), depth):
                    merged = {**part, **merged}
                continue
            name = _key(self.value(key, depth + 1), key)
            if name in own:
                self._found_twice(name, _line(key))
            own[name] = self.value(next(self.events), depth + 1)
        return {**merged, **own} if merged else own

    def _found_twice(self, name: str, line: int) -> None:
        sentence = f'key "{name}" already set in map'
        if self.twice is None:
            raise _Refused(sentence, line)
        if len(self.twice) < MAX_DUPLICATES:
            self.twice.append(f"line {line}: {sentence}")

    def _merged(self, event: yaml.Event, depth: int) -> list[dict[str, Any]]:
        value = self.value(event, depth + 1)
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, dict) for part in parts):
            raise _Refused("map merge requires map or sequence of maps as the value", _line(event))
        return parts


def _tag(event: yaml.ScalarEvent) -> str:
    if event.tag and event.tag != "!":
        return str(event.tag)
    return classify(event.value) if event.implicit[0] and not event.tag else _STR


def _scalar(event: yaml.ScalarEvent) -> Any:
    tag = _tag(event)
    read = _SCALARS.get(tag)
    if read is None:
        raise _Refused(f"{tag} is no type that JSON has", _line(event))
    try:
        return read(event.value)
    except (ValueError, OverflowError):
        raise _Refused(f"{event.value!r} is no {tag.rpartition(':')[2]}", _line(event)) from None


def _boolean(word: str) -> bool:
    if word not in _TRUE and word not in _FALSE:
        raise ValueError(word)
    return word in _TRUE


def _integer(word: str) -> int | float:
    digits = word.replace("_", "")
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    octal = re.fullmatch(r"0[oO]?([0-7]+)", digits)
    value = sign * (int(octal[1], 8) if octal else int(digits, 0))
    return value if -(2**63) <= value < 2**63 else float(value)


def _number(word: str) -> int | float | str:
    value = float(word.replace("_", ""))
    if not math.isfinite(value):
        return word
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


_SCALARS: Mapping[str, Callable[[str], Any]] = {
    _STR: str,
    _INT: _integer,
    _FLOAT: _number,
    _BOOL: _boolean,
    _NULL: lambda _: None,
    _MERGE: str,
    "tag:yaml.org,2002:timestamp": str,
}


def _key(value: Any, event: yaml.Event) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise _Refused("unsupported map key: a key is text", _line(event))
