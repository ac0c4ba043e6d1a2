"""Listens to a build's news: passes on what a person sees, keeps what explains it. A doer, made by `builder` for each build.

Invariants: what was done is remembered however the build ends; what can't be remembered or looked at costs the explanation,
never the build.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections import defaultdict
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

import msgspec

from pinnace.base.errors import PinnaceError
from pinnace.build.explain import LayerWeight, StageLayers, render_report
from pinnace.build.footprints import Footprint, Memory, merge_listings, merge_memory, take_footprint
from pinnace.build.listing import Listing
from pinnace.build.progress import (
    Explained,
    Keyed,
    Listed,
    News,
    PlannedStage,
    PlanNews,
    Stacked,
    StepNews,
    Tell,
    Warned,
)
from pinnace.build.reasons import Outcome, explain_outcome
from pinnace.build.steps import BuildPlan, Configure
from pinnace.build.undo import finished
from pinnace.build.weigh import WeighedLayer, WeighJob, WeightFacts, weigh_stages
from pinnace.build.words import shorten
from pinnace.image.layers import Layer
from pinnace.image.store import ImageStore
from pinnace.oci.digest import Digest, chain_ids

log = logging.getLogger("pinnace.build")

SUFFIX = ".footprints"
T = TypeVar("T")


class Watch:
    """Hears one build. `folder` is where footprints are kept; `place` names the Dockerfile and its context."""

    def __init__(self, tell: Tell, images: ImageStore, folder: Path, place: str, *, no_cache: bool) -> None:
        self._tell = tell
        self._images = images
        self._file = (
            folder / f"{hashlib.sha256(place.encode(errors='surrogateescape')).hexdigest()[:32]}{SUFFIX}"
        )
        self._no_cache = no_cache
        self._keyed: dict[str, Keyed] = {}
        self._listings: defaultdict[str, list[Listing]] = defaultdict(list)
        self._outcomes: dict[str, Outcome] = {}
        self._stacks: dict[str, Stacked] = {}
        self._warned: set[str] = set()

    def hear(self, news: News) -> None:
        """Take in what is for the explanation; pass on the rest."""
        match news:
            case Keyed():
                self._keyed[news.id] = news
            case Listed():
                self._listings[news.id].append(news.listing)
            case Stacked():
                self._stacks[news.stage] = news
            case Warned() if news.text in self._warned:
                pass  # two stages with one line: it is said once
            case _:
                if isinstance(news, StepNews) and news.state in ("cached", "done", "failed"):
                    self._take_outcome(news)
                if isinstance(news, Warned):
                    self._warned.add(news.text)
                self._tell(news)

    def _take_outcome(self, news: StepNews) -> None:
        keyed = self._keyed.get(news.id)
        if keyed is not None:
            footprint = take_footprint(keyed, merge_listings(self._listings[news.id]))
            seconds = news.saved if news.state == "cached" else news.seconds
            self._outcomes[news.id] = Outcome(footprint, news.state, seconds)

    def _tell_plan(self, plan: BuildPlan) -> None:
        """Say what is going to be done."""
        stages = tuple(
            PlannedStage(
                name=stage.label,
                steps=tuple(p.step.place.text for p in stage.steps if not isinstance(p.step, Configure)),
            )
            for stage in plan.stages
        )
        self._tell(PlanNews(stages=stages))

    async def follow(self, plan: BuildPlan, build: Awaitable[T], *, explain: bool) -> T:
        """Tell the plan, await the build that is told to `hear`, and return what it returned. Raises: what it raises."""
        self._tell_plan(plan)
        try:
            built = await build
        except BaseException as error:
            is_told = explain and isinstance(error, PinnaceError)
            await finished(self._finish(plan, explain=is_told, is_done=False))
            raise
        await self._finish(plan, explain=explain, is_done=True)
        return built

    async def _finish(self, plan: BuildPlan, *, explain: bool, is_done: bool) -> None:
        """Remember what was done; say why, and what it weighs, if that was asked for."""
        try:
            before = await asyncio.to_thread(self._load)
            if explain:
                self._tell(Explained(lines=await self._explain(plan, before, is_done=is_done)))
            done = [
                self._at_rest(o.footprint, before) for o in self._outcomes.values() if o.state != "failed"
            ]
            after = merge_memory(before, done, self._makers(plan))
            if after != before:
                await asyncio.to_thread(self._save, after)
            else:
                await asyncio.to_thread(self._file.touch)  # what is in use is not forgotten
        except (OSError, PinnaceError) as error:
            log.warning("explaining a build: %s", error)

    # --- memory ------------------------------------------------------------------------------------------------------

    def _load(self) -> Memory:
        try:
            return msgspec.msgpack.decode(self._file.read_bytes(), type=Memory)
        except (OSError, msgspec.MsgspecError):
            return Memory()

    def _save(self, memory: Memory) -> None:
        temporary = self._file.with_suffix(f".{os.getpid()}.{id(self):x}.tmp")
        try:
            temporary.write_bytes(msgspec.msgpack.encode(memory))
            os.replace(temporary, self._file)
        finally:
            temporary.unlink(missing_ok=True)

    @staticmethod
    def _at_rest(step: Footprint, before: Memory) -> Footprint:
        """A step whose files' digest was known from layers has no list: the one of the same contents is kept."""
        if step.listing is not None or not step.content:
            return step
        known = (one.listing for one in before.steps if one.content == step.content)
        return msgspec.structs.replace(step, listing=next(known, None))

    def _makers(self, plan: BuildPlan) -> dict[str, str]:
        """Return what made each layer, as it is told: "[stage 2] RUN …", or the base image."""
        makers: dict[str, str] = {}
        for stage in plan.stages:
            below: tuple[str, ...] = ()
            text = f"the base {stage.base}" if stage.base else ""
            steps = {id: o.footprint for id, o in self._outcomes.items() if o.footprint.stage == stage.label}
            for id, step in sorted(steps.items(), key=lambda one: one[1].number):
                under = self._keyed[id].stack or step.below
                new = under[len(below) :] if under[: len(below)] == below else ()
                makers |= {layer: text for layer in new if text and layer not in makers}
                below, text = under, f"[{step.stage} {step.number}] {shorten(step.text)}"
            stack = self._stacks.get(stage.label)
            if stack is not None and text:
                makers |= {layer: text for layer in stack.layers[len(below) :] if layer not in makers}
        return makers

    # --- the explanation ---------------------------------------------------------------------------------------------

    async def _explain(self, plan: BuildPlan, before: Memory, *, is_done: bool) -> tuple[str, ...]:
        makers = self._makers(plan)
        order = {stage.label: number for number, stage in enumerate(plan.stages)}
        outcomes = sorted(
            self._outcomes.values(), key=lambda o: (order.get(o.footprint.stage, 0), o.footprint.number)
        )
        texts = frozenset(o.footprint.text for o in outcomes)
        reasons = [
            (
                outcome,
                explain_outcome(
                    outcome, before, texts, makers, no_cache=self._no_cache, is_first=not before.steps
                ),
            )
            for outcome in outcomes
        ]
        if not is_done:
            return render_report(reasons, (), None, plan)
        stages, jobs = self._stages(plan)
        weights: WeightFacts = await self._images.workers.call(weigh_stages, WeighJob(stages=jobs))
        return render_report(reasons, stages, weights, plan)

    def _stages(
        self, plan: BuildPlan
    ) -> tuple[tuple[StageLayers, ...], tuple[tuple[str, tuple[WeighedLayer, ...]], ...]]:
        """Return the stages' layers as they are shown and as they are weighed; the target is last."""
        makers = self._makers(plan)
        shown, jobs = [], []
        for stage in sorted(plan.stages, key=lambda one: one.index == plan.target):
            stack = self._stacks[stage.label]
            base = plan.stage(stage.base_stage).label if stage.base_stage >= 0 else stage.base
            base = f"stage {base}" if stage.base_stage >= 0 else base
            layers, weighed = [], []
            for number, layer in enumerate(self._layers(stack.layers)):
                text, is_base = makers.get(stack.layers[number], ""), number < stack.base
                text = text.partition("] ")[2] or text
                layers.append(LayerWeight(text, layer.size if layer else 0, is_base))
                tree = str(self._images.layers.tree(layer)) if layer else ""
                weighed.append(WeighedLayer(tree=tree, text=text, is_base=is_base))
            shown.append(StageLayers(stage.label, base, tuple(layers)))
            jobs.append((stage.label, tuple(weighed)))
        return tuple(shown), tuple(jobs)

    def _layers(self, names: tuple[str, ...]) -> list[Layer | None]:
        diff_ids = [Digest(name) for name in names]
        return [
            self._images.layers.find(diff_id, chain)
            for diff_id, chain in zip(diff_ids, chain_ids(diff_ids), strict=True)
        ]
