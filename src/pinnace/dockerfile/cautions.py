"""Decides what in a Dockerfile is allowed but hardly meant: told once, before the build; nothing is refused. Pure.

One table, `CAUTIONS`: each row looks at the whole file and yields (line, sentence). Source: BuildKit, frontend/dockerfile/linter
(the rules JSONArgsRecommended, MultipleInstructionsDisallowed, DuplicateStageName, UndefinedArgInFrom, UndefinedVar); the rest
are mistakes that end in an error of the shell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

from pinnace.dockerfile import instructions as ast
from pinnace.dockerfile.parse import Dockerfile

Found = Iterator[tuple[int, str]]

_NAME = re.compile(
    r"[A-Za-z_]\w*", re.ASCII
)  # what a variable can be called; other names of an ARG are never replaced


def find_cautions(file: Dockerfile) -> tuple[str, ...]:
    """Return sentences that begin with the place. Example: "Dockerfile:3: …"."""
    found = sorted({one for caution in CAUTIONS for one in caution(file)})
    return tuple(f"{file.source.name}:{line}: {text}" for line, text in found)


def _nearly_lists(file: Dockerfile) -> Found:
    for stage in file.stages:
        for one in stage.instructions:
            if not isinstance(one, ast.Run | ast.Cmd | ast.Entrypoint) or not one.command.shell:
                continue
            reason = _why_no_list(one.command.argv[0].strip())
            if reason:
                word = one.text.split()[0]
                yield one.line, f"{word} is read as a shell command, not as a list: {reason}"


def _why_no_list(text: str) -> str:
    """Return why a text that looks like a JSON list is none; "" for what is meant for the shell, such as `[ -e /x ]`."""
    if re.match(r"\[\s*['‘’“”]", text):
        return 'a JSON list has double quotes, as in ["a", "b"]'
    if not re.match(r'\[\s*"', text):
        return ""
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except ValueError:
        looks_like_one = re.match(r'\[\s*"[^"]*"\s*(,|"|\])', text) is not None and text.endswith("]")
        return "it is no valid JSON (commas, quotes, backslashes)" if looks_like_one else ""
    except RecursionError:
        return ""
    return "nothing may follow its ]" if text[end:].strip() else ""


def _several(file: Dockerfile) -> Found:
    for stage in file.stages:
        for kind, word in (
            (ast.Cmd, "CMD"),
            (ast.Entrypoint, "ENTRYPOINT"),
            (ast.HealthCheck, "HEALTHCHECK"),
        ):
            lines = [one.line for one in stage.instructions if isinstance(one, kind)]
            for line in lines[:-1]:
                yield (
                    line,
                    f"this {word} has no effect: only the last one of a stage counts (line {lines[-1]})",
                )


def _stage_names(file: Dockerfile) -> Found:
    seen: dict[str, int] = {}
    for stage in file.stages:
        if stage.name in seen:
            yield stage.base.line, f"the stage name {stage.name!r} is used twice (line {seen[stage.name]})"
        if stage.name:
            seen[stage.name] = stage.base.line


def _forgotten_arguments(file: Dockerfile) -> Found:
    """An ARG before the first FROM is not seen in a stage, unless the stage names it again."""
    declared_before = {name for one in file.global_args for name, _ in one.pairs if _NAME.fullmatch(name)}
    for stage in file.stages:
        own: set[str] = set()
        for one in stage.instructions:
            if isinstance(one, ast.Arg | ast.Env):
                own |= {name for name, _ in one.pairs}
            for name in sorted(declared_before - own):
                if re.search(rf"(?<![\\$])\$(?:\{{{name}[:}}#%/+?-]|{name}(?!\w))", one.text) and not _sets(
                    one, name
                ):
                    yield (
                        one.line,
                        f"${name} is empty here: the ARG before FROM is not seen in a stage; repeat ARG {name} in it",
                    )


def _sets(one: ast.Instruction, name: str) -> bool:
    return (
        isinstance(one, ast.Run)
        and re.search(rf"(?:^|[\s;&|(]){name}=|\b(?:read|for) {name}\b", one.text) is not None
    )


def _windows_line_ends(file: Dockerfile) -> Found:
    if "\r\n" not in file.source.text:
        return
    for stage in file.stages:
        for one in stage.instructions:
            documents = one.command.heredocs if isinstance(one, ast.Run) else ()
            documents = one.inline if isinstance(one, ast.Copy) else documents
            if any("\r" in document.text for document in documents):
                yield (
                    one.line,
                    "the here-document has Windows line ends (CRLF), which shells can't read: save the file with LF",
                )


CAUTIONS: tuple[Callable[[Dockerfile], Found], ...] = (
    _nearly_lists,
    _several,
    _stage_names,
    _forgotten_arguments,
    _windows_line_ends,
)
