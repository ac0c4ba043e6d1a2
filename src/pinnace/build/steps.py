"""The steps of a build as values: what is to be done, with everything expanded. Made by `plan`, done by `execute`.

Invariant: a step holds all that its result depends on, but for the files below it and the files that it names.
"""

from __future__ import annotations

import msgspec

from pinnace.oci.config import ContainerConfig


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where an instruction stands, for errors and progress."""

    line: int
    text: str
    stage: str


class Inline(msgspec.Struct, frozen=True, kw_only=True):
    """A file whose contents stand in the Dockerfile."""

    name: str
    data: str


class Run(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Run a command. `env` holds the stage's variables and its ARGs; `argv` is final.

    `platform` is said only where it is not this machine's.
    `proxies` are further variables on which the result does not depend. `script` is the text of the file argv[0], if that
    is not in the image but stands in the Dockerfile.
    """

    place: Place
    argv: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    user: str
    proxies: tuple[str, ...] = ()
    network: str = ""
    script: str = ""
    platform: str = ""


class Copy(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Copy files. `stage` is the index of the stage they come from, -1 for the context; `image` a reference instead,
    of a `platform`.

    `target` is absolute; it ends with "/" when it is to be a folder.
    """

    place: Place
    sources: tuple[str, ...]
    target: str
    stage: int = -1
    image: str = ""
    inline: tuple[Inline, ...] = ()
    chown: str = ""
    chmod: str = ""
    unpack: bool = False
    exclude: tuple[str, ...] = ()
    platform: str = ""


class MakeDirectory(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Make the working directory, if it isn't there."""

    place: Place
    path: str
    user: str


class Configure(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Change the image's configuration only."""

    place: Place


Step = Run | Copy | MakeDirectory | Configure


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A step, and the configuration that the image has after it."""

    step: Step
    config: ContainerConfig


class StagePlan(msgspec.Struct, frozen=True, kw_only=True):
    """One stage. Its files begin as those of `base_stage` (an index), else of the image `base`, else empty.

    `platform` is what its base and its commands are made for, such as "linux/arm64".
    """

    index: int
    name: str
    place: Place
    base: str = ""
    base_stage: int = -1
    platform: str = ""
    base_config: ContainerConfig = ContainerConfig()
    author: str = ""
    steps: tuple[Planned, ...] = ()

    @property
    def label(self) -> str:
        """What people are shown: the name, else the number."""
        return self.name or str(self.index)

    @property
    def work(self) -> int:
        """How many steps do more than change the configuration."""
        return sum(not isinstance(planned.step, Configure) for planned in self.steps)

    @property
    def config(self) -> ContainerConfig:
        """The configuration at the stage's end."""
        return self.steps[-1].config if self.steps else self.base_config

    @property
    def needs(self) -> frozenset[int]:
        """The stages that this one is made from, by index."""
        copied = {p.step.stage for p in self.steps if isinstance(p.step, Copy) and p.step.stage >= 0}
        return frozenset(copied | ({self.base_stage} if self.base_stage >= 0 else set()))


class BuildPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The stages that the target needs, in an order in which each comes after what it needs."""

    stages: tuple[StagePlan, ...]
    target: int
    warnings: tuple[str, ...] = ()

    def stage(self, index: int) -> StagePlan:
        """Return a stage by its index in the Dockerfile."""
        return next(stage for stage in self.stages if stage.index == index)

    def describe(self) -> list[str]:
        """Return the plan as lines to read."""
        lines = []
        for stage in self.stages:
            lines.append(f"stage {stage.label} FROM {stage.place.text}")
            lines += [f"  {planned.step.place.line}: {planned.step.place.text}" for planned in stage.steps]
        return lines
