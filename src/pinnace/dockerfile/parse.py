"""Turns a Dockerfile's text into stages of instructions.

Pure. One reader for each instruction, in the table `READERS`; each error shows the line and says what to do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pinnace.dockerfile.instructions import (
    Arg,
    Cmd,
    Command,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    HealthCheck,
    Instruction,
    Label,
    Maintainer,
    OnBuild,
    Run,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from pinnace.dockerfile.lines import LogicalLine, split_lines
from pinnace.dockerfile.source import Source, suggest
from pinnace.dockerfile.words import split_words

_STAGE_NAME = re.compile(r"^[a-z][a-z0-9-_.]*$")
_FLAG = re.compile(r"^--([a-zA-Z][a-zA-Z0-9-]*)(?:=(.*))?$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Stage:
    """One FROM and what follows it; `name` is "" when it has none."""

    index: int
    base: From
    instructions: tuple[Instruction, ...]

    @property
    def name(self) -> str:
        return self.base.name


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A whole file: directives, the ARGs before the first FROM, the stages."""

    source: Source
    directives: dict[str, str]
    escape: str
    global_args: tuple[Arg, ...]
    stages: tuple[Stage, ...]

    def find_stage(self, name: str) -> Stage | None:
        """Return a stage by name (any case) or by its number; the last of several with one name."""
        for stage in reversed(self.stages):
            if stage.name and stage.name == name.lower():
                return stage
        if name.isdigit() and int(name) < len(self.stages):
            return self.stages[int(name)]
        return None


def parse_dockerfile(text: str, name: str = "Dockerfile") -> Dockerfile:
    """Return the file's stages. Raises: UserError, on the line."""
    source = Source(name, text)
    lines = split_lines(source)
    global_args: list[Arg] = []
    stages: list[tuple[From, list[Instruction]]] = []
    for line in lines.instructions:
        instruction = read_instruction(source, line, lines.escape)
        if isinstance(instruction, From):
            stages.append((instruction, []))
        elif stages:
            stages[-1][1].append(instruction)
        elif isinstance(instruction, Arg):
            global_args.append(instruction)
        else:
            raise source.error(
                line.first,
                f"no build stage in current context: {line.keyword} comes before FROM",
                "begin with FROM IMAGE; only ARG may come before it",
            )
    if not stages:
        raise source.error(1, "the Dockerfile has no FROM", "begin with FROM IMAGE")
    return Dockerfile(
        source,
        lines.directives,
        lines.escape,
        tuple(global_args),
        tuple(Stage(index, base, tuple(body)) for index, (base, body) in enumerate(stages)),
    )


def read_instruction(source: Source, line: LogicalLine, escape: str) -> Instruction:
    """Return one instruction. Raises: UserError, on the line."""
    reader = READERS.get(line.keyword)
    if reader is None:
        raise source.error(line.first, f"unknown instruction: {line.keyword}", suggest(line.keyword, READERS))
    flags, rest = _take_flags(source, line, escape)
    if not rest and line.keyword not in ("CMD", "ENTRYPOINT"):
        raise source.error(line.first, f"{line.keyword} requires at least one argument")
    return reader(_Reading(source, line, escape, flags, rest))


FLAGS: dict[str, tuple[str, ...]] = {
    "FROM": ("platform",),
    "RUN": ("mount", "network", "security", "device"),
    "COPY": ("from", "chown", "chmod", "link", "parents", "exclude"),
    "ADD": ("chown", "chmod", "link", "exclude", "checksum", "keep-git-dir", "unpack"),
    "HEALTHCHECK": ("interval", "timeout", "start-period", "start-interval", "retries"),
}
REPEATED_FLAGS = ("mount", "exclude", "device")


