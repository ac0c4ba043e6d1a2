"""What a build says while it goes, as values; `ownapi` sends them, the command prints them."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from pinnace.build.listing import Listing
from pinnace.build.steps import Step
from pinnace.image.registry.news import LayerNews


class StepNews(msgspec.Struct, frozen=True, kw_only=True, tag="step", tag_field="type"):
    """A step is "reading" what it copies, "running", "cached", "done" or "failed". `number` counts in its stage from 1.

    Units: bytes, of what was read or copied so far, and of the layer in the end; seconds, `saved` those that the cache saved.
    """

    id: str
    stage: str
    number: int
    total: int
    text: str
    state: str
    seconds: float = 0.0
    bytes: int = 0
    saved: float = 0.0


class PlannedStage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage that will be done, with its steps' texts in order (those that do more than change the configuration)."""

    name: str
    steps: tuple[str, ...]


class PlanNews(msgspec.Struct, frozen=True, kw_only=True, tag="plan", tag_field="type"):
    """What is going to be done; said once, before the first step."""

    stages: tuple[PlannedStage, ...]


class BaseNews(msgspec.Struct, frozen=True, kw_only=True, tag="base", tag_field="type"):
    """An image that a stage needs is looked up ("resolving"), comes from a registry ("pulling", with each layer's news), or
    is "done" or "failed". Said only when a registry is asked."""

    reference: str
    state: str
    layer: LayerNews | None = None
    seconds: float = 0.0


class Output(msgspec.Struct, frozen=True, kw_only=True, tag="output", tag_field="type"):
    """A command wrote something."""

    id: str
    text: str


class Warned(msgspec.Struct, frozen=True, kw_only=True, tag="warning", tag_field="type"):
    """Something that the person should know."""

    text: str


class Explained(msgspec.Struct, frozen=True, kw_only=True, tag="explained", tag_field="type"):
    """Why steps were done or not, and what the image weighs, as lines to read; said when it was asked for."""

    lines: tuple[str, ...]


class PushNews(msgspec.Struct, frozen=True, kw_only=True, tag="push", tag_field="type"):
    """The image is sent to a registry ("pushing", with each layer's news), or is there ("done"): `digest` is its manifest's."""

    reference: str
    state: str
    layer: LayerNews | None = None
    digest: str = ""
    seconds: float = 0.0


class Offered(msgspec.Struct, frozen=True, kw_only=True, tag="offered", tag_field="type"):
    """The command can take an output's bytes now; `output` counts those that it asked for, from 0."""

    output: int
    token: str


class StageWeight(msgspec.Struct, frozen=True, kw_only=True):
    """What a stage weighs with all that is below it. Units: bytes."""

    name: str
    size: int
    layers: int


class Built(msgspec.Struct, frozen=True, kw_only=True, tag="built", tag_field="type"):
    """The build is done. `manifest` is the digest of what was pushed or written to an archive."""

    image: str
    names: tuple[str, ...]
    seconds: float
    stages: tuple[StageWeight, ...]
    cached: int
    steps: int
    manifest: str = ""
    is_stored: bool = True


class Keyed(msgspec.Struct, frozen=True, kw_only=True, tag="keyed", tag_field="type"):
    """A step's cache key is known, and what it follows from: the step, the layers below (bottom first), what it reads.

    `stack` are all layers under it, also those that its result does not follow from (a --link's).
    This and the next two are heard by `watch` only, and never leave this room.
    """

    id: str
    stage: str
    number: int
    key: str
    step: Step
    below: tuple[str, ...]
    content: str
    stack: tuple[str, ...] = ()
    epoch: int | None = None


class Listed(msgspec.Struct, frozen=True, kw_only=True, tag="listed", tag_field="type"):
    """What a step takes from a folder or from layers; said once for each place."""

    id: str
    listing: Listing


class Stacked(msgspec.Struct, frozen=True, kw_only=True, tag="stacked", tag_field="type"):
    """A stage is done: its layers by diff id, bottom first, of which the first `base` are those that it began with."""

    stage: str
    layers: tuple[str, ...]
    base: int


News = (
    PlanNews
    | StepNews
    | BaseNews
    | PushNews
    | Offered
    | Output
    | Warned
    | Explained
    | Built
    | Keyed
    | Listed
    | Stacked
)
Tell = Callable[[News], None]
