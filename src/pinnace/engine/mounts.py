"""Reads `-v`, `--mount` and `--tmpfs`, and joins them with the image's volumes. Pure: looks at no path.

Source: moby, volume/mounts/linux_parser.go (ParseMountRaw); docker/cli, opts/mount.go.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from pinnace.base.errors import UserError
from pinnace.engine.names import check_name
from pinnace.kube.objects.pinnace_v1 import ContainerMount

# z, Z relabel for SELinux and are accepted there; consistency words come from Docker Desktop and mean nothing on Linux.
_IGNORED = frozenset(("z", "Z", "nocopy", "consistent", "cached", "delegated"))
_PROPAGATION = frozenset(("shared", "slave", "private", "rshared", "rslave", "rprivate"))
_VOLUME_HOW = "-v NAME:/path, -v /host/path:/path[:ro], or -v /path"


def parse_volume(text: str) -> ContainerMount:
    """Return the mount of one `-v`. Raises: UserError.

    Example: "data:/var/lib" is a named volume, "/srv:/srv:ro" a folder of the host, "/cache" a volume without a name.
    """
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise UserError(f"invalid volume specification: {text!r}", _VOLUME_HOW)
    if len(parts) == 1:
        return ContainerMount(type="volume", target=_check_target(parts[0], text))
    source, target = parts[0], _check_target(parts[1], text)
    read_only, options = _parse_options(parts[2] if len(parts) == 3 else "", text)
    if source.startswith("/"):
        return ContainerMount(
            type="bind",
            source=posixpath.normpath(source),
            target=target,
            read_only=read_only,
            options=options,
        )
    if "/" in source:
        raise UserError(
            f"{text!r} includes invalid characters for a local volume name", "a path must be absolute"
        )
    return ContainerMount(
        type="volume", source=check_name(source, "volume"), target=target, read_only=read_only
    )


def parse_mount(text: str) -> ContainerMount:
    """Return the mount of one `--mount`. Raises: UserError.

    Example: "type=bind,source=/srv,target=/srv,readonly".
    """
    values: dict[str, str] = {}
    aliases = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
    for part in text.split(","):
        key, equal, value = part.partition("=")
        values[aliases.get(key.strip().lower(), key.strip().lower())] = value if equal else "true"
    unknown = set(values) - {
        "type",
        "source",
        "target",
        "readonly",
        "bind-propagation",
        "volume-nocopy",
        "tmpfs-size",
        "tmpfs-mode",
    }
    if unknown:
        raise UserError(
            f"unexpected key {min(unknown)!r} in mount {text!r}", "type, source, target, readonly, …"
        )
    kind = values.get("type", "volume")
    if kind not in ("bind", "volume", "tmpfs"):
        raise UserError(f"mount type {kind!r} is unknown", "bind, volume or tmpfs")
    source, target = values.get("source", ""), _check_target(values.get("target", ""), text)
    read_only = values.get("readonly", "false").lower() in ("true", "1")
    options: tuple[str, ...] = ()
    if kind == "bind":
        if not source.startswith("/"):
            raise UserError(
                f"invalid mount {text!r}: a bind mount needs an absolute source", "source=/host/path"
            )
        if propagation := values.get("bind-propagation", ""):
            options = _parse_options(propagation, text)[1]
    elif kind == "volume":
        source = check_name(source, "volume") if source else ""
    else:
        source = ""
        options = tuple(
            f"{name}={values[key]}"
            for key, name in (("tmpfs-size", "size"), ("tmpfs-mode", "mode"))
            if key in values
        )
    # Unlike -v, --mount doesn't make a missing folder of the host.
    more = ("must-exist",) if kind == "bind" else ()
    return ContainerMount(
        type=kind, source=source, target=target, read_only=read_only, options=(*options, *more)
    )


def parse_tmpfs(text: str) -> ContainerMount:
    """Return the mount of one `--tmpfs`. Example: "/run:size=64m,mode=755". Raises: UserError."""
    target, _, options = text.partition(":")
    given = tuple(option for option in options.split(",") if option)
    return ContainerMount(type="tmpfs", target=_check_target(target, text), options=given)


def join_mounts(given: Iterable[ContainerMount], image_volumes: Iterable[str]) -> tuple[ContainerMount, ...]:
    """Return all mounts: those given, and a volume without a name for each of the image's that no other covers.

    Raises: UserError when two have one target.
    """
    mounts = list(given)
    targets: set[str] = set()
    for mount in mounts:
        if mount.target in targets:
            raise UserError(f"Duplicate mount point: {mount.target}", "mount one thing at one path")
        targets.add(mount.target)
    extra = [posixpath.normpath(path) for path in sorted(image_volumes)]
    mounts += [ContainerMount(type="volume", target=path) for path in extra if path not in targets]
    return tuple(mounts)


def _check_target(target: str, whole: str) -> str:
    if not target.startswith("/"):
        raise UserError(f"invalid mount {whole!r}: mount path must be absolute", _VOLUME_HOW)
    normal = posixpath.normpath(target)
    normal = normal.removeprefix("/") if normal.startswith("//") else normal
    if normal == "/":
        raise UserError(f"invalid mount {whole!r}: destination can't be '/'", _VOLUME_HOW)
    return normal


def _parse_options(text: str, whole: str) -> tuple[bool, tuple[str, ...]]:
    read_only, options = False, []
    for option in text.split(",") if text else ():
        if option in ("ro", "rw"):
            read_only = option == "ro"
        elif option in _PROPAGATION:
            options.append(option)
        elif option not in _IGNORED:
            raise UserError(f"invalid mode {option!r} in {whole!r}", "ro or rw")
    return read_only, tuple(options)
