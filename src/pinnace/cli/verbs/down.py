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
from pinnace.cli.output import say

STDERR_SHOWN = 2000


@click.command("down")
@click.option("--wipe", is_flag=True, help="Forget objects, images, volumes and certificates too.")
def down_command(wipe: bool) -> None:
    """End everything; objects and images stay."""
    settings = read_settings({})
    if os.geteuid() != 0:
        raise UserError("pinnace down needs root", "sudo pinnace down")
    argv = [
        sys.executable,
        "-m",
        "pinnace.daemon",
        render_settings(settings),
        "--clear",
        *(["--wipe"] if wipe else []),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    word: dict[str, Any] = json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {}
    hint = word.get("hint") or "run `pinnace down` again"
    if word.get("user"):
        raise UserError(word["error"], hint)
    if done.returncode or "error" in word:
        said = done.stderr.strip()[-STDERR_SHOWN:]
        raise HostError(
            word.get("error", f"clearing ended with code {done.returncode}"), stderr=said, hint=hint
        )
    for line in word["lines"]:
        say(line)
