"""`pinnace up`: starts the daemon and waits until it is ready."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click

from pinnace.base.errors import HostError, UserError
from pinnace.base.settings import ROWS, read_settings, render_settings
from pinnace.cli.output import say

READY_TIMEOUT_S = 60.0


def _options(command: Any) -> Any:
    for row in reversed(ROWS):
        if row.metavar == "BOOL":
            flag = f"{row.flag}/--no-{row.field.replace('_', '-')}"
            option = click.option(flag, row.field, default=None, help=row.help)
        else:
            option = click.option(
                row.flag, row.field, default=None, metavar=row.metavar, help=f"{row.help} [{row.env}]"
            )
        command = option(command)
    return command


@click.command("up")
@click.option("--foreground", is_flag=True, help="Stay in the foreground and log to the terminal.")
@_options
def up_command(foreground: bool, **flags: Any) -> None:
    """Start the instance; bring back what it ran before."""
    parsed = {
        row.field: row.parse(flags[row.field]) if isinstance(flags[row.field], str) else flags[row.field]
        for row in ROWS
    }
    settings = read_settings(parsed)
    if os.geteuid() != 0:
        raise UserError(
            "pinnace up needs root: it makes network links, mounts and cgroups", "sudo pinnace up"
        )
    argv = [sys.executable, "-m", "pinnace.daemon", render_settings(settings)]
    if foreground:
        os.execv(argv[0], argv)
    _start(argv, settings.run_path / "daemon.log")


def _start(argv: list[str], log: Any) -> None:
    """Start the daemon in a session of its own and wait for its word on a pipe."""
    import select
    import subprocess

    try:
        log.parent.mkdir(parents=True)
        log.parent.chmod(0o711)  # the socket in it is the invoking user's, whatever root's umask
    except FileExistsError:
        pass  # an earlier daemon's, or that of another `up` at this moment
    reader, writer = os.pipe()
    with open(log, "ab") as output:
        process = subprocess.Popen(
            [*argv, "--ready-fd", str(writer)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(writer,),
            start_new_session=True,
            cwd="/",
        )
    os.close(writer)
    said = b""
    while select.select([reader], [], [], READY_TIMEOUT_S)[0]:
        piece = os.read(reader, 65536)
        said += piece
        if not piece:  # closed without a word: it is ending
            raise HostError(f"the daemon ended with code {process.wait()}", hint=f"its log: {log}")
        if said.endswith(b"\n"):
            break
    else:
        raise HostError(f"the daemon is not ready after {READY_TIMEOUT_S:.0f} s", hint=f"its log: {log}")
    os.close(reader)
    word = json.loads(said)
    if "error" in word:
        process.wait()  # it gives back what it had taken
        kind = UserError if word.get("user") else HostError
        raise kind(word["error"], hint=word.get("hint", ""))
    for line in word["lines"]:
        say(line)
