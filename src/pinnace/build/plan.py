"""Decides what a Dockerfile means for one target: which stages are needed, and each step with its variables replaced.

Pure: the Dockerfile, the options and the base images' configurations in, a `BuildPlan` out. What single instructions mean
is in `stage_reader`. Source: Dockerfile reference: scope of ARG, predefined arguments, stages.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from pinnace.base.errors import HostError, PinnaceError, UserError
from pinnace.build import steps
from pinnace.build.epoch import EPOCH_ARG, read_epoch
from pinnace.build.named import NamedContext, NamedContexts
from pinnace.build.platforms import Platform, normalize, parse_platform
from pinnace.build.run_options import CommandRules
from pinnace.build.stage_reader import EXPANSION_HINT, StageReader
from pinnace.build.steps import BuildPlan, Planned, StagePlan
from pinnace.dockerfile import instructions as ast
from pinnace.dockerfile.expand import ExpansionError, Rules, expand_word
from pinnace.dockerfile.parse import Dockerfile, Stage, parse_dockerfile
from pinnace.dockerfile.source import suggest
from pinnace.oci.config import ContainerConfig, ImageConfig

SCRATCH = "scratch"
# Source: moby, pkg/system, DefaultPathEnv
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Source: Dockerfile reference, "Predefined ARGs"; they may be given without an ARG, and stay out of the history.
PROXY_ARGS = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
PREDEFINED_ARGS = frozenset((*PROXY_ARGS, *(name.lower() for name in PROXY_ARGS)))

OWN_PREFIX = "BUILDKIT_"  # Source: Dockerfile reference, "BuildKit built-in build args"

# Asked for the images that FROM and --from name, by their platform.
FindImage = Callable[[str, Platform], ImageConfig | None]


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What the person asked for. `target` "" is the last stage; `architecture` is this machine's, `platform` the image's."""

    target: str = ""
    build_args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    architecture: str = "amd64"
    platform: str = ""
    commands: CommandRules = CommandRules()
    contexts: NamedContexts = NamedContexts()

    @property
    def foreign_platform(self) -> str:
        """The image's platform, "" when it is this machine's."""
        here = normalize("linux", self.architecture)
        wanted = parse_platform(self.platform, self.architecture) if self.platform else here
        return "" if wanted == here else str(wanted)

    @property
    def epoch(self) -> int | None:
        """The time that nothing in the image is later than. Units: unix seconds. Raises: UserError."""
        return read_epoch(self.build_args)


def plan_build(dockerfile: Dockerfile, options: BuildOptions, find_image: FindImage) -> BuildPlan:
    """Return the plan. Raises: UserError on the line that can't be done."""
    target = _find_target(dockerfile, options.target)
    planner = _Planner(dockerfile, options, find_image)
    planner.plan_stage(target)
    warnings = tuple(
        f"[Warning] One or more build-args [{name}] were not consumed"
        for name in options.build_args
        if name not in (*planner.consumed, *PREDEFINED_ARGS, EPOCH_ARG) and not name.startswith(OWN_PREFIX)
    )
    plan = BuildPlan(stages=tuple(planner.done.values()), target=target.index, warnings=warnings)
    if options.labels:
        return _add_labels(plan, options.labels)
    return plan


def _find_target(dockerfile: Dockerfile, name: str) -> Stage:
    if not name:
        return dockerfile.stages[-1]
    stage = dockerfile.find_stage(name)
    if stage is None:
        names = [s.name for s in dockerfile.stages if s.name]
        hint = suggest(name, names) or (
            f"stages: {', '.join(names)}" if names else "the Dockerfile names no stages"
        )
        raise UserError(f"target stage {name!r} could not be found", hint, dockerfile.source.name)
    return stage


def _add_labels(plan: BuildPlan, labels: Mapping[str, str]) -> BuildPlan:
    stage = plan.stage(plan.target)
    place = steps.Place(
        line=stage.place.line,
        text="LABEL " + " ".join(f"{k}={v}" for k, v in labels.items()),
        stage=stage.name,
    )
    config = replace(stage.config, labels={**(stage.config.labels or {}), **labels})
    more = Planned(step=steps.Configure(place=place), config=config)
    changed = replace(stage, steps=(*stage.steps, more))
    return replace(plan, stages=tuple(changed if s.index == stage.index else s for s in plan.stages))


