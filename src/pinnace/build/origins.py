"""Opens what the steps of one build take files from: the context, named ones, stages, images, addresses. A doer.

Made by `run` for a build. Nothing is read or mounted here: a part does that when it is asked (`sources`).
Invariant: what is mounted for a step goes with the step's exit stack.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from itertools import groupby
from pathlib import Path

from pinnace.base.chance import Chance
from pinnace.build.bases import Bases
from pinnace.build.contexts.opening import Contexts
from pinnace.build.execute import new_id
from pinnace.build.inputs import BuildRequest, Inputs
from pinnace.build.known import memory_path
from pinnace.build.memory import BuildMemory
from pinnace.build.platforms import parse_platform
from pinnace.build.plies import Plies, Shelf
from pinnace.build.progress import Tell
from pinnace.build.remote.fetching import Fetching, make_part
from pinnace.build.sources import CopySource, Folder, FolderPart, LayersPart, Part, Reader
from pinnace.build.stage_result import StageResult
from pinnace.build.steps import Copy
from pinnace.image.store import ImageStore


class Origins:
    """The places that one build copies from. `end_of_stage` waits for a stage: its label, and what it ended with.

    `context` is the main one; `here` this machine's architecture.
    """

    def __init__(
        self,
        images: ImageStore,
        chance: Chance,
        shelf: Shelf,
        memory: BuildMemory,
        bases: Bases,
        fetching: Fetching,
        contexts: Contexts,
        context: Folder,
        here: str,
        end_of_stage: Callable[[int], Awaitable[tuple[str, StageResult]]],
        tell: Tell,
    ) -> None:
        self._images = images
        self._chance = chance
        self._shelf = shelf
        self._memory = memory
        self._bases = bases
        self._fetching = fetching
        self._contexts = contexts
        self._context = context
        self._here = here
        self._end_of_stage = end_of_stage
        self._tell = tell

    async def open_source(self, step: Copy, stack: AsyncExitStack) -> CopySource:
        """Return all that a COPY or ADD takes, in its order. Raises: what a stage before it raised; UserError, HostError."""
        reader = Reader(self._images.workers, self._tell)
        parts: list[Part] = []
        for is_local, group in groupby(step.sources, lambda source: isinstance(source, str)):
            if is_local:
                parts.append(await self._local_part(reader, step, [str(one) for one in group], stack))
            else:
                parts += [
                    make_part(self._fetching, step, one, self._tell)
                    for one in group
                    if not isinstance(one, str)
                ]
        return CopySource(parts)

    async def find_plies(self, step: Copy) -> Plies | None:
        """Return the layers that have what a step takes; None when it lies in a folder."""
        if step.image:
            return self._bases.plies(step.image, parse_platform(step.platform, self._here))
        if step.stage >= 0:
            return (await self._end_of_stage(step.stage))[1].layers
        return None

    async def _local_part(
        self, reader: Reader, step: Copy, sources: Sequence[str], stack: AsyncExitStack
    ) -> Part:
        plies = await self.find_plies(step)
        if plies is None:
            folder = await self._contexts.folder(step.context) if step.context else self._context
            return FolderPart(reader, step, sources, folder)
        label = "" if step.image else (await self._end_of_stage(step.stage))[0]
        what = f"image {step.image}" if step.image else f"stage {label}"

        async def mount(until: AsyncExitStack) -> Path:
            name = new_id(self._chance)
            until.push_async_callback(self._images.release, name)
            layers = await self._shelf.bring(plies)
            return (await self._images.mount_stack(layers, name, read_only=True)).path

        keys = [ply.diff_id for ply in plies]
        return LayersPart(reader, self._memory, step, sources, what, keys, mount, stack)


def main_context(request: BuildRequest, inputs: Inputs, files: Path, *, is_fixed: bool) -> Folder:
    """Return the build context as a place to copy from; one that is not `is_fixed` is a person's own folder."""
    return Folder(
        request.context,
        "the build context",
        inputs.ignore,
        inputs.ignore_name,
        "" if is_fixed else str(memory_path(files, request.context)),
        is_fixed=is_fixed,
        shown="" if is_fixed else str(request.context),
        beside="" if is_fixed else str(request.dockerfile.parent),
    )
