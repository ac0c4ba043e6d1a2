"""Reads one stage's instructions into steps, carrying the configuration, the variables and the shell along.

Pure; used by `plan`, which knows the other stages and the images. One method for each instruction, in the table `READERS`.
Source: Dockerfile reference; BuildKit, frontend/dockerfile/dockerfile2llb/convert.go and convert_copy.go (behaviour).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec.structs import replace

from pinnace.build import steps
from pinnace.build.add_sources import SourceError, read_sources
from pinnace.build.modes import ModeError, parse_chmod
from pinnace.build.mount_plan import CONTENT_PATH, escape_pattern, plan_mount
from pinnace.build.platforms import Platform
from pinnace.build.ports import parse_ports
from pinnace.build.run_options import HOST_NETWORK, INSECURE, CommandRules
from pinnace.build.signals import is_signal
from pinnace.build.steps import Planned
from pinnace.dockerfile import instructions as ast
from pinnace.dockerfile.expand import HEREDOC_TEXT, ExpansionError, Rules, expand_word, expand_words
from pinnace.dockerfile.lines import parse_heredoc
from pinnace.dockerfile.mounts import MountError, parse_mount
from pinnace.dockerfile.parse import Stage
from pinnace.dockerfile.source import Source
from pinnace.oci.config import ContainerConfig, HealthCheck
from pinnace.oci.durations import parse_nanoseconds

DEFAULT_SHELL = ("/bin/sh", "-c")
SCRIPT_FOLDER = "/dev/pipes"  # where a here-document that is a script of its own is put for its RUN
# Source: Dockerfile reference, "BuildKit built-in build args".
HOSTNAME_ARG, NAMESPACE_ARG = "BUILDKIT_SANDBOX_HOSTNAME", "BUILDKIT_CACHE_MOUNT_NS"
RETRIES_MAX = 2**31 - 1  # Source: BuildKit, instructions/parse.go, parseHealthcheck
EXPANSION_HINT = "quote a lone $ or quote with the escape, or give the variable a value"


class Scope(Protocol):
    """What a stage knows of the whole build."""

    source: Source
    rules: Rules

    @property
    def global_args(self) -> Mapping[str, str]:
        """The arguments before the first FROM, and the predefined ones about platforms."""

    def expand(self, word: str, values: Mapping[str, str], line: int) -> str:
        """Expand a word. Raises: UserError."""

    def find_source(self, name: str, stage: Stage, line: int) -> tuple[int, str, str]:
        """Return the stage's index, or the image, or the folder among the contexts, that a --from means. Raises: UserError."""

    def platform_of(self, stage: Stage) -> Platform:
        """Return the platform that a stage's commands are for."""

    def is_foreign(self, platform: Platform) -> bool:
        """Say whether a platform is not this machine's."""

    @property
    def commands(self) -> CommandRules:
        """What the person says about commands."""

    def build_arg(self, name: str) -> str | None:
        """Return the value that was given for an ARG."""

    def proxies(self) -> dict[str, str]:
        """Return the proxy arguments that were given."""


