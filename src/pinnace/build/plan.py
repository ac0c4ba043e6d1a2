"""Decides what a Dockerfile means for one target: which stages are needed, and each step with its variables replaced.

Pure: the Dockerfile, the options and the base images' configurations in, a `BuildPlan` out.
Source: Dockerfile reference: scope of ARG, order of ENV and ARG, WORKDIR, SHELL, CMD and ENTRYPOINT, EXPOSE.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from pinnace.base.errors import UserError
from pinnace.build import steps
from pinnace.build.durations import parse_nanoseconds
from pinnace.build.ports import parse_ports
from pinnace.build.signals import is_signal
from pinnace.build.steps import BuildPlan, Planned, StagePlan
from pinnace.dockerfile import instructions as ast
from pinnace.dockerfile.expand import HEREDOC_TEXT, ExpansionError, Rules, expand_word, expand_words
from pinnace.dockerfile.lines import parse_heredoc
from pinnace.dockerfile.parse import Dockerfile, Stage, parse_dockerfile
from pinnace.dockerfile.source import suggest
from pinnace.oci.config import ContainerConfig, HealthCheck, ImageConfig

SCRATCH = "scratch"
DEFAULT_SHELL = ("/bin/sh", "-c")
# Source: moby, pkg/system, DefaultPathEnv
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SCRIPT_FOLDER = "/dev/pipes"  # where a here-document that is a script of its own is put for its RUN
EXPANSION_HINT = "quote a lone $ or quote with the escape, or give the variable a value"
ARCHITECTURE_NAMES = {"x86_64": "amd64", "aarch64": "arm64", "v8": "arm64"}

# Source: Dockerfile reference, "Predefined ARGs"; they may be given without an ARG, and stay out of the history.
PROXY_ARGS = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
PREDEFINED_ARGS = frozenset((*PROXY_ARGS, *(name.lower() for name in PROXY_ARGS)))

FindImage = Callable[[str], ImageConfig | None]


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What the person asked for. `target` "" is the last stage."""

    target: str = ""
    build_args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    architecture: str = "amd64"


