"""Compares our reading of a Dockerfile with that of BuildKit's own parser (the wheel `dockerfile`); skips where it is not there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pinnace.dockerfile import instructions as ast
from pinnace.dockerfile.instructions import Instruction
from pinnace.dockerfile.lines import parse_heredoc, split_lines
from pinnace.dockerfile.parse import parse_dockerfile
from pinnace.dockerfile.source import Source
from pinnace.dockerfile.words import take_flags

oracle = pytest.importorskip(
    "dockerfile", reason="the wheel `dockerfile`, BuildKit's own parser, is not installed"
)

# Generated files: what BuildKit's parser takes and its later stage refuses is refused by us at once.
LATER = (
    "requires at least",
    "requires either",
    "unknown flag",
    "unknown instruction",
    "duplicate flag",
    "missing a value",
    "expecting boolean",
    "can not be blank",
    "invalid name",
    "can not be an empty",
    "SHELL requires",
    "HEALTHCHECK",
    "isn't allowed",
    "cannot accept",
)


def row_of(command: Any) -> tuple[Any, ...]:
    """One instruction as BuildKit read it: keyword, first line, last line, flags, whether it is JSON, values, heredocs."""
    heredocs = tuple((h.name, h.content, h.file_descriptor) for h in command.heredocs)
    values = command.value
    if command.cmd.upper() in ("COPY", "ADD") and heredocs:
        values = tuple(value for value in values if parse_heredoc(value) is None)
    return (
        command.cmd.upper(),
        command.start_line,
        command.end_line,
        command.flags,
        command.json,
        tuple(values),
        heredocs,
    )


def values_of(instruction: Instruction) -> tuple[bool, tuple[str, ...]]:
    """Return what BuildKit's parser has for an instruction that we read: whether it is JSON, and its values."""
    match instruction:
        case ast.Run(command=c) | ast.Cmd(command=c) | ast.Entrypoint(command=c):
            return not c.shell, () if c.argv == ("",) else c.argv  # CMD alone
        case ast.Copy(sources=sources, target=target):
            return False, (*sources, target)
        case ast.Env(pairs=pairs) | ast.Label(pairs=pairs):
            return False, tuple(part for pair in pairs for part in pair)
        case ast.Arg(pairs=pairs):
            return False, tuple(name if value is None else f"{name}={value}" for name, value in pairs)
        case ast.Workdir(path=text) | ast.User(user=text) | ast.StopSignal(signal=text):
            return False, (text,)
        case ast.Maintainer(name=text):
            return False, (text,)
        case ast.Expose(ports=words) | ast.Volume(paths=words):
            return False, words
        case ast.Shell(argv=argv):
            return True, argv
        case ast.HealthCheck(command=None):
            return False, ("NONE",)
        case ast.HealthCheck(command=c) if c is not None:
            return not c.shell, ("CMD", *c.argv)
    raise AssertionError(instruction)


def compare(text: str) -> None:
    # A line with nothing but an escape is an instruction without a name for them; we pass over it.
    theirs = [command for command in oracle.parse_string(text) if command.cmd]
    lines = split_lines(Source("Dockerfile", text))
    ours = []
    for line, command in zip(lines.instructions, theirs, strict=True):
        row = row_of(command)
        flags = tuple(take_flags(line.rest, lines.escape)[0])
        heredocs = tuple((h.name, h.text, h.file_descriptor) for h in line.heredocs)
        values, is_json = row[5], row[4]
        if line.keyword == "ONBUILD":
            heredocs = ()  # theirs are in the inner instruction, which the wheel doesn't show
        ours.append((line.keyword, line.first, line.last, flags, is_json, values, heredocs))
    assert ours == [row_of(command) for command in theirs]
    compare_values(text, theirs)


def compare_values(text: str, theirs: Any) -> None:
    file = parse_dockerfile(text)
    read: list[Instruction] = [*file.global_args]
    for stage in file.stages:
        read += [stage.base, *stage.instructions]
    for instruction, command in zip(read, theirs, strict=True):
        row = row_of(command)
        if isinstance(instruction, ast.From):
            words = (instruction.image, *(("AS", instruction.name) if instruction.name else ()))
            assert [w.lower() for w in words] == [w.lower() for w in command.value]
            continue
        if isinstance(instruction, ast.OnBuild):
            alone = f"# escape={file.escape}\nFROM a\n{instruction.instruction}\n"
            inner = parse_dockerfile(alone).stages[0].instructions[0]
            assert (command.json and _has_tail(inner.text)) or values_of(inner) == (
                command.json,
                command.value,
            )
            continue
        is_json, values = values_of(instruction)
        if isinstance(instruction, ast.Volume):  # BuildKit takes blanks away after parsing
            row = (*row[:5], tuple(path.strip() for path in row[5]), *row[6:])
        if isinstance(instruction, ast.Copy | ast.Volume):
            is_json = row[4]  # ours doesn't keep in which form the paths were written
        assert (row[4] and _has_tail(instruction.text)) or (is_json, values) == (row[4], row[5]), instruction


def _has_tail(text: str) -> bool:
    """Say whether something follows a JSON list: the BuildKit of the wheel passed over it, today's takes all for the shell."""
    rest = text[text.find("[") :]
    try:
        _, end = json.JSONDecoder().raw_decode(rest)
    except ValueError:
        return False
    return bool(rest[end:].strip())
