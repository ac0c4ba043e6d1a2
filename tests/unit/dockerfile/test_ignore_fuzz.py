"""Ignore patterns beside a second, plain implementation of moby's rules: one character after the other, no expressions."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace.base.errors import UserError
from pinnace.build.walk import walk
from pinnace.dockerfile.ignore import parse_excludes, parse_ignore
from pinnace.dockerfile.patterns import PatternError, match_name

TIMES = int(os.environ.get("PINNACE_FUZZ", "1"))


def matches(pattern: str, path: str) -> bool:
    """Say whether a cleaned pattern matches a whole path. Source: moby/patternmatcher, the comments of Pattern.match."""
    if pattern.startswith("**") and not set(pattern[2:]) & set("*?[\\"):
        suffix = pattern[2:]
        return path.endswith(suffix) or (suffix.startswith("/") and path == suffix[1:])
    return _from(pattern, path)


def _from(pattern: str, path: str) -> bool:
    if not pattern:
        return not path
    if pattern.startswith("**"):
        rest = pattern[2:].removeprefix("/")
        if not rest:
            return True
        return _from(rest, path) or any(
            _from(rest, path[i + 1 :]) for i, char in enumerate(path) if char == "/"
        )
    char, rest = pattern[0], pattern[1:]
    if char == "*":
        return any("/" not in path[:i] and _from(rest, path[i:]) for i in range(len(path) + 1))
    if char == "\\":
        return path[:1] == rest[:1] and _from(rest[1:], path[1:])
    if char == "?":
        return bool(path) and path[0] != "/" and _from(rest, path[1:])
    if char == "[":
        end = rest.index("]", 1 + rest.startswith("^"))
        body, negated = rest[:end].removeprefix("^"), rest.startswith("^")
        return bool(path) and _in_class(body, path[0]) != negated and _from(rest[end + 1 :], path[1:])
    return path[:1] == char and _from(rest, path[1:])


def _in_class(body: str, char: str) -> bool:
    while body:
        if body[1:2] == "-":
            if body[0] <= char <= body[2]:
                return True
            body = body[3:]
        else:
            if body[0] == char:
                return True
            body = body[1:]
    return False


def is_hidden(lines: list[str], path: str) -> bool:
    """Apply the lines in order to a path and the folders above it; the last that matches decides."""
    hidden = False
    parts = path.split("/")
    places = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    for line in lines:
        keeps = line.startswith("!")
        pattern = posixpath.normpath(line.removeprefix("!"))
        pattern = pattern.lstrip("/") if len(pattern) > 1 else pattern
        if any(matches(pattern, place) for place in places):
            hidden = not keeps
    return hidden


PARTS = ("a", "b", "ab", "*", "**", "?", "a*", "*b", "**b", "[ab]", "[^a]", "[a-b]b", "\\a", "a?", ".")
pattern = st.lists(st.sampled_from(PARTS), min_size=1, max_size=4).map("/".join)
line = st.tuples(st.sampled_from(("", "!", "/", "!/")), pattern, st.sampled_from(("", "/"))).map("".join)
TREE = [
    f"{one}/{two}/{three}"
    for one in ("a", "b", "ab")
    for two in ("a", "b", "ab", ".a")
    for three in ("a", "b", "abb")
]


@settings(max_examples=300 * TIMES, deadline=None, derandomize=TIMES == 1)
@given(st.lists(line, min_size=1, max_size=5), st.sampled_from([*TREE, "a", "b/ab", "ab", "c/d/e/f"]))
def test_path_is_hidden_as_plain_rules_say(lines: list[str], path: str) -> None:
    rules = parse_ignore("\n".join(lines))
    assert (rules.hidden_by(path) is not None) == is_hidden(lines, path)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    for path in TREE:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


@settings(max_examples=150 * TIMES, deadline=None, derandomize=TIMES == 1)
@given(st.lists(line, min_size=1, max_size=5))
def test_walk_shows_exactly_what_is_not_hidden_and_the_folders_above_it(tree: Path, lines: list[str]) -> None:
    rules = parse_ignore("\n".join(lines))
    folders = {posixpath.dirname(path) for path in TREE} | {path.split("/")[0] for path in TREE}
    visible = {path for path in (*TREE, *folders) if not is_hidden(lines, path)}
    above = {"/".join(path.split("/")[:count]) for path in visible for count in range(1, path.count("/") + 1)}
    assert {item.name for item in walk(str(tree), "", rules)} == visible | above


@settings(max_examples=150 * TIMES, deadline=None, derandomize=TIMES == 1)
@given(st.text(alphabet="ab*?[]^-\\!/. #", max_size=12), st.text(alphabet="ab]^-\\/. ", max_size=8))
def test_any_line_is_read_or_refused(text: str, path: str) -> None:
    try:
        parse_ignore(text).hidden_by(path)
        parse_excludes([text]).hidden_by(path)
        match_name(text, path)
    except (UserError, PatternError):
        pass
