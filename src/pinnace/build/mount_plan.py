"""Decides what one `RUN --mount` means for its command: where it is mounted, and which cache, secret or agent it names.

Pure; used by `stage_reader`. Source: BuildKit, frontend/dockerfile/dockerfile2llb/convert_runmount.go, convert_secrets.go,
convert_ssh.go (behaviour).
"""

from __future__ import annotations

import posixpath
import re

from msgspec.structs import replace

from pinnace.build.steps import Copy, RunMount
from pinnace.dockerfile.mounts import MountError, MountFlag

CONTENT_PATH = "/content"  # where what a bind shows stands in the layer that holds it
DEFAULT_AGENT = "default"


def plan_mount(flag: MountFlag, content: Copy | None, *, cwd: str, namespace: str = "") -> RunMount:
    """Return the mount. `content` says where a bind, or a cache with from=, takes its files from. Raises: MountError."""
    mount = RunMount(
        type=flag.type,
        target=_target(flag, cwd),
        read_only=flag.read_only,
        content=content,
        size=flag.size,
        required=flag.required,
        env=flag.env or "",
        mode=flag.mode,
        uid=flag.uid,
        gid=flag.gid,
    )
    match flag.type:
        case "secret":
            return replace(mount, id=flag.secret_id)
        case "ssh":
            return replace(mount, id=flag.id or DEFAULT_AGENT)
        case "cache":
            name = flag.id or posixpath.normpath(flag.target or ".")
            inside = "" if content is not None else posixpath.normpath("/" + flag.source).lstrip("/")
            return replace(mount, id=f"{namespace}/{name}", sharing=flag.sharing or "shared", folder=inside)
        case _:
            return mount


def escape_pattern(path: str) -> str:
    """Return a path as a source that has no wildcards. Example: "a*b" gives "a\\\\*b"."""
    return re.sub(r"([*?\[\\])", r"\\\1", path)


def _target(flag: MountFlag, cwd: str) -> str:
    """Return where it is mounted; a relative target is below the working directory, as is one that is not given."""
    written = flag.secret_target if flag.type == "secret" else flag.target
    if not written and flag.type in ("secret", "ssh"):
        return ""  # only a variable; or a place of its own for each agent
    target = posixpath.normpath(posixpath.join("/", cwd, written))
    target = "/" + target.lstrip("/")
    if target == "/":
        raise MountError(f'invalid mount target "{target}"', "target=/PATH")
    return target