class _Planner:
    """Plans stages on demand; `done` is in the order of need."""

    def __init__(self, dockerfile: Dockerfile, options: BuildOptions, find_image: FindImage) -> None:
        self._file = dockerfile
        self.source = dockerfile.source
        self._options = options
        self._find_image = find_image
        self.rules = Rules(escape=dockerfile.escape)
        self.commands = options.commands
        self._values: dict[int, Mapping[str, str]] = {}  # what stages ended with
        self.consumed: set[str] = set()
        self.done: dict[int, StagePlan] = {}
        self._here = normalize("linux", options.architecture)
        self._wanted = (
            parse_platform(options.platform, self._here.architecture) if options.platform else self._here
        )
        self._platform = {
            **_platform_args("TARGET", self._wanted),
            **_platform_args("BUILD", self._here),
            "TARGETSTAGE": options.target or dockerfile.stages[-1].name or "default",
        }
        self.global_args: Mapping[str, str] = self._read_global_args()

    def _read_global_args(self) -> dict[str, str]:
        known = {name: self._options.build_args.get(name, value) for name, value in self._platform.items()}
        for instruction in self._file.global_args:
            for name, default in instruction.pairs:
                value = self._options.build_args.get(name)
                if value is None and default is not None:
                    value = self.expand(default, known, instruction.line)
                if value is not None:
                    known[name] = value
                if name in self._options.build_args:
                    self.consumed.add(name)
        return known

    def expand(self, word: str, values: Mapping[str, str], line: int) -> str:
        """Replace the variables of a word that stands on a line."""
        try:
            return expand_word(word, values, self.rules)
        except ExpansionError as error:
            raise self.source.error(line, str(error), EXPANSION_HINT) from None

    def plan_stage(self, stage: Stage) -> StagePlan:
        """Plan a stage and, before it, those that it needs."""
        if stage.index in self.done:
            return self.done[stage.index]
        base = stage.base
        image = self.expand(base.image, self.global_args, base.line)
        place = steps.Place(line=base.line, text=image, stage=stage.name or str(stage.index))
        if not image:
            raise self.source.error(
                base.line,
                f"base name ({base.image}) should not be blank",
                "give the ARG a default, or --build-arg",
            )
        platform = self._read_platform(base)
        plan = StagePlan(index=stage.index, name=stage.name, place=place, platform=str(platform))
        named = self._named_base(stage, image)
        is_folder = named is not None and named.is_folder
        image = named.image if named is not None and not is_folder else image
        earlier = None if image.isdecimal() or named else self._file.find_stage(image, before=stage.index)
        if earlier is not None:
            below = self.plan_stage(earlier)
            plan = replace(
                plan,
                base_stage=earlier.index,
                base_config=below.config,
                author=below.author,
                platform=below.platform,
            )
        elif image != SCRATCH and not is_folder:
            found = self._base_image(image, platform, base.line)
            plan = replace(plan, base=image, base_config=found.config, author=found.author)
        triggers = tuple(plan.base_config.on_build or ())
        body = (*self._read_triggers(triggers, stage), *stage.instructions)
        if named is not None and named.name == stage.name:
            body = ()  # the context stands for the whole stage. Source: BuildKit, convert.go, namedContext
        start = replace(plan.base_config, on_build=None, env=_with_path(plan.base_config.env))
        reader = StageReader(self, stage, start, plan.author, self._values.get(plan.base_stage))
        begin = (_take_whole(named, plan, start),) if named is not None and is_folder else ()
        plan = replace(plan, base_config=start, steps=(*begin, *reader.read(body)), author=reader.author)
        self.done[stage.index] = plan
        self._values[stage.index] = reader.values
        return plan

    def _named_base(self, stage: Stage, image: str) -> NamedContext | None:
        """Return the context that was given under a stage's name, or under that of its base."""
        contexts = self._options.contexts
        own = contexts.find(stage.name) if stage.name else None
        if own is not None or self._file.find_stage(image, before=stage.index) is not None:
            return own
        return contexts.find(image)

    def _read_platform(self, base: ast.From) -> Platform:
        """Return the platform of a stage's base: the one that its line names, else the build's."""
        text = self.expand(base.platform, self.global_args, base.line)
        if not text:
            return self._wanted
        try:
            return parse_platform(text, self._here.architecture)
        except UserError as error:
            raise self.source.error(base.line, f"--platform={text}: {error.message}", error.hint) from None

    def _base_image(self, image: str, platform: Platform, line: int) -> ImageConfig:
        found = self._ask(image, platform, line)
        if found is None:
            names = [s.name for s in self._file.stages if s.name]
            raise self.source.error(
                line,
                f"base image {image!r} was not found",
                suggest(image, names)
                or f"bring it in (pinnace import FILE {image}), or build it (pinnace build -t {image} …)",
            )
        return found

    def _ask(self, image: str, platform: Platform, line: int) -> ImageConfig | None:
        """Look for an image; what its registry says about it is told with the line, and with the nearest stage's name."""
        try:
            return self._find_image(image, platform)
        except PinnaceError as error:
            hint = suggest(image, [s.name for s in self._file.stages if s.name]) or error.hint
            placed = self.source.error(line, error.message, hint)
            if isinstance(error, HostError):
                raise HostError(f"{placed.where}: {error.message}", errno=error.errno, hint=hint) from error
            raise placed from error

    def _read_triggers(self, triggers: tuple[str, ...], stage: Stage) -> tuple[ast.Instruction, ...]:
        if not triggers:
            return ()
        read = parse_dockerfile("FROM scratch\n" + "\n".join(triggers), f"ONBUILD of {stage.base.image}")
        line = stage.base.line  # triggers stand in no file: errors show the FROM that brought them
        return tuple(
            dataclasses.replace(one, line=line, last_line=line) for one in read.stages[0].instructions
        )

    def find_source(self, name: str, stage: Stage, line: int) -> tuple[int, str, str]:
        """Return the stage's index, or the image, or the folder among the contexts, that a --from means."""
        found = self._file.find_stage(name)
        if found is not None:
            if found.index >= stage.index:
                raise self.source.error(
                    line, f"--from={name}: a stage can only copy from stages before it", "move the stage up"
                )
            self.plan_stage(found)
            return found.index, "", ""
        named = self._options.contexts.find(name)
        if (
            named is None and name.isdecimal()
        ):  # Source: BuildKit, dockerfile2llb: a number is a stage, never an image
            count = len(self._file.stages)
            raise self.source.error(
                line,
                f"--from={name}: there is no stage {name}",
                f"stages are counted from 0; there are {count}",
            )
        if named is not None and named.is_folder:
            return -1, "", named.name
        name = name if named is None else named.image
        if self._ask(name, self.platform_of(stage), line) is None:
            names = [s.name for s in self._file.stages[: stage.index] if s.name]
            raise self.source.error(
                line,
                f"--from={name}: there is no stage and no image of that name",
                suggest(name, names) or (f"stages before this one: {', '.join(names)}" if names else ""),
            )
        return -1, name, ""

    def platform_of(self, stage: Stage) -> Platform:
        """Return the platform that a stage's commands are for."""
        image = self.expand(stage.base.image, self.global_args, stage.base.line)
        earlier = None if image.isdecimal() else self._file.find_stage(image, before=stage.index)
        return self._read_platform(stage.base) if earlier is None else self.platform_of(earlier)

    def is_foreign(self, platform: Platform) -> bool:
        """Say whether a platform is not this machine's."""
        return platform != self._here

    def build_arg(self, name: str) -> str | None:
        value = self._options.build_args.get(name)
        if value is not None:
            self.consumed.add(name)
        return value

    def proxies(self) -> dict[str, str]:
        """Return the proxy arguments that were given, in both cases; RUN sees them without an ARG."""
        given = {name: value for name, value in self._options.build_args.items() if name in PREDEFINED_ARGS}
        both = {other: value for name, value in given.items() for other in (name.upper(), name.lower())}
        return {**both, **given}

    @property
    def platform(self) -> Mapping[str, str]:
        return self._platform


def _take_whole(context: NamedContext, stage: StagePlan, config: ContainerConfig) -> Planned:
    """Return the step with which a stage begins whose base is a folder."""
    place = replace(stage.place, text=f"COPY --from={context.name} / /")
    step = steps.Copy(place=place, sources=("/",), target="/", context=context.name)
    return Planned(step=step, config=config)


def _platform_args(prefix: str, platform: Platform) -> dict[str, str]:
    return {
        f"{prefix}PLATFORM": str(platform),
        f"{prefix}OS": platform.os,
        f"{prefix}OSVERSION": "",
        f"{prefix}ARCH": platform.architecture,
        f"{prefix}VARIANT": platform.variant,
    }


def _with_path(env: Sequence[str] | None) -> tuple[str, ...]:
    """Return an environment that has a PATH: `ENV PATH=/x:$PATH` must not lose the usual folders."""
    if any(entry.startswith("PATH=") for entry in env or ()):
        return tuple(env or ())
    return (*(env or ()), f"PATH={DEFAULT_PATH}")
