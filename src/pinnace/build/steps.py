"""The steps of a build as values: what is to be done, with everything expanded. Made by `plan`, done by `execute`.

Invariant: a step holds all that its result depends on, but for the files below it and the files that it names.
"""

from __future__ import annotations

import msgspec

from pinnace.build.remote.addresses import GitSource, HttpSource
from pinnace.oci.config import ContainerConfig


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where an instruction stands, for errors and progress."""

    line: int
    text: str
    stage: str
    last_line: int = 0


class Inline(msgspec.Struct, frozen=True, kw_only=True):
    """A file whose contents stand in the Dockerfile."""

    name: str
    data: str


class Run(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Run a command. `env` holds the stage's variables and its ARGs; `argv` is final.

    `platform` is said only where it is not this machine's.
    `proxies` are further variables on which the result does not depend. `script` is the text of the file argv[0], if that
    is not in the image but stands in the Dockerfile. `hosts` are lines of /etc/hosts; only their names are part of the key.
    `hostname` "" is the usual one. `is_insecure` gives the command all rights.
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
    mounts: tuple[RunMount, ...] = ()
    hosts: tuple[tuple[str, str], ...] = ()
    hostname: str = ""
    is_insecure: bool = False


class Copy(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Copy files. `stage` is the index of the stage they come from, -1 for the context; `image` a reference instead,
    of a `platform`.

    `context` is the name of a named context instead. Sources are paths there, or what is fetched. With `parents`, the
    folders of a source's path are kept; a `link` is a layer of its own that nothing below changes.
    `target` is absolute; it ends with "/" when it is to be a folder.
    """

    place: Place
    sources: tuple[str | HttpSource | GitSource, ...]
    target: str
    stage: int = -1
    image: str = ""
    inline: tuple[Inline, ...] = ()
    chown: str = ""
    chmod: str = ""
    unpack: bool = False
    exclude: tuple[str, ...] = ()
    context: str = ""
    parents: bool = False
    link: bool = False
    platform: str = ""


class RunMount(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a RUN mounts at `target` (absolute; "" for a secret that is a variable only).

    `content` is what is seen there (bind) or what it begins with (cache), said as the COPY that would bring it; `folder`
    is a place inside a cache. `id` names a cache, a secret or an agent. Numbers that were not written are -1.
    Units: bytes, of `size`.
    """

    type: str
    target: str
    read_only: bool = False
    content: Copy | None = None
    folder: str = ""
    id: str = ""
    sharing: str = ""
    size: int = 0
    required: bool = False
    env: str = ""
    mode: int = -1
    uid: int = -1
    gid: int = -1


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
        runs = [p.step for p in self.steps if isinstance(p.step, Run)]
        mounted = {one.content.stage for run in runs for one in run.mounts if one.content is not None}
        copied |= {stage for stage in mounted if stage >= 0}
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
