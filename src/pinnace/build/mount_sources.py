"""Where the binds of a RUN take their files from: layers of stages and images as they are, folders by way of a layer.

Used by `run`. What lies in a folder is copied into a layer first, which is remembered by its content: so the files belong to
root whoever owns them outside, what the ignore file hides isn't there, nothing changes while the command runs, and the next
build finds it copied already.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from pinnace.build.mount_plan import CONTENT_PATH
from pinnace.build.origins import Origins
from pinnace.build.plies import Plies
from pinnace.build.progress import StepNews
from pinnace.build.run_mounts import MountSource
from pinnace.build.sources import CopySource
from pinnace.build.steps import Copy, Run
from pinnace.image.layers import Layer

WHOLE = ("/",)


@dataclass(frozen=True, slots=True)
class OpenMount:
    """One mount that shows files. `plies` are the layers that have them; None for a folder. `key` names the content."""

    place: int
    content: Copy
    source: CopySource
    plies: Plies | None
    key: str


async def open_mounts(
    step: Run, news: StepNews, origins: Origins, stack: AsyncExitStack
) -> tuple[OpenMount, ...]:
    """Return the mounts of a command that show files, with what they show; `stack` ends them. Raises: UserError, HostError."""
    found = []
    for place, mount in enumerate(step.mounts):
        if mount.content is None:
            continue
        source = await origins.open_source(mount.content, stack)
        plies = await origins.find_plies(mount.content)
        if plies is not None and mount.content.sources == WHOLE:
            key = _digest([ply.diff_id for ply in plies])  # a whole root filesystem need not be read for that
        else:
            key = await source.digest(news)
        found.append(OpenMount(place, mount.content, source, plies, key))
    return tuple(found)


def compute_content(mounts: Sequence[OpenMount]) -> str:
    """Return what the cache key of a command says of the files that it is shown."""
    return _digest([[mount.place, mount.key] for mount in mounts]) if mounts else ""


async def bring_sources(
    mounts: Sequence[OpenMount],
    bring: Callable[[Plies], Awaitable[tuple[Layer, ...]]],
    snapshot: Callable[[OpenMount], Awaitable[Layer]],
) -> dict[int, MountSource]:
    """Return the layers to mount, by the mounts' places; what is away is brought in, folders are copied."""
    sources = {}
    for mount in mounts:
        if mount.plies is None:
            source = MountSource((await snapshot(mount),), CONTENT_PATH, mount.key)
        else:
            source = MountSource(await bring(mount.plies), _plain(mount.content), mount.key)
        sources[mount.place] = source
    return sources


def _plain(content: Copy) -> str:
    """Return the path that a content means; its source is written as a pattern without wildcards."""
    return "".join(_unescaped(str(content.sources[0])))


def _unescaped(pattern: str) -> list[str]:
    chars = iter(pattern)
    return [next(chars, "") if char == "\\" else char for char in chars]


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
