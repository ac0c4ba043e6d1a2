"""Decides the cache key of a step: what it does, on which files, with which content. Pure.

The digest of a step's definition is not its key: the key also holds the content below it (the layers, which are named by
their content) and the content that it copies. So a touched file with the same bytes is a hit, and a layer that changed
below is a miss. Invariant: nothing that a person only sees (line numbers, stage names) is part of a key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from pinnace.build.steps import Configure, Copy, MakeDirectory, Run, RunMount, Step

VERSION = 2  # raised when a step's result changes though its definition does not


def compute_key(step: Step, below: Sequence[str], content: str = "", epoch: int | None = None) -> str:
    """Return the key of a step on the layers `below`; `content` is the digest of what a Copy copies.

    `epoch` is the time that no file of the step's layer is later than.
    """
    parts = [VERSION, list(below), content, _define(step), *([] if epoch is None else [epoch])]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def compute_selection_key(layers: Sequence[str], step: Copy) -> str:
    """Return the key of the digest of what a Copy takes from layers, which follows from these alone."""
    return hashlib.sha256(
        json.dumps(
            [VERSION, list(layers), list(map(str, step.sources)), step.exclude, *_flags(step)]
        ).encode()
    ).hexdigest()


def _define_mount(mount: RunMount) -> list[object]:
    """Which cache is mounted, and how it is shared, doesn't matter; nor does anything of a secret but how it is given."""
    name = mount.id if mount.type in ("secret", "ssh") else ""
    told = [mount.type, mount.target, mount.read_only, mount.folder, name, mount.size, mount.required]
    return [*told, mount.env, mount.mode, mount.uid, mount.gid]


def _define(step: Step) -> list[object]:
    match step:
        case Run():
            define: list[object] = [
                "run",
                step.argv,
                step.env,
                step.cwd,
                step.user,
                step.network,
                step.script,
            ]
            define += ["platform", step.platform] if step.platform else []
            define += ["mounts", *map(_define_mount, step.mounts)] if step.mounts else []
            define += ["hosts", *(name for name, _ in step.hosts)] if step.hosts else []
            define += ["hostname", step.hostname] if step.hostname else []
            return define + (["insecure"] if step.is_insecure else [])
        case Copy():
            inline = [(one.name, one.data) for one in step.inline]
            return [
                "copy",
                step.target,
                step.chown,
                step.chmod,
                step.unpack,
                inline,
                len(step.sources),
                *_flags(step),
            ]
        case MakeDirectory():
            return ["mkdir", step.path, step.user]
        case Configure():
            return ["configure"]


def _flags(step: Copy) -> list[str]:
    return [name for name, is_set in (("parents", step.parents), ("link", step.link)) if is_set]
