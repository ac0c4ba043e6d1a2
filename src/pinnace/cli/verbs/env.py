"""`pinnace env`: settings for the shell, so that the real clients find the instance."""

from __future__ import annotations

import shlex

import click

from pinnace.base.settings import read_settings


@click.command("env")
@click.option("--unset", is_flag=True, help="Print the commands that take the settings back.")
def env_command(unset: bool) -> None:
    """Print settings for the shell: eval "$(pinnace env)"."""
    settings = read_settings({})
    values = {"KUBECONFIG": str(settings.kubeconfig_path)}
    for name, value in values.items():
        print(f"unset {name}" if unset else f"export {name}={shlex.quote(value)}")
