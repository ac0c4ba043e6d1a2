"""`pinnace down`: ends all that the instance runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import click

from pinnace.base.errors import HostError, UserError
from pinnace.base.settings import read_settings, render_settings
from pinnace.cli.client import Client
from pinnace.cli.output import say

END_TIMEOUT_S = 60.0


@click.command("down")
@click.option("--wipe", is_flag=True, help="Forget objects, images, volumes and certificates too.")
def down_command(wipe: bool) -> None:
    """End everything; objects and images stay."""
    settings = read_settings({})
    if os.geteuid() != 0:
        raise UserError("pinnace down needs root", "sudo pinnace down")
    try:
        pid = int(Client(settings).post("/pinnace/v1/stop")["pid"])
    except UserError:
        pid = 0  # not running; what a daemon that died has left is cleared all the same
    if pid:
        _wait_for_end(pid)
    argv = [
        sys.executable,
        "-m",
        "pinnace.daemon",
        render_settings(settings),
        "--clear",
        *(["--wipe"] if wipe else []),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False)
    word: dict[str, Any] = json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {}
    if done.returncode or "error" in word:
        raise HostError(
            word.get("error", f"clearing ended with code {done.returncode}"),
            stderr=done.stderr[-2000:],
            hint=word.get("hint", "run `pinnace down` again"),
        )
    for line in word["lines"]:
        say(line)


def _wait_for_end(pid: int) -> None:
    import select

    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not select.select([fd], [], [], END_TIMEOUT_S)[0]:
            raise HostError(f"the daemon (pid {pid}) does not end", hint=f"kill -9 {pid}; pinnace down")
    finally:
        os.close(fd)
