"""The group of all verbs, as click sees it: a verb's file is imported when the verb is used."""

from __future__ import annotations

import importlib
import os

import click

from pinnace.cli.flag_values import read_flag_values
from pinnace.cli.main import VERBS


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [verb.name for verb in VERBS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for verb in VERBS:
            if verb.name == cmd_name:
                module = importlib.import_module(f"pinnace.cli.verbs.{verb.file}")
                command: click.Command = getattr(module, f"{verb.name.replace('-', '_')}_command")
                return command
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        path = [name or ""]
        inner = command
        while isinstance(inner, click.Group) and rest:
            path.append(rest[0])
            inner, rest = inner.get_command(ctx, rest[0]), rest[1:]
        if inner is not None:
            rest = read_flag_values(inner, rest)
        return name, command, [*path[1:], *rest]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for group in dict.fromkeys(verb.group for verb in VERBS):
            with formatter.section(group):
                formatter.write_dl([(verb.name, verb.help) for verb in VERBS if verb.group == group])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(package_name="pinnace", prog_name="pinnace")
def cli(debug: bool) -> None:
    """Docker and Kubernetes for one Linux machine, in one process."""
    if debug:
        os.environ["PINNACE_DEBUG"] = "1"