@dataclass(frozen=True, slots=True)
class _Reading:
    """One instruction being read: `flags` by name (several values only for those that repeat), `rest` after them."""

    source: Source
    line: LogicalLine
    escape: str
    flags: dict[str, list[str]]
    rest: str

    def flag(self, name: str) -> str:
        return self.flags.get(name, [""])[-1]

    def switch(self, name: str) -> bool:
        return name in self.flags and self.flags[name][-1].lower() not in ("false", "0")

    def error(self, message: str, hint: str = "") -> Exception:
        return self.source.error(self.line.first, message, hint)

    @property
    def place(self) -> dict[str, Any]:
        return {"line": self.line.first, "last_line": self.line.last}

    @property
    def text(self) -> str:
        return f"{self.line.keyword} {self.line.rest}".strip()

    def words(self) -> list[str]:
        return split_words(self.rest, self.escape)

    def list_or_words(self) -> list[str]:
        found = _json_list(self.rest)
        return self.words() if found is None else found

    def command(self) -> Command:
        found = _json_list(self.rest)
        if found is not None:
            return Command(tuple(found), shell=False)
        return Command((self.rest,), shell=True, heredocs=self.line.heredocs)


def _take_flags(source: Source, line: LogicalLine, escape: str) -> tuple[dict[str, list[str]], str]:
    flags: dict[str, list[str]] = {}
    known = FLAGS.get(line.keyword, ())
    rest = line.rest
    if line.keyword not in FLAGS:
        return flags, rest
    while rest.startswith("--"):
        word = _first_word(rest, escape)
        match = _FLAG.match(word)
        if match is None:
            break
        name, value = match.group(1), match.group(2)
        if name not in known:
            raise source.error(
                line.first,
                f"unknown flag: --{name}",
                suggest(name, known) or f"{line.keyword} knows {', '.join('--' + k for k in known)}",
            )
        if name in flags and name not in REPEATED_FLAGS:
            raise source.error(line.first, f"duplicate flag specified: --{name}")
        if value is None and name not in ("link", "parents", "keep-git-dir", "unpack"):
            raise source.error(line.first, f"flag --{name} needs a value: --{name}=VALUE")
        flags.setdefault(name, []).append("true" if value is None else _unquote(value))
        rest = rest[len(word) :].lstrip()
    return flags, rest


def _first_word(text: str, escape: str) -> str:
    words = split_words(text, escape)
    return words[0] if words else ""


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _json_list(text: str) -> list[str] | None:
    """Return the items of an exec form, None when the text is no JSON list of strings (then it is shell form)."""
    if not text.lstrip().startswith("["):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else None


# --- readers -------------------------------------------------------------------------------------------------------


def _read_from(r: _Reading) -> Instruction:
    words = r.words()
    if len(words) == 1:
        return From(image=words[0], platform=r.flag("platform"), text=r.text, **r.place)
    if len(words) != 3 or words[1].upper() != "AS":
        raise r.error("FROM requires either one or three arguments", "FROM IMAGE [AS NAME]")
    name = words[2].lower()
    if not _STAGE_NAME.match(name):
        raise r.error(
            f"invalid name for build stage: {words[2]!r}", "a letter, then letters, digits, '-', '_' and '.'"
        )
    return From(image=words[0], name=name, platform=r.flag("platform"), text=r.text, **r.place)


def _read_run(r: _Reading) -> Instruction:
    return Run(
        command=r.command(),
        mounts=tuple(r.flags.get("mount", ())),
        network=r.flag("network"),
        security=r.flag("security"),
        text=r.text,
        **r.place,
    )


def _read_copy(r: _Reading) -> Instruction:
    words = r.list_or_words()
    if len(words) < 2:
        raise r.error(f"{r.line.keyword} requires at least two arguments", f"{r.line.keyword} SOURCE… TARGET")
    *sources, target = words
    inline = r.line.heredocs
    if inline:
        sources = [word for word in sources if not re.match(r"^\d*<<-?", word)]
    return Copy(
        sources=tuple(sources),
        target=target,
        is_add=r.line.keyword == "ADD",
        inline=inline,
        from_=r.flag("from"),
        chown=r.flag("chown"),
        chmod=r.flag("chmod"),
        link=r.switch("link"),
        parents=r.switch("parents"),
        exclude=tuple(r.flags.get("exclude", ())),
        checksum=r.flag("checksum"),
        keep_git_dir=r.switch("keep-git-dir"),
        unpack=r.switch("unpack") if "unpack" in r.flags else None,
        text=r.text,
        **r.place,
    )


