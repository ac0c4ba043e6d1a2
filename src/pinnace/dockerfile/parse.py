"""Turns a Dockerfile's text into stages of instructions.

Pure. How each instruction is read is in `readers`; every error shows the line and says what to do.
"""

from __future__ import annotations

from dataclasses import dataclass

from pinnace.dockerfile.instructions import Arg, From, Instruction
from pinnace.dockerfile.lines import split_lines
from pinnace.dockerfile.readers import read_instruction
from pinnace.dockerfile.source import Source


@dataclass(frozen=True, slots=True)
class Stage:
    """One FROM and what follows it; `name` is "" when it has none."""

    index: int
    base: From
    instructions: tuple[Instruction, ...]

    @property
    def name(self) -> str:
        return self.base.name


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A whole file: directives, the ARGs before the first FROM, the stages."""

    source: Source
    directives: dict[str, str]
    escape: str
    global_args: tuple[Arg, ...]
    stages: tuple[Stage, ...]

    def find_stage(self, name: str, *, before: int | None = None) -> Stage | None:
        """Return a stage by name (any case) or by its number; the last of several with one name.

        `before` looks only at the stages before that one.
        """
        stages = self.stages[:before]
        for stage in reversed(stages):
            if stage.name and stage.name == name.lower():
                return stage
        return stages[int(name)] if name.isdecimal() and int(name) < len(stages) else None


def parse_dockerfile(text: str, name: str = "Dockerfile") -> Dockerfile:
    """Return the file's stages. Raises: UserError, on the line."""
    source = Source(name, text)
    lines = split_lines(source)
    global_args: list[Arg] = []
    stages: list[tuple[From, list[Instruction]]] = []
    for line in lines.instructions:
        instruction = read_instruction(source, line, lines.escape)
        if isinstance(instruction, From):
            stages.append((instruction, []))
        elif stages:
            stages[-1][1].append(instruction)
        elif isinstance(instruction, Arg):
            global_args.append(instruction)
        else:
            raise source.error(
                line.first,
                f"no build stage in current context: {line.keyword} comes before FROM",
                "begin with FROM IMAGE; only ARG may come before it",
            )
    if not stages:
        raise source.error(1, "the Dockerfile has no FROM", "begin with FROM IMAGE")
    return Dockerfile(
        source,
        lines.directives,
        lines.escape,
        tuple(global_args),
        tuple(Stage(index, base, tuple(body)) for index, (base, body) in enumerate(stages)),
    )
