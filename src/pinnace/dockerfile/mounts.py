"""Reads the value of a `RUN --mount=…` flag: its keys, their defaults, and what a type allows.

Pure. Called by `readers` when a Dockerfile is read (variables are not known yet, so only what needs none is looked at) and
by `build/` when a stage is planned (`expand` replaces variables in values).
Source: BuildKit, frontend/dockerfile/instructions/commands_runmount.go (behaviour and words).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from pinnace.dockerfile.source import suggest

TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
SHARINGS = ("shared", "private", "locked")
KEYS = (
    *("type", "from", "source", "src", "target", "dst", "destination", "readonly", "ro", "readwrite", "rw"),
    *("required", "size", "id", "sharing", "mode", "uid", "gid", "env"),
)
SWITCHES = ("readonly", "ro", "readwrite", "rw", "required")
WITH_OWNER = ("secret", "ssh", "cache")  # types that take mode, uid and gid
# Source: Go, strconv.ParseBool.
TRUE, FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?", re.IGNORECASE)  # Source: docker/go-units, RAMInBytes
_POWERS = "bkmgtp"
_ID_MAX = (1 << 32) - 1

Expand = Callable[[str], str]


class MountError(ValueError):
    """A --mount that can't be read; `hint` says what to write."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class MountFlag:
    """One --mount. Texts are "" and numbers -1 where nothing was written. Units: bytes, of `size`."""

    type: str = "bind"
    from_: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = True
    size: int = 0
    id: str = ""
    sharing: str = ""
    required: bool = False
    env: str | None = None
    mode: int = -1
    uid: int = -1
    gid: int = -1

    @property
    def secret_id(self) -> str:
        """Return the id of the secret that a mount of that type means."""
        return self.source or self.id or self.target.rsplit("/", 1)[-1]

    @property
    def secret_target(self) -> str:
        """Return where a secret is put as a file; "" when it is only a variable."""
        if self.target or self.env is not None:
            return self.target
        return f"/run/secrets/{self.secret_id.rsplit('/', 1)[-1]}"


def check_mount(text: str) -> None:
    """Look at what can be seen before variables have values. Raises: MountError."""
    for field in _split(text):
        key, equals, value = field.partition("=")
        if key.lower() == "from" and equals and "$" in value[:-1]:
            raise MountError(
                "'from' doesn't support variable expansion, define alias stage instead",
                "FROM $IMAGE AS NAME, and from=NAME",
            )


def parse_mount(text: str, expand: Expand) -> MountFlag:
    """Return what a --mount says. Raises: MountError, and what `expand` raises.

    Example: "type=cache,target=/root/.cache" is a cache at /root/.cache that may be written to.
    """
    found: dict[str, object] = {}
    kind = "bind"
    for field in _split(text):
        written, equals, value = field.partition("=")
        key = written.lower()
        if not equals and key not in SWITCHES:
            raise MountError(f"invalid field '{field}' must be a key=value pair", f"{key}=VALUE")
        value = expand(value) if equals else "true"
        if key == "type":
            kind = value.lower()
            if kind not in TYPES:
                raise MountError(
                    f'unsupported mount type "{value}"', suggest(kind, TYPES) or ", ".join(TYPES)
                )
            found["type"] = kind
        else:
            _read_key(found, kind, key, value, field)
    return _finish(found, kind)


def _split(text: str) -> list[str]:
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise MountError(f"failed to parse csv mounts: {error}", "type=cache,target=/PATH") from None
    return rows[0] if rows else []


def _read_key(found: dict[str, object], kind: str, key: str, value: str, field: str) -> None:
    match key:
        case "from":
            found["from_"] = value
        case "source" | "src":
            found["source"] = value
        case "target" | "dst" | "destination":
            found["target"] = value
        case "readonly" | "ro":
            found["read_only"] = _switch(key, value)
        case "readwrite" | "rw":
            found["read_only"] = not _switch(key, value)
        case "required":
            _only_for(("secret", "ssh"), kind, key)
            found["required"] = _switch(key, value)
        case "size":
            _only_for(("tmpfs",), kind, key)
            found["size"] = _size(key, value)
        case "id" | "env":
            found[key] = value
        case "sharing":
            if value.lower() not in SHARINGS:
                hint = suggest(value.lower(), SHARINGS) or ", ".join(SHARINGS)
                raise MountError(f'unsupported sharing value "{value}"', hint)
            found["sharing"] = value.lower()
        case "mode" | "uid" | "gid":
            found[key] = _number(key, value, 8 if key == "mode" else 10)
        case _:
            raise MountError(f"unexpected key '{key}' in '{field}'", suggest(key, KEYS) or ", ".join(KEYS))


def _only_for(types: tuple[str, ...], kind: str, key: str) -> None:
    if kind not in types:
        raise MountError(
            f"unexpected key '{key}' for mount type '{kind}'",
            f"{key} is for {' and '.join(types)}; type= comes first",
        )


def _switch(key: str, value: str) -> bool:
    if value not in (*TRUE, *FALSE):
        raise MountError(f"invalid value for {key}: {value}", "true or false")
    return value in TRUE


def _size(key: str, value: str) -> int:
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise MountError(f"invalid value for {key}: {value}", "a number and b, k, m or g: 512m, 1.5g")
    return int(Decimal(match[1]) * 1024 ** _POWERS.index(match[2].lower() or "b"))


def _number(key: str, value: str, base: int) -> int:
    digits = "01234567" if base == 8 else "0123456789"
    if not value or set(value) - set(digits) or int(value, base) > _ID_MAX:
        raise MountError(f"invalid value {value} for {key}", "0755, for example" if base == 8 else "a number")
    return int(value, base)


def _finish(found: dict[str, object], kind: str) -> MountFlag:
    for key in ("mode", "uid", "gid"):
        if key in found and kind not in WITH_OWNER:
            raise MountError(f'{key} not allowed for "{kind}" type mounts', f"leave {key} out")
    found.setdefault("read_only", kind not in ("cache", "tmpfs"))
    mount = MountFlag(**found)  # type: ignore[arg-type]
    if kind == "secret":
        _check_secret(mount)
    if kind == "ssh" and mount.source:
        raise MountError("ssh does not support source", "id=NAME names the agent that --ssh gives")
    if mount.sharing and kind != "cache":
        raise MountError(f"invalid cache sharing set for {kind} mount", "sharing is for type=cache")
    return mount


def _check_secret(mount: MountFlag) -> None:
    if mount.from_:
        raise MountError("secret mount should not have a from", "id=NAME names the secret")
    if mount.sharing:
        raise MountError("secret mount should not define sharing", "leave sharing out")
    if not mount.source and not mount.target and not mount.id:
        raise MountError("invalid secret mount. one of source, target required", "id=NAME names the secret")
    if mount.source and mount.id:
        raise MountError("both source and id can't be set", "id=NAME is enough")