def _pairs(r: _Reading, *, old_form: bool) -> tuple[tuple[str, str], ...]:
    words = r.words()
    if "=" not in words[0]:
        if not old_form or len(words) < 2:
            raise r.error(f"{r.line.keyword} must have two arguments", f"{r.line.keyword} NAME=VALUE …")
        return ((words[0], r.rest[len(words[0]) :].strip()),)
    pairs = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise r.error(
                f"Syntax error - can't find = in {word!r}. Must be of the form: name=value",
                "quote values with blanks",
            )
        if not name:
            raise r.error(f"{r.line.keyword} names can not be blank")
        pairs.append((name, value))
    return tuple(pairs)


def _read_env(r: _Reading) -> Instruction:
    return Env(pairs=_pairs(r, old_form=True), text=r.text, **r.place)


def _read_label(r: _Reading) -> Instruction:
    return Label(pairs=_pairs(r, old_form=True), text=r.text, **r.place)


def _read_arg(r: _Reading) -> Instruction:
    pairs: list[tuple[str, str | None]] = []
    for word in r.words():
        name, equals, value = word.partition("=")
        if not name:
            raise r.error("ARG names can not be blank")
        pairs.append((name, value if equals else None))
    return Arg(pairs=tuple(pairs), text=r.text, **r.place)


def _one(make: Callable[..., Instruction], field: str) -> Callable[[_Reading], Instruction]:
    def read(r: _Reading) -> Instruction:
        return make(**{field: r.rest}, text=r.text, **r.place)

    return read


def _read_expose(r: _Reading) -> Instruction:
    return Expose(ports=tuple(r.words()), text=r.text, **r.place)


def _read_volume(r: _Reading) -> Instruction:
    return Volume(paths=tuple(r.list_or_words()), text=r.text, **r.place)


def _read_cmd(r: _Reading) -> Instruction:
    return Cmd(command=r.command(), text=r.text, **r.place)


def _read_entrypoint(r: _Reading) -> Instruction:
    return Entrypoint(command=r.command(), text=r.text, **r.place)


def _read_shell(r: _Reading) -> Instruction:
    argv = _json_list(r.rest)
    if not argv:
        raise r.error("SHELL requires the arguments to be in JSON form", 'SHELL ["/bin/bash", "-c"]')
    return Shell(argv=tuple(argv), text=r.text, **r.place)


def _read_healthcheck(r: _Reading) -> Instruction:
    kind, _, rest = r.rest.partition(" ")
    if kind.upper() == "NONE":
        return HealthCheck(command=None, text=r.text, **r.place)
    if kind.upper() != "CMD":
        raise r.error(
            f"Unknown type {kind!r} in HEALTHCHECK",
            "HEALTHCHECK [--interval=…] CMD COMMAND, or HEALTHCHECK NONE",
        )
    argv = _json_list(rest)
    command = Command((rest.strip(),), shell=True) if argv is None else Command(tuple(argv), shell=False)
    return HealthCheck(
        command=command,
        interval=r.flag("interval"),
        timeout=r.flag("timeout"),
        start_period=r.flag("start-period"),
        start_interval=r.flag("start-interval"),
        retries=r.flag("retries"),
        text=r.text,
        **r.place,
    )


def _read_onbuild(r: _Reading) -> Instruction:
    word = r.rest.split()[0].upper()
    if word in ("ONBUILD", "FROM", "MAINTAINER"):
        raise r.error(f"{word} isn't allowed as an ONBUILD trigger")
    return OnBuild(instruction=r.rest, text=r.text, **r.place)


READERS: dict[str, Callable[[_Reading], Instruction]] = {
    "FROM": _read_from,
    "RUN": _read_run,
    "COPY": _read_copy,
    "ADD": _read_copy,
    "ENV": _read_env,
    "LABEL": _read_label,
    "ARG": _read_arg,
    "WORKDIR": _one(Workdir, "path"),
    "USER": _one(User, "user"),
    "EXPOSE": _read_expose,
    "VOLUME": _read_volume,
    "CMD": _read_cmd,
    "ENTRYPOINT": _read_entrypoint,
    "SHELL": _read_shell,
    "STOPSIGNAL": _one(StopSignal, "signal"),
    "HEALTHCHECK": _read_healthcheck,
    "ONBUILD": _read_onbuild,
    "MAINTAINER": _one(Maintainer, "name"),
}
