"""Applies `--change` instructions of import and commit to a configuration. Pure.

Source: docker import, docker commit ("--change": CMD|ENTRYPOINT|ENV|EXPOSE|LABEL|ONBUILD|USER|VOLUME|WORKDIR, and
STOPSIGNAL, HEALTHCHECK NONE, SHELL, which moby's builder takes too).
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from pinnace.base.errors import UserError
from pinnace.oci.config import ContainerConfig, HealthCheck

DEFAULT_SHELL = ("/bin/sh", "-c")
_PORT = re.compile(r"(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?")


def apply_changes(config: ContainerConfig, changes: Sequence[str]) -> ContainerConfig:
    """Return `config` after the instructions. Raises: UserError, with the instruction as the place.

    Example: CMD ["python", "app.py"] sets cmd to ("python", "app.py").
    """
    for change in changes:
        word, _, rest = change.strip().partition(" ")
        instruction = _INSTRUCTIONS.get(word.upper())
        if instruction is None:
            raise UserError(
                f"{word.upper() or change} is not a valid change",
                hint="one of " + ", ".join(sorted(_INSTRUCTIONS)),
                where=f"--change {change!r}",
            )
        if not rest.strip():
            raise UserError(f"{word.upper()} requires at least one argument", where=f"--change {change!r}")
        try:
            config = instruction(config, rest.strip())
        except ValueError as error:
            raise UserError(f"{word.upper()} can't be read: {error}", where=f"--change {change!r}") from error
    return config


def command(text: str, shell: Sequence[str] | None) -> tuple[str, ...]:
    """Return the exec form as it stands, or the shell form behind a shell."""
    if text.startswith("["):
        try:
            return msgspec.json.decode(text.encode(), type=tuple[str, ...])
        except msgspec.MsgspecError:
            pass  # Docker, too, takes it for the shell form then
    return (*(shell or DEFAULT_SHELL), text)


def pairs(text: str) -> list[tuple[str, str]]:
    """Return the pairs of `K=V K2="V 2"`, or of the old form `K V`. Raises: ValueError."""
    if "=" not in text.split(None, 1)[0]:
        name, _, value = text.partition(" ")
        if not value.strip():
            raise ValueError(f"{name} must have two arguments")
        return [(name, value.strip())]
    found = []
    for word in shlex.split(text):
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ValueError(f"{word!r} is not NAME=VALUE")
        found.append((name, value))
    return found


def merge_env(env: Sequence[str] | None, added: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Return `env` with variables set, each in its old place or at the end."""
    merged = dict(item.partition("=")[::2] for item in env or ())
    merged.update(added)
    return tuple(f"{name}={value}" for name, value in merged.items())


def ports(text: str) -> list[str]:
    """Return the ports of EXPOSE, each with its protocol. Raises: ValueError. Example: "80 53/udp" is ["80/tcp", "53/udp"]."""
    found = []
    for word in text.split():
        match = _PORT.fullmatch(word)
        first = int(match[1]) if match else 0
        last = int(match[2] or first) if match else 0
        if match is None or not 0 < first <= last <= 65535:
            raise ValueError(f"invalid containerPort: {word}")
        found += [f"{port}/{match[3] or 'tcp'}" for port in range(first, last + 1)]
    return found


def _paths(text: str) -> list[str]:
    if text.startswith("["):
        try:
            return list(msgspec.json.decode(text.encode(), type=tuple[str, ...]))
        except msgspec.MsgspecError:
            pass
    return text.split()


def _expose(config: ContainerConfig, text: str) -> ContainerConfig:
    return replace(
        config, exposed_ports={**(config.exposed_ports or {}), **{port: {} for port in ports(text)}}
    )


def _volume(config: ContainerConfig, text: str) -> ContainerConfig:
    return replace(config, volumes={**(config.volumes or {}), **{path: {} for path in _paths(text)}})


def _workdir(config: ContainerConfig, text: str) -> ContainerConfig:
    return replace(config, working_dir=posixpath.normpath(posixpath.join(config.working_dir or "/", text)))


def _entrypoint(config: ContainerConfig, text: str) -> ContainerConfig:
    return replace(config, entrypoint=command(text, config.shell))


def _healthcheck(config: ContainerConfig, text: str) -> ContainerConfig:
    if text.upper() == "NONE":
        return replace(config, healthcheck=HealthCheck(test=("NONE",)))
    kind, _, rest = text.partition(" ")
    if kind.upper() != "CMD" or not rest:
        raise ValueError("use NONE or CMD with a command; options belong into a Dockerfile")
    test: tuple[str, ...] = ("CMD-SHELL", rest)
    if rest.startswith("["):
        test = ("CMD", *command(rest, None))
    return replace(config, healthcheck=HealthCheck(test=test))


def _shell(config: ContainerConfig, text: str) -> ContainerConfig:
    try:
        return replace(config, shell=msgspec.json.decode(text.encode(), type=tuple[str, ...]))
    except msgspec.MsgspecError:
        raise ValueError("the arguments must be in JSON form") from None


_INSTRUCTIONS: dict[str, Callable[[ContainerConfig, str], Any]] = {
    "CMD": lambda config, text: replace(config, cmd=command(text, config.shell)),
    "ENTRYPOINT": _entrypoint,
    "ENV": lambda config, text: replace(config, env=merge_env(config.env, pairs(text))),
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": lambda config, text: replace(config, labels={**(config.labels or {}), **dict(pairs(text))}),
    "ONBUILD": lambda config, text: replace(config, on_build=(*(config.on_build or ()), text)),
    "SHELL": _shell,
    "STOPSIGNAL": lambda config, text: replace(config, stop_signal=text),
    "USER": lambda config, text: replace(config, user=text),
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