class StageReader:
    """Reads one stage's instructions in order, carrying the configuration along, and the variables.

    `values` are those of ENV and ARG, of one name the later one; a stage on a stage begins with what that one ended with
    (`inherited`). Source: Dockerfile reference, "ARG: Scope"; BuildKit, convert.go, dispatchArg (where the reference says
    that an ENV of the base image wins over an ARG, builders that people use do otherwise).
    """

    def __init__(
        self,
        scope: Scope,
        stage: Stage,
        start: ContainerConfig,
        author: str,
        inherited: Mapping[str, str] | None = None,
    ) -> None:
        self.author = author
        self._scope = scope
        self._error = scope.source.error
        self._stage = stage
        self._config = start
        self._env: dict[str, str] = dict(entry.partition("=")[::2] for entry in start.env or ())
        self.values: dict[str, str] = dict(self._env if inherited is None else inherited)
        self._shell = tuple(start.shell or DEFAULT_SHELL)
        self._cmd_is_own = False
        self._steps: list[Planned] = []
        self._platform = scope.platform_of(stage)

    def read(self, body: tuple[ast.Instruction, ...]) -> tuple[Planned, ...]:
        for instruction in body:
            step = READERS[type(instruction)](self, instruction)
            self._steps.append(Planned(step=step, config=self._config))
        return tuple(self._steps)

    # --- helpers -----------------------------------------------------------------------------------------------------

    def _place(self, instruction: ast.Instruction) -> steps.Place:
        return steps.Place(
            line=instruction.line,
            text=instruction.text,
            stage=self._stage.name or str(self._stage.index),
            last_line=instruction.last_line,
        )

    def _values(self) -> dict[str, str]:
        return dict(self.values)

    def _expand(self, word: str, instruction: ast.Instruction) -> str:
        return self._scope.expand(word, self._values(), instruction.line)

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
        rules = self._scope.commands
        network = rules.network if i.network == "default" else i.network
        self._check_allowed(i, network)
        env = self._values()
        argv, script = self._argv(i.command), ""
        if i.command.heredocs:
            argv, script = self._heredoc(i.command)
        return steps.Run(
            place=self._place(i),
            argv=argv,
            env=render_env(env),
            proxies=render_env({k: v for k, v in self._scope.proxies().items() if k not in env}),
            cwd=self._config.working_dir or "/",
            user=self._config.user,
            network="" if network == "default" else network,
            script=script,
            mounts=tuple(self._mount(text, i) for text in i.mounts),
            hosts=rules.hosts,
            hostname=self._scope.build_arg(HOSTNAME_ARG) or "",
            is_insecure=i.security == "insecure",
            platform=str(self._platform) if self._scope.is_foreign(self._platform) else "",
        )

    def _check_allowed(self, i: ast.Run, network: str) -> None:
        """A Dockerfile gets more than the usual rights only if the person says so. Source: BuildKit, entitlements."""
        if i.devices:
            raise self._error(i.line, "RUN --device is not supported", "builds get no devices of the host")
        wants = ((network == "host", HOST_NETWORK), (i.security == "insecure", INSECURE))
        for is_wanted, name in wants:
            if is_wanted and name not in self._scope.commands.allow:
                raise self._error(
                    i.line, f"{name} is not allowed", f"--allow {name}, if you trust this Dockerfile with it"
                )

    def _mount(self, text: str, i: ast.Run) -> steps.RunMount:
        try:
            flag = parse_mount(text, lambda word: self._expand(word, i))
            content = None
            if flag.type == "bind" or (flag.type == "cache" and flag.from_):
                content = steps.Copy(
                    place=self._place(i),
                    sources=(escape_pattern(flag.source) or "/",),
                    target=CONTENT_PATH,
                    **self._origin(flag.from_, i),
                )
            return plan_mount(
                flag,
                content,
                cwd=self._config.working_dir or "/",
                namespace=self._scope.build_arg(NAMESPACE_ARG) or "",
            )
        except MountError as error:
            raise self._error(i.line, str(error), error.hint) from None

    def _origin(self, name: str, i: ast.Instruction) -> dict[str, Any]:
        """Return the fields of a Copy that say where it takes from; "" is the build context."""
        if not name:
            return {}
        stage, image, context = self._scope.find_source(name, self._stage, i.line)
        platform = str(self._platform) if image else ""
        return {"stage": stage, "image": image, "context": context, "platform": platform}

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
        error, word = self._error, "ADD" if i.is_add else "COPY"
        try:
            sources = read_sources(
                [self._expand(source, i) for source in i.sources],
                is_add=i.is_add,
                checksum=self._expand(i.checksum, i),
                keep_git_dir=i.keep_git_dir,
                unpack=i.unpack,
            )
        except SourceError as wrong:
            raise error(i.line, str(wrong), wrong.hint) from None
        inline = tuple(
            steps.Inline(name=h.name, data=self._heredoc_data(h.data, i) if h.expand else h.data)
            for h in i.inline
        )
        for one in inline:
            if "/" in one.name or one.name in (".", ".."):
                hint = "the word after << is the file's name: EOF, or the name that it gets in a folder"
                raise error(i.line, f"a here-document can't be a file named {one.name!r}", hint)
        target = self._target(self._expand(i.target, i))
        if len(sources) + len(inline) > 1 and not target.endswith("/"):
            raise error(
                i.line,
                f"When using {word} with more than one source file, the destination must be a directory and end with a /",
                f"{word} … {i.target}/",
            )
        chmod = self._expand(i.chmod, i)
        try:
            parse_chmod(chmod)
        except ModeError as wrong:
            raise error(i.line, str(wrong), "for example --chmod=755 or --chmod=u=rwX,go=rX") from None
        return steps.Copy(
            place=self._place(i),
            sources=sources,
            target=target,
            inline=inline,
            chown=self._expand(i.chown, i),
            chmod=chmod,
            unpack=i.is_add and i.unpack is not False,
            # a pattern without a variable keeps its escapes, as in BuildKit, which replaces nothing in them
            exclude=tuple(self._expand(one, i) if "$" in one else one for one in i.exclude),
            parents=i.parents,
            link=i.link,
            **self._origin(self._expand(i.from_, i), i),
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
            raise self._error(i.line, str(error), EXPANSION_HINT) from None

    def env(self, i: ast.Env) -> steps.Step:
        before = self._values()
        for name, value in i.pairs:
            name, value = (self._scope.expand(word, before, i.line) for word in (name, value))
            self._env[name] = self.values[name] = value
        self._change(env=render_env(self._env))
        return self._configure(i)

    def arg(self, i: ast.Arg) -> steps.Step:
        for name, default in i.pairs:
            value = self._scope.build_arg(name)
            if value is None and default is not None:
                value = self._expand(default, i)
            if value is None:
                value = self._scope.global_args.get(name)
            if value is not None:
                self.values[name] = value
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
                for text in expand_words(word, self._values(), self._scope.rules):
                    ports |= {port: {} for port in parse_ports(text)}
        except ValueError as error:
            raise self._error(i.line, str(error), "a port, or FIRST-LAST, and /tcp or /udp") from None
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
            raise self._error(i.line, f"Invalid signal: {name}", "a name such as SIGTERM, or a number")
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
            raise self._error(i.line, f"HEALTHCHECK: {error}", "for example --interval=30s") from None
        self._change(healthcheck=check)
        return self._configure(i)

    def on_build(self, i: ast.OnBuild) -> steps.Step:
        self._change(on_build=(*(self._config.on_build or ()), i.instruction))
        return self._configure(i)

    def maintainer(self, i: ast.Maintainer) -> steps.Step:
        self.author = i.name
        return self._configure(i)


def render_env(values: Mapping[str, str]) -> tuple[str, ...]:
    """Return variables as NAME=VALUE."""
    return tuple(f"{name}={value}" for name, value in values.items())


def _retries(text: str) -> int:
    if text and not text.isdecimal():
        raise ValueError(f"--retries={text} is not a number from 0 on")
    if int(text or 0) > RETRIES_MAX:
        raise ValueError(f"--retries={text} is more than {RETRIES_MAX}")
    return int(text or 0)


READERS: dict[type, Callable[..., steps.Step]] = {
    ast.Run: StageReader.run,
    ast.Copy: StageReader.copy,
    ast.Env: StageReader.env,
    ast.Arg: StageReader.arg,
    ast.Label: StageReader.label,
    ast.Workdir: StageReader.workdir,
    ast.User: StageReader.user,
    ast.Expose: StageReader.expose,
    ast.Volume: StageReader.volume,
    ast.Cmd: StageReader.cmd,
    ast.Entrypoint: StageReader.entrypoint,
    ast.Shell: StageReader.shell,
    ast.StopSignal: StageReader.stop_signal,
    ast.HealthCheck: StageReader.health_check,
    ast.OnBuild: StageReader.on_build,
    ast.Maintainer: StageReader.maintainer,
}