def plan_build(dockerfile: Dockerfile, options: BuildOptions, find_image: FindImage) -> BuildPlan:
    """Return the plan. Raises: UserError on the line that can't be done."""
    target = _find_target(dockerfile, options.target)
    planner = _Planner(dockerfile, options, find_image)
    planner.plan_stage(target)
    warnings = tuple(
        f"[Warning] One or more build-args [{name}] were not consumed"
        for name in options.build_args
        if name not in planner.consumed and name not in PREDEFINED_ARGS
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
        self._options = options
        self._find_image = find_image
        self.rules = Rules(escape=dockerfile.escape)
        self.consumed: set[str] = set()
        self.done: dict[int, StagePlan] = {}
        self._platform = {
            "TARGETPLATFORM": f"linux/{options.architecture}",
            "TARGETOS": "linux",
            "TARGETARCH": options.architecture,
            "TARGETVARIANT": "",
            "BUILDPLATFORM": f"linux/{options.architecture}",
            "BUILDOS": "linux",
            "BUILDARCH": options.architecture,
            "BUILDVARIANT": "",
        }
        self.global_args = self._read_global_args()

    def _read_global_args(self) -> dict[str, str]:
        known = dict(self._platform)
        for instruction in self._file.global_args:
            for name, default in instruction.pairs:
                value = self._options.build_args.get(name)
                if value is None and default is not None:
                    value = self._expand(default, known, instruction.line)
                if value is not None:
                    known[name] = value
                if name in self._options.build_args:
                    self.consumed.add(name)
        return known

    def _expand(self, word: str, values: Mapping[str, str], line: int) -> str:
        try:
            return expand_word(word, values, self.rules)
        except ExpansionError as error:
            raise self._file.source.error(line, str(error), EXPANSION_HINT) from None

    def plan_stage(self, stage: Stage) -> StagePlan:
        """Plan a stage and, before it, those that it needs."""
        if stage.index in self.done:
            return self.done[stage.index]
        base = stage.base
        image = self._expand(base.image, self.global_args, base.line)
        place = steps.Place(line=base.line, text=image, stage=stage.name or str(stage.index))
        if not image:
            raise self._file.source.error(
                base.line,
                f"base name ({base.image}) should not be blank",
                "give the ARG a default, or --build-arg",
            )
        self._check_platform(base)
        plan = StagePlan(index=stage.index, name=stage.name, place=place)
        earlier = None if image.isdecimal() else self._file.find_stage(image, before=stage.index)
        if earlier is not None:
            below = self.plan_stage(earlier)
            plan = replace(plan, base_stage=earlier.index, base_config=below.config, author=below.author)
        elif image != SCRATCH:
            found = self._base_image(image, base.line)
            plan = replace(plan, base=image, base_config=found.config, author=found.author)
        triggers = tuple(plan.base_config.on_build or ())
        body = (*self._read_triggers(triggers, stage), *stage.instructions)
        start = replace(plan.base_config, on_build=None, env=_with_path(plan.base_config.env))
        reader = _StageReader(self, stage, start, plan.author)
        plan = replace(plan, base_config=start, steps=reader.read(body), author=reader.author)
        self.done[stage.index] = plan
        return plan

    def _check_platform(self, base: ast.From) -> None:
        """There are no emulated builds: a platform may be named, but only this machine's own."""
        wanted = self._expand(base.platform, self.global_args, base.line)
        parts = wanted.split("/")
        here = ["linux", self._options.architecture]
        if wanted and [parts[0], ARCHITECTURE_NAMES.get(parts[-1], parts[-1])] not in (here, here[:1] * 2):
            raise self._file.source.error(
                base.line,
                f"--platform={wanted} can't be built on linux/{self._options.architecture}",
                "leave the flag out, or build on such a machine",
            )

    def _base_image(self, image: str, line: int) -> ImageConfig:
        found = self._find_image(image)
        if found is None:
            names = [s.name for s in self._file.stages if s.name]
            near = suggest(image, names)
            raise self._file.source.error(
                line,
                f"base image {image!r} is not in the local store",
                near
                or f"bring it in (pinnace import FILE {image}), or build it (pinnace build -t {image} …)",
            )
        return found

    def _read_triggers(self, triggers: tuple[str, ...], stage: Stage) -> tuple[ast.Instruction, ...]:
        if not triggers:
            return ()
        read = parse_dockerfile("FROM scratch\n" + "\n".join(triggers), f"ONBUILD of {stage.base.image}")
        return read.stages[0].instructions

    def find_source(self, name: str, stage: Stage, line: int) -> tuple[int, str]:
        """Return the stage's index, or the image, that a --from means."""
        found = self._file.find_stage(name)
        if found is not None:
            if found.index >= stage.index:
                raise self._file.source.error(
                    line, f"--from={name}: a stage can only copy from stages before it", "move the stage up"
                )
            self.plan_stage(found)
            return found.index, ""
        if self._find_image(name) is None:
            names = [s.name for s in self._file.stages[: stage.index] if s.name]
            raise self._file.source.error(
                line,
                f"--from={name}: there is no stage and no local image of that name",
                suggest(name, names) or (f"stages before this one: {', '.join(names)}" if names else ""),
            )
        return -1, name

    def build_arg(self, name: str) -> str | None:
        value = self._options.build_args.get(name)
        if value is not None:
            self.consumed.add(name)
        return value

    def proxies(self) -> dict[str, str]:
        """Return the proxy arguments that were given; RUN sees them without an ARG."""
        return {name: value for name, value in self._options.build_args.items() if name in PREDEFINED_ARGS}

    @property
    def platform(self) -> Mapping[str, str]:
        return self._platform


class _StageReader:
    """Reads one stage's instructions in order, carrying the configuration and the ARGs along."""

    def __init__(self, planner: _Planner, stage: Stage, start: ContainerConfig, author: str) -> None:
        self.author = author
        self._planner = planner
        self._file = planner._file
        self._stage = stage
        self._config = start
        self._env: dict[str, str] = dict(entry.partition("=")[::2] for entry in start.env or ())
        self._args: dict[str, str] = {}
        self._shell = tuple(start.shell or DEFAULT_SHELL)
        self._cmd_is_own = False
        self._steps: list[Planned] = []

    def read(self, body: tuple[ast.Instruction, ...]) -> tuple[Planned, ...]:
        for instruction in body:
            step = READERS[type(instruction)](self, instruction)
            self._steps.append(Planned(step=step, config=self._config))
        return tuple(self._steps)

    # --- helpers -----------------------------------------------------------------------------------------------------

    def _place(self, instruction: ast.Instruction) -> steps.Place:
        return steps.Place(
            line=instruction.line, text=instruction.text, stage=self._stage.name or str(self._stage.index)
        )

    def _values(self) -> dict[str, str]:
        return {**self._args, **self._env}

    def _expand(self, word: str, instruction: ast.Instruction) -> str:
        return self._planner._expand(word, self._values(), instruction.line)

    def _change(self, **fields: object) -> None:
        self._config = replace(self._config, **fields)

    def _configure(self, instruction: ast.Instruction) -> steps.Step:
        return steps.Configure(place=self._place(instruction))

    def _argv(self, command: ast.Command) -> tuple[str, ...]:
        return (*self._shell, command.argv[0]) if command.shell else command.argv

    def _join(self, path: str) -> str:
        return posixpath.normpath(posixpath.join(self._config.working_dir or "/", path))

    # --- one reader for each instruction -------------------------------------------------------------------------------

    def run(self, i: ast.Run) -> steps.Step:
        if i.mounts:
            raise self._file.source.error(
                i.line, "RUN --mount is not supported yet", "COPY what the command needs"
            )
        if i.security and i.security != "sandbox":
            raise self._file.source.error(i.line, f"RUN --security={i.security} is not supported")
        if i.network not in ("", "default", "none", "host"):
            raise self._file.source.error(
                i.line, f"RUN --network={i.network}: unknown", "default, none or host"
            )
        env = {**self._args, **self._env}
        argv, script = self._argv(i.command), ""
        if i.command.heredocs:
            argv, script = self._heredoc(i.command)
        return steps.Run(
            place=self._place(i),
            argv=argv,
            env=_entries(env),
            proxies=_entries({k: v for k, v in self._planner.proxies().items() if k not in env}),
            cwd=self._config.working_dir or "/",
            user=self._config.user,
            network="" if i.network == "default" else i.network,
            script=script,
        )

    def _heredoc(self, command: ast.Command) -> tuple[tuple[str, ...], str]:
        """Return the argv, and the script when the whole command is one here-document with a #! line.

        Source: Dockerfile reference, "Here-Documents": a lone `<<EOF` is a script; anything else goes to the shell.
        """
        first = command.heredocs[0]
        if parse_heredoc(command.argv[0]) is not None:
            if first.data.startswith("#!"):
                name = first.name if re.fullmatch(r"\w[\w.-]*", first.name) else "EOF"
                return (posixpath.join(SCRIPT_FOLDER, name),), first.data
            return (*self._shell, first.data), ""
        text = command.argv[0] + "".join(f"\n{h.text}{h.name}" for h in command.heredocs)
        return (*self._shell, text), ""

    def copy(self, i: ast.Copy) -> steps.Step:
        error, word = self._file.source.error, "ADD" if i.is_add else "COPY"
        if i.parents:
            raise error(i.line, "COPY --parents is not supported yet", "name the target folder in full")
        sources = tuple(self._expand(source, i) for source in i.sources)
        for source in sources:
            if re.match(r"https?://|git://|git@", source):
                what = f"{word} {source}: " + ("adding from a URL is not supported yet" if i.is_add else "")
                raise error(
                    i.line, what if i.is_add else "source can't be a URL for COPY", "RUN curl -fsSLO URL"
                )
        if i.checksum:
            raise error(i.line, "checksum requires HTTP(S) or Git sources", "leave --checksum out")
        stage, image = -1, ""
        if i.from_:
            stage, image = self._planner.find_source(self._expand(i.from_, i), self._stage, i.line)
        inline = tuple(
            steps.Inline(name=h.name, data=self._heredoc_data(h.data, i) if h.expand else h.data)
            for h in i.inline
        )
        target = self._target(self._expand(i.target, i))
        if len(sources) + len(inline) > 1 and not target.endswith("/"):
            raise error(
                i.line,
                f"When using {word} with more than one source file, the destination must be a directory and end with a /",
                f"{word} … {i.target}/",
            )
        chmod = self._expand(i.chmod, i)
        if chmod and not re.fullmatch(r"0?[0-7]{1,4}", chmod):
            raise error(
                i.line,
                f"invalid chmod parameter: {chmod!r}: it should be octal and between 0 and 07777",
                "for example --chmod=755; symbolic modes are not supported yet",
            )
        return steps.Copy(
            place=self._place(i),
            sources=sources,
            target=target,
            stage=stage,
            image=image,
            inline=inline,
            chown=self._expand(i.chown, i),
            chmod=chmod,
            unpack=i.is_add and i.unpack is not False,
            exclude=i.exclude,
        )

    def _target(self, written: str) -> str:
        """Return where a COPY goes, as an absolute path; a folder ends with a slash."""
        is_folder = not written or written.endswith("/") or posixpath.basename(written) in (".", "..")
        path = self._join(written)
        return posixpath.join(path, "") if is_folder else path

    def _heredoc_data(self, text: str, i: ast.Copy) -> str:
        try:
            return expand_word(text, self._values(), HEREDOC_TEXT)
        except ExpansionError as error:
            raise self._file.source.error(i.line, str(error), EXPANSION_HINT) from None

    def env(self, i: ast.Env) -> steps.Step:
        before = self._values()
        for name, value in i.pairs:
            self._env[self._planner._expand(name, before, i.line)] = self._planner._expand(
                value, before, i.line
            )
        self._change(env=_entries(self._env))
        return self._configure(i)

    def arg(self, i: ast.Arg) -> steps.Step:
        for name, default in i.pairs:
            value = self._planner.build_arg(name)
            if value is None and default is not None:
                value = self._expand(default, i)
            if value is None:
                value = self._planner.global_args.get(name)
            if value is not None:
                self._args[name] = value
        return self._configure(i)

    def label(self, i: ast.Label) -> steps.Step:
        pairs = {self._expand(name, i): self._expand(value, i) for name, value in i.pairs}
        self._change(labels={**(self._config.labels or {}), **pairs})
        return self._configure(i)

    def workdir(self, i: ast.Workdir) -> steps.Step:
        path = self._join(self._expand(i.path, i))
        self._change(working_dir=path)
        if path == "/":
            return self._configure(i)
        return steps.MakeDirectory(place=self._place(i), path=path, user=self._config.user)

    def user(self, i: ast.User) -> steps.Step:
        self._change(user=self._expand(i.user, i))
        return self._configure(i)

    def expose(self, i: ast.Expose) -> steps.Step:
        ports = dict(self._config.exposed_ports or {})
        try:
            for word in i.ports:
                for text in expand_words(word, self._values(), self._planner.rules):
                    ports |= {port: {} for port in parse_ports(text)}
        except ValueError as error:
            raise self._file.source.error(
                i.line, str(error), "a port, or FIRST-LAST, and /tcp or /udp"
            ) from None
        self._change(exposed_ports=dict(sorted(ports.items())))
        return self._configure(i)

    def volume(self, i: ast.Volume) -> steps.Step:
        paths: dict[str, dict[str, Any]] = {self._expand(path, i): {} for path in i.paths}
        self._change(volumes={**(self._config.volumes or {}), **paths})
        return self._configure(i)

    def cmd(self, i: ast.Cmd) -> steps.Step:
        self._change(cmd=self._argv(i.command), args_escaped=False)
        self._cmd_is_own = True
        return self._configure(i)

    def entrypoint(self, i: ast.Entrypoint) -> steps.Step:
        self._change(entrypoint=self._argv(i.command) or None)
        if not self._cmd_is_own:
            self._change(cmd=None)  # what the base image's entrypoint was given is not meant for this one
        return self._configure(i)

    def shell(self, i: ast.Shell) -> steps.Step:
        self._shell = i.argv
        self._change(shell=i.argv)
        return self._configure(i)

    def stop_signal(self, i: ast.StopSignal) -> steps.Step:
        name = self._expand(i.signal, i)
        if not is_signal(name):
            raise self._file.source.error(
                i.line, f"Invalid signal: {name}", "a name such as SIGTERM, or a number"
            )
        self._change(stop_signal=name)
        return self._configure(i)

    def health_check(self, i: ast.HealthCheck) -> steps.Step:
        if i.command is None:
            self._change(healthcheck=HealthCheck(test=("NONE",)))
            return self._configure(i)
        kind = "CMD-SHELL" if i.command.shell else "CMD"
        try:
            check = HealthCheck(
                test=(kind, *i.command.argv),
                interval=parse_nanoseconds(i.interval),
                timeout=parse_nanoseconds(i.timeout),
                start_period=parse_nanoseconds(i.start_period),
                start_interval=parse_nanoseconds(i.start_interval),
                retries=_retries(i.retries),
            )
        except ValueError as error:
            raise self._file.source.error(
                i.line, f"HEALTHCHECK: {error}", "for example --interval=30s"
            ) from None
        self._change(healthcheck=check)
        return self._configure(i)

    def on_build(self, i: ast.OnBuild) -> steps.Step:
        self._change(on_build=(*(self._config.on_build or ()), i.instruction))
        return self._configure(i)

    def maintainer(self, i: ast.Maintainer) -> steps.Step:
        self.author = i.name
        return self._configure(i)


def _entries(values: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{name}={value}" for name, value in values.items())


def _with_path(env: Sequence[str] | None) -> tuple[str, ...]:
    """Return an environment that has a PATH: `ENV PATH=/x:$PATH` must not lose the usual folders."""
    if any(entry.startswith("PATH=") for entry in env or ()):
        return tuple(env or ())
    return (*(env or ()), f"PATH={DEFAULT_PATH}")


def _retries(text: str) -> int:
    if text and not text.isdecimal():
        raise ValueError(f"--retries={text} is not a number from 0 on")
    return int(text or 0)


READERS: dict[type, Callable[..., steps.Step]] = {
    ast.Run: _StageReader.run,
    ast.Copy: _StageReader.copy,
    ast.Env: _StageReader.env,
    ast.Arg: _StageReader.arg,
    ast.Label: _StageReader.label,
    ast.Workdir: _StageReader.workdir,
    ast.User: _StageReader.user,
    ast.Expose: _StageReader.expose,
    ast.Volume: _StageReader.volume,
    ast.Cmd: _StageReader.cmd,
    ast.Entrypoint: _StageReader.entrypoint,
    ast.Shell: _StageReader.shell,
    ast.StopSignal: _StageReader.stop_signal,
    ast.HealthCheck: _StageReader.health_check,
    ast.OnBuild: _StageReader.on_build,
    ast.Maintainer: _StageReader.maintainer,
}
