"""Decides what `pinnace build --explain` says: why steps were done, what stages and layers weigh, what could be smaller. Pure.

`watch` gathers the facts; `reasons` says why for one step; `weigh` looks into layers. Invariant: every number and every word
about files comes from facts: a sentence whose facts are not there is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pinnace.build.kinds_of_files import OTHER
from pinnace.build.reasons import Outcome
from pinnace.build.steps import BuildPlan, Copy, Run, StagePlan
from pinnace.build.weigh import Found, WeightFacts
from pinnace.build.words import count, render_bytes, shorten

BUILD_TOOLS = ("compilers", "headers and static libraries")
TOOLS_SHARE = 10  # a tenth of an image is worth a word
HINT_MIN_BYTES = 1_000_000
LAYERS_SHOWN = 12
NOT_TOLD_RATIO = 1.05  # an image that is hardly smaller than its largest stage is not called smaller


@dataclass(frozen=True, slots=True)
class LayerWeight:
    """One layer of a stage: what made it, its bytes; whether the stage began with it."""

    text: str
    size: int
    is_base: bool = False


@dataclass(frozen=True, slots=True)
class StageLayers:
    """A stage: its layers bottom first, and what it began with."""

    name: str
    base: str
    layers: tuple[LayerWeight, ...]

    @property
    def size(self) -> int:
        return sum(layer.size for layer in self.layers)


def render_report(
    reasons: Sequence[tuple[Outcome, str]],
    stages: Sequence[StageLayers],
    weights: WeightFacts | None,
    plan: BuildPlan,
) -> tuple[str, ...]:
    """Return the report as lines. `stages` and `weights` are empty when the build failed; the last stage is the image."""
    lines = list(_why(reasons))
    if stages and weights is not None:
        lines += ["", "weights:", *_weights(stages)]
        summary = summarize(stages, weights)
        lines += ["", summary] if summary else []
        lines += _largest(weights, stages[-1])
    hints = [*_hints(stages, weights), *find_busted_caches(plan)]
    if hints:
        lines += ["", "hints:", *(f"  {hint}" for hint in hints)]
    return tuple(lines)


def _why(reasons: Sequence[tuple[Outcome, str]]) -> Iterator[str]:
    yield "steps:"
    for outcome, why in reasons:
        step = outcome.footprint
        word = {"cached": "cached", "done": "done  ", "failed": "failed"}[outcome.state]
        yield f"  {word} [{step.stage} {step.number}] {shorten(step.text)}"
        yield f"         {why}"


def _weights(stages: Sequence[StageLayers]) -> Iterator[str]:
    for number, stage in enumerate(stages):
        word = "image" if number == len(stages) - 1 else "stage"
        yield f"  {word} {stage.name}: {render_bytes(stage.size)} in {count(len(stage.layers), 'layer')}"
        base = [layer for layer in stage.layers if layer.is_base]
        if base:
            size = render_bytes(sum(layer.size for layer in base))
            yield f"    {size:>8}  {stage.base} ({count(len(base), 'layer')})"
        own = [layer for layer in stage.layers if not layer.is_base]
        shown = sorted(own, key=lambda layer: -layer.size)[:LAYERS_SHOWN]
        for layer in own:
            if layer in shown:
                yield f"    {render_bytes(layer.size):>8}  {shorten(layer.text)}"
        if len(own) > LAYERS_SHOWN:
            yield f"    {len(own) - LAYERS_SHOWN} smaller layers"


def summarize(stages: Sequence[StageLayers], weights: WeightFacts) -> str:
    """Return the sentence about what stays behind; "" when there is one stage, or nothing to say.

    Example: "412 MB of compilers stay in the build stage; the image is 188 MB, 4.1 times smaller".
    """
    *others, image = stages
    if not others:
        return ""
    largest = max(others, key=lambda stage: stage.size)
    left = next((facts.left for facts in weights.stages if facts.name == largest.name), {})
    ratio = largest.size / image.size if image.size else 0.0
    smaller = f"the image is {render_bytes(image.size)}"
    smaller += f", {ratio:.1f} times smaller" if ratio >= NOT_TOLD_RATIO else ""
    if not left or sum(left.values()) < HINT_MIN_BYTES:
        return smaller if ratio >= NOT_TOLD_RATIO else ""
    kind, size = max(((k, s) for k, s in left.items() if k != OTHER), key=lambda one: one[1], default=("", 0))
    stage = f"the {largest.name} stage" if not largest.name.isdecimal() else f"stage {largest.name}"
    if not kind or size * 10 < sum(left.values()):  # nothing stands out
        return f"{render_bytes(sum(left.values()))} stay in {stage}; {smaller}"
    return f"{render_bytes(size)} of {kind} stay in {stage}; {smaller}"


def _largest(weights: WeightFacts, image: StageLayers) -> Iterator[str]:
    files = [one for one in weights.files if one[1] >= HINT_MIN_BYTES]
    if files:
        yield ""
        yield "largest files of the image:"
        for path, size, layer in files:
            yield f"    {render_bytes(size):>8}  /{path}  ({_layer(image, layer)})"
    folders = [one for one in weights.folders if one[1] >= HINT_MIN_BYTES]
    if folders:
        yield "largest folders of the image:"
        yield from (f"    {render_bytes(size):>8}  /{path}" for path, size in folders)
    if weights.is_partial:
        yield "(there are too many files: not all were looked at)"


def _hints(stages: Sequence[StageLayers], weights: WeightFacts | None) -> Iterator[str]:
    if weights is None or not stages:
        return
    image = stages[-1]
    yield from _build_tools(image, weights)
    for found in sorted(weights.found, key=lambda one: -one.size):
        if found.size >= HINT_MIN_BYTES:
            text = _hint(found, image)
            if text:
                yield text


def _build_tools(image: StageLayers, weights: WeightFacts) -> Iterator[str]:
    """Yield that the image has in it what only builds need, when that is a good part of it."""
    size = sum(weights.kinds.get(kind, 0) for kind in BUILD_TOOLS)
    if size >= HINT_MIN_BYTES and size * TOOLS_SHARE >= image.size:
        yield (
            f"{render_bytes(size)} of {' and '.join(BUILD_TOOLS)} are in the image, and only builds need them: install "
            "them in a stage of their own (FROM … AS builder), begin the last stage from a base without them, and take "
            "what it runs: COPY --from=builder …"
        )


def _hint(found: Found, image: StageLayers) -> str:
    size, layer = render_bytes(found.size), _layer(image, found.layer)
    if found.kind == "waste":
        return f"{size} of {found.what} stay in the layer of {layer}: {found.remedy}"
    by = _layer(image, found.other)
    if found.other >= 0 and image.layers[found.other].is_base:
        return ""  # how the base image came to be is not this Dockerfile's
    if found.kind == "removed":
        how = (
            "take a smaller base image"
            if image.layers[found.layer].is_base
            else "remove it in the step that makes it"
        )
        return f"{size} of the layer of {layer} are removed by {by}, and still weigh: {how}"
    if found.kind == "replaced":
        return f"{size} of the layer of {layer} are written again by {by}, and weigh twice: {_how_not_twice(image, found)}"
    return f"{size} are in the image twice: {found.what} (layers of {layer} and {by})"


def _how_not_twice(image: StageLayers, found: Found) -> str:
    text = image.layers[found.other].text
    if re.search(r"\bchown\b", text):
        return "COPY --chown=…, or chown in the step that makes the files"
    if re.search(r"\bchmod\b", text):
        return "COPY --chmod=…, or chmod in the step that makes the files"
    return "change files in the step that makes them"


def _layer(image: StageLayers, number: int) -> str:
    layer = image.layers[number]
    return f"the base {image.base}" if layer.is_base else shorten(layer.text, 40)


# --- what the plan alone says --------------------------------------------------------------------------------------------

# Commands that install what a few files name: those files should come first, alone.
INSTALLERS: tuple[tuple[str, str], ...] = (
    (r"\bpip3? install\b.*\s(?:-r\s*|--requirement[=\s]+)(\S+)", "{}"),
    (r"\bpip3? install (?:-e )?\.(?:\s|$)", "pyproject.toml"),
    (r"\b(?:poetry install|uv sync|pdm install)\b", "pyproject.toml and the lock file"),
    (
        r"\b(?:npm (?:ci|i|install)|yarn(?: install)?|pnpm (?:i|install))\b(?! (?:-g|--global))",
        "package.json and the lock file",
    ),
    (r"\bgo mod download\b", "go.mod go.sum"),
    (r"\bbundle install\b", "Gemfile Gemfile.lock"),
    (r"\bcomposer install\b", "composer.json composer.lock"),
    (r"\bmvn\b.*dependency:", "pom.xml"),
    (r"\bconda env (?:create|update)\b.*\s(?:-f\s*|--file[=\s]+)(\S+)", "{}"),
)


def find_busted_caches(plan: BuildPlan) -> Iterator[str]:
    """Yield a hint for each COPY of everything that stands before the installation of what only a few files name."""
    for stage in plan.stages:
        whole: Copy | None = None
        for planned in stage.steps:
            step = planned.step
            if isinstance(step, Copy) and _is_whole_context(step):
                whole = whole or step
            elif isinstance(step, Run) and whole is not None:
                names = _installs_from(step.place.text)
                if names and not _is_copied_before(stage, whole, names):
                    yield (
                        f"{shorten(whole.place.text, 40)} (line {whole.place.line}) stands before "
                        f"{shorten(step.place.text, 40)} (line {step.place.line}): any changed file installs everything anew; "
                        f"COPY {names} first, install, then COPY the rest"
                    )
                    break


def _is_whole_context(step: Copy) -> bool:
    return step.stage < 0 and not step.image and any(source in (".", "./", "/") for source in step.sources)


def _installs_from(text: str) -> str:
    for pattern, names in INSTALLERS:
        match = re.search(pattern, text, re.DOTALL)
        if match is not None:
            return names.replace("{}", match[1] if match.groups() and match[1] else "")
    return ""


def _is_copied_before(stage: StagePlan, whole: Copy, names: str) -> bool:
    """Say whether an earlier step has installed it already: then only what is left is installed again."""
    for planned in stage.steps:
        if planned.step is whole:
            return False
        if isinstance(planned.step, Run) and _installs_from(planned.step.place.text) == names:
            return True
    return False
