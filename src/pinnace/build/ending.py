"""What is done when all stages are: the image's configuration, its outputs, the caches that are wanted. A doer.

Called by `run`. Invariant: caches are written after the result is where it was wanted.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pinnace.base.times import render_micro_time
from pinnace.build.cache_document import compose, render_document
from pinnace.build.cache_export import CacheWriter
from pinnace.build.epoch import clamp_history
from pinnace.build.inputs import BuildRequest
from pinnace.build.memory import BuildMemory
from pinnace.build.outputs import Delivered
from pinnace.build.platforms import parse_platform
from pinnace.build.plies import Plies, Shelf
from pinnace.build.results import Results
from pinnace.build.stage_result import StageResult
from pinnace.build.steps import StagePlan
from pinnace.image.layers import Layer
from pinnace.oci.config import ImageConfig, RootFs
from pinnace.oci.digest import Digest


class Ending:
    """The end of one build."""

    def __init__(
        self, request: BuildRequest, shelf: Shelf, memory: BuildMemory, results: Results, writer: CacheWriter
    ) -> None:
        self._request = request
        self._shelf = shelf
        self._memory = memory
        self._results = results
        self._writer = writer

    async def deliver(self, target: StagePlan, result: StageResult) -> Delivered:
        """Bring the result where it is wanted. Raises: UserError, ApiError, HostError."""
        request = self._request
        platform = parse_platform(target.platform, request.options.architecture)
        layers = await self._shelf.bring(result.layers)
        epoch = request.options.epoch
        # a build that changed nothing gives the same image
        created = result.created if epoch is None else float(epoch)
        config = ImageConfig(
            created=render_micro_time(created),
            author=target.author,
            architecture=platform.architecture,
            variant=platform.variant,
            os=platform.os,
            config=target.config,
            rootfs=RootFs(),
            history=clamp_history(result.history, epoch),
            build_cache=self._inline_cache(result.layers),
        )
        return await self._results.deliver(
            config, layers, request.names, request.outputs, request.annotations
        )

    def _inline_cache(self, layers: Plies) -> msgspec.Raw | msgspec.UnsetType:
        if not any(place.type == "inline" for place in self._request.cache_to):
            return msgspec.UNSET
        made = self._memory.made([ply.diff_id for ply in layers])
        document, _ = compose(made, self._memory.digests, "min")
        return msgspec.Raw(render_document(document))

    async def keep(self, results: Mapping[int, StageResult], target: StagePlan) -> None:
        """Keep what came out of other caches, and write the caches that are wanted. Raises: PinnaceError."""
        request = self._request
        whole = any(place.mode == "max" for place in request.cache_to)
        layers: dict[Digest, Layer] = {}
        for index, result in results.items():
            found = await self._shelf.bring(result.layers) if whole or index == target.index else ()
            layers |= {layer.diff_id: layer for layer in found or self._shelf.present(result.layers)}
        await self._memory.adopt(layers)
        made = self._memory.made([ply.diff_id for ply in results[target.index].layers])
        await self._writer.write(request.cache_to, made, self._memory.digests, layers, len(request.outputs))
