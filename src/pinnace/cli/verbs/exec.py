"""`pinnace exec` and `pinnace attach`: the terminal, or our pipes, on a running container."""

from __future__ import annotations

import os
from urllib.parse import quote

import click

from pinnace.base.errors import UserError
from pinnace.cli.client import Client
from pinnace.cli.run_flags import read_env_file, resolve_env
from pinnace.cli.verbs.run import hold


@click.command("exec", context_settings={"allow_interspersed_args": False})
@click.option("-i", "--interactive", "stdin", is_flag=True, help="Send our standard input.")
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal.")
@click.option("-e", "--env", multiple=True, metavar="NAME=VALUE", help="Environment.")
@click.option("--env-file", "env_files", multiple=True, metavar="FILE", help="Environment from a file.")
@click.option("-u", "--user", default="", help="Whom it runs as.")
@click.option("-w", "--workdir", default="", metavar="PATH", help="Where it runs.")
@click.option("--privileged", is_flag=True, help="All capabilities.")
@click.option("-d", "--detach", is_flag=True, help="Let it run in the background.")
@click.argument("name")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_command(
    stdin: bool,
    tty: bool,
    env: tuple[str, ...],
    env_files: tuple[str, ...],
    user: str,
    workdir: str,
    privileged: bool,
    detach: bool,
    name: str,
    command: tuple[str, ...],
) -> int:
    """Run a command in a running container; the exit code is the command's."""
    if tty and stdin and not detach and not os.isatty(0):
        raise UserError("the input device is not a TTY", "leave -t out when the input is a pipe")
    variables = [item for path in env_files for item in read_env_file(path)] + resolve_env(env)
    request = {
        "command": command,
        "env": variables,
        "user": user,
        "workdir": workdir,
        "privileged": privileged,
        "tty": tty and not detach,
        "stdin": stdin and not detach,
        "detach": detach,
    }
    path = f"/pinnace/v1/containers/{quote(name, safe='')}/exec"
    return hold(Client(), path, request, stdin=stdin and not detach, tty=tty and not detach, signals=False)


@click.command("attach")
@click.option("--no-stdin", is_flag=True, help="Don't send our standard input.")
@click.option("--sig-proxy/--no-sig-proxy", default=True, help="Send it the signals that we get.")
@click.argument("name")
def attach_command(no_stdin: bool, sig_proxy: bool, name: str) -> int:
    """Connect the terminal to a running container; ctrl-p ctrl-q leaves it."""
    client = Client()
    return attach_to(client, name, stdin=not no_stdin, signals=sig_proxy, start=False)


def attach_to(client: Client, name: str, *, stdin: bool, signals: bool, start: bool) -> int:
    """Attach to a container as it was created: with a terminal or not."""
    quoted = quote(name, safe="")
    config = client.get(f"/pinnace/v1/containers/{quoted}")["Config"]
    tty = bool(config["Tty"])
    return hold(
        client,
        f"/pinnace/v1/containers/{quoted}/attach" + ("?start=1" if start else ""),
        {},
        stdin=stdin and bool(config["OpenStdin"]),
        tty=tty,
        signals=signals and not tty,
    )
