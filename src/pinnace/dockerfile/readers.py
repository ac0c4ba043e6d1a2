"""Reads one logical line into its instruction: one reader for each, in the table `READERS`.

Pure. Called by `parse`. Source: BuildKit, frontend/dockerfile/instructions/parse.go and bflag.go (behaviour).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
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
from pinnace.dockerfile.lines import LogicalLine, parse_heredoc, split_keyword
from pinnace.dockerfile.mounts import MountError, check_mount
from pinnace.dockerfile.source import Source, suggest
from pinnace.dockerfile.words import split_blanks, split_words, take_flags

_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*")


def read_instruction(source: Source, line: LogicalLine, escape: str) -> Instruction:
    """Return one instruction. Raises: UserError, on the line."""
    reader = READERS.get(line.keyword)
    if reader is None:
        raise source.error(
            line.first,
            f"unknown instruction: {line.keyword}",
            suggest(line.keyword, READERS) or "a line that goes on needs \\ at the end of the one before",
            mark=line.keyword,
        )
    words, rest = take_flags(line.rest, escape)
    flags = _read_flags(source, line, words)
    if not rest and line.keyword not in ("CMD", "ENTRYPOINT"):
        raise source.error(line.first, f"{line.keyword} requires at least one argument", USAGE[line.keyword])
    return reader(_Reading(source, line, escape, flags, rest))


FLAGS: dict[str, tuple[str, ...]] = {
    "FROM": ("platform",),
    "RUN": ("mount", "network", "security", "device"),
    "COPY": ("from", "chown", "chmod", "link", "parents", "exclude"),
    "ADD": ("chown", "chmod", "link", "exclude", "checksum", "keep-git-dir", "unpack"),
    "HEALTHCHECK": ("interval", "timeout", "start-period", "start-interval", "retries"),
}
REPEATED_FLAGS = ("mount", "exclude", "device")
SWITCHES = ("link", "parents", "keep-git-dir", "unpack")
NETWORKS = ("default", "none", "host")
SECURITIES = ("sandbox", "insecure")

# What is told when an instruction has nothing to work on.
USAGE = {
    "FROM": "FROM IMAGE [AS NAME]",
    "RUN": "RUN COMMAND",
    "COPY": "COPY SOURCE… TARGET",
    "ADD": "ADD SOURCE… TARGET",
    "ENV": "ENV NAME=VALUE …",
    "LABEL": "LABEL NAME=VALUE …",
    "ARG": "ARG NAME[=DEFAULT] …",
    "WORKDIR": "WORKDIR PATH",
    "USER": "USER NAME[:GROUP]",
    "EXPOSE": "EXPOSE PORT[/PROTOCOL] …",
    "VOLUME": "VOLUME PATH …",
    "SHELL": 'SHELL ["/bin/bash", "-c"]',
    "STOPSIGNAL": "STOPSIGNAL SIGNAL",
    "HEALTHCHECK": "HEALTHCHECK [--interval=…] CMD COMMAND, or HEALTHCHECK NONE",
    "ONBUILD": "ONBUILD INSTRUCTION",
    "MAINTAINER": "MAINTAINER NAME",
}


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
        return self.flag(name).lower() == "true"

    def error(self, message: str, hint: str = "", *, mark: str = "") -> Exception:
        return self.source.error(self.line.first, message, hint, mark=mark)

    @property
    def place(self) -> dict[str, Any]:
        return {"line": self.line.first, "last_line": self.line.last}

    @property
    def text(self) -> str:
        return f"{self.line.keyword} {self.line.rest}".strip()

    def words(self) -> list[str]:
        return split_words(self.rest, self.escape)

    def json_list(self, text: str) -> list[str] | None:
        """Return the items of a JSON list; None when the text is none."""
        found = _json_list(text)
        if found is not None and not all(isinstance(item, str) for item in found):
            raise self.error(
                "when using JSON array syntax, arrays must be comprised of strings only",
                "put every item into double quotes",
            )
        return found

    def list_or_words(self) -> list[str]:
        found = self.json_list(self.rest)
        return split_blanks(self.rest) if found is None else found

    def command(self, text: str) -> Command:
        found = self.json_list(text)
        if found is not None:
            return Command(tuple(found), shell=False)
        return Command((text,), shell=True, heredocs=self.line.heredocs)


def _read_flags(source: Source, line: LogicalLine, words: list[str]) -> dict[str, list[str]]:
    flags: dict[str, list[str]] = {}
    known = FLAGS.get(line.keyword, ())
    for word in words:
        name, equals, value = word[2:].partition("=")
        if name not in known:
            among = f"{line.keyword} knows {', '.join('--' + k for k in known)}" if known else ""
            hint = (
                suggest(f"--{name}", [f"--{k}" for k in known]) or among or f"{line.keyword} takes no flags"
            )
            raise source.error(line.first, f"unknown flag: --{name}", hint, mark=f"--{name}")
        if name in flags and name not in REPEATED_FLAGS:
            raise source.error(line.first, f"duplicate flag specified: --{name}", "give it once", mark=word)
        if name in SWITCHES:
            value = value if equals else "true"
            if value.lower() not in ("true", "false"):
                raise source.error(
                    line.first,
                    f"expecting boolean value for flag --{name}, not: {value}",
                    "true or false",
                    mark=word,
                )
        elif not equals:
            raise source.error(line.first, f"missing a value on flag: --{name}", f"--{name}=VALUE", mark=word)
        flags.setdefault(name, []).append(value)
    return flags


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)  # NaN and the like are no JSON, whatever Python's reader says


def _json_list(text: str) -> list[Any] | None:
    """Return the items of a JSON list, None when the text is none (then it is shell form)."""
    if not text.lstrip().startswith("["):
        return None
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    return [_well_formed(item) for item in value] if isinstance(value, list) else None


def _well_formed(item: Any) -> Any:
    """Half a surrogate pair is no character: it becomes U+FFFD, as in Go."""
    if not isinstance(item, str):
        return item
    return item.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _read_from(r: _Reading) -> Instruction:
    words = split_blanks(r.rest)
    if len(words) == 1:
        return From(image=words[0], platform=r.flag("platform"), text=r.text, **r.place)
    if len(words) != 3 or words[1].upper() != "AS":
        raise r.error("FROM requires either one or three arguments", USAGE["FROM"])
    name = words[2].lower()
    if not _STAGE_NAME.fullmatch(name):
        raise r.error(
            f"invalid name for build stage: {words[2]!r}",
            "a letter, then letters, digits, '-', '_' and '.'",
            mark=words[2],
        )
    return From(image=words[0], name=name, platform=r.flag("platform"), text=r.text, **r.place)


def _read_run(r: _Reading) -> Instruction:
    command = r.command(r.rest)
    if not command.argv:
        raise r.error("RUN requires at least one argument", USAGE["RUN"])
    mounts = tuple(r.flags.get("mount", ()))
    try:
        for mount in mounts:
            check_mount(mount)
    except MountError as error:
        raise r.error(str(error), error.hint) from None
    network, security = r.flag("network") or "default", r.flag("security") or "sandbox"
    if network not in NETWORKS:
        raise r.error(
            f'invalid network mode "{network}"', suggest(network, NETWORKS) or "default, none or host"
        )
    if security not in SECURITIES:
        raise r.error(f'security "{security}" is not valid', "sandbox or insecure")
    return Run(
        command=command,
        mounts=mounts,
        network=network,
        security=security,
        devices=tuple(r.flags.get("device", ())),
        text=r.text,
        **r.place,
    )


def _read_copy(r: _Reading) -> Instruction:
    words = r.list_or_words()
    if len(words) < 2:
        raise r.error(
            f"{r.line.keyword} requires at least two arguments, but only one was provided",
            USAGE[r.line.keyword],
        )
    *sources, target = words
    inline = r.line.heredocs
    if inline:
        if parse_heredoc(target) is not None:
            raise r.error(f"{r.line.keyword} cannot accept a heredoc as a destination", USAGE[r.line.keyword])
        sources = [word for word in sources if parse_heredoc(word) is None]
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


def _pairs(r: _Reading) -> tuple[tuple[str, str], ...]:
    keyword, words = r.line.keyword, r.words()
    if "=" not in words[0]:  # the old form: NAME VALUE
        name, *value = split_blanks(r.rest, 1)
        if not value:
            raise r.error(f"{keyword} must have two arguments", USAGE[keyword])
        return ((name, value[0]),)
    pairs = []
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise r.error(
                f"Syntax error - can't find = in {word!r}. Must be of the form: name=value",
                "quote values with blanks",
                mark=word,
            )
        if not name:
            raise r.error(f"{keyword} names can not be blank", USAGE[keyword])
        pairs.append((name, text))
    return tuple(pairs)


def _read_env(r: _Reading) -> Instruction:
    return Env(pairs=_pairs(r), text=r.text, **r.place)


def _read_label(r: _Reading) -> Instruction:
    return Label(pairs=_pairs(r), text=r.text, **r.place)


def _read_arg(r: _Reading) -> Instruction:
    pairs: list[tuple[str, str | None]] = []
    for word in r.words():
        name, equals, value = word.partition("=")
        if not name:
            raise r.error("ARG names can not be blank", USAGE["ARG"])
        pairs.append((name, value if equals else None))
    return Arg(pairs=tuple(pairs), text=r.text, **r.place)


def _one(make: Callable[..., Instruction], field: str) -> Callable[[_Reading], Instruction]:
    def read(r: _Reading) -> Instruction:
        return make(**{field: r.rest}, text=r.text, **r.place)

    return read


def _read_expose(r: _Reading) -> Instruction:
    return Expose(ports=tuple(split_blanks(r.rest)), text=r.text, **r.place)


def _read_volume(r: _Reading) -> Instruction:
    paths = tuple(path.strip() for path in r.list_or_words())
    if not all(paths):
        raise r.error("VOLUME specified can not be an empty string", USAGE["VOLUME"])
    return Volume(paths=paths, text=r.text, **r.place)


def _read_cmd(r: _Reading) -> Instruction:
    return Cmd(command=r.command(r.rest), text=r.text, **r.place)


def _read_entrypoint(r: _Reading) -> Instruction:
    return Entrypoint(command=r.command(r.rest), text=r.text, **r.place)


def _read_shell(r: _Reading) -> Instruction:
    argv = r.json_list(r.rest)
    if not argv:
        raise r.error("SHELL requires the arguments to be in JSON form", USAGE["SHELL"])
    return Shell(argv=tuple(argv), text=r.text, **r.place)


def _read_healthcheck(r: _Reading) -> Instruction:
    kind, rest = [*r.rest.split(maxsplit=1), ""][:2]
    if kind.upper() == "NONE":
        if rest:
            raise r.error("HEALTHCHECK NONE takes no arguments", USAGE["HEALTHCHECK"])
        return HealthCheck(command=None, text=r.text, **r.place)
    if kind.upper() != "CMD":
        raise r.error(f"Unknown type {kind!r} in HEALTHCHECK (try CMD)", USAGE["HEALTHCHECK"])
    command = r.command(rest)
    if not command.argv or not command.argv[0]:
        raise r.error("Missing command after HEALTHCHECK CMD", USAGE["HEALTHCHECK"])
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
    """The trigger is kept as text, with its here-documents: it is read when an image is built on this one."""
    inner = replace(split_keyword(r.rest, r.line.first), last=r.line.last, heredocs=r.line.heredocs)
    if inner.keyword == "ONBUILD":
        raise r.error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", "write each as one ONBUILD")
    if inner.keyword in ("FROM", "MAINTAINER"):
        raise r.error(
            f"{inner.keyword} isn't allowed as an ONBUILD trigger", "another instruction, such as RUN"
        )
    read_instruction(r.source, inner, r.escape)  # what is wrong with it is told now, not to who builds on it
    text = r.rest + "".join(f"\n{heredoc.text}{heredoc.name}" for heredoc in r.line.heredocs)
    return OnBuild(instruction=text, text=r.text, **r.place)


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
