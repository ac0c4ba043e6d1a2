"""Decides how a build is shown, from the flag, the environment and what standard error is. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pinnace.base.errors import UserError

MODES = ("auto", "plain", "tty", "quiet", "rawjson")
VARIABLE = "BUILDKIT_PROGRESS"  # Source: Docker, build: the default of --progress


def choose_mode(flag: str, environ: Mapping[str, str], *, is_terminal: bool, is_quiet: bool) -> str:
    """Return "plain", "tty", "quiet" or "rawjson".

    Raises: UserError for a word that is none of these, and for "tty" where there is no terminal.
    """
    if is_quiet:
        return "quiet"
    wanted = flag or environ.get(VARIABLE, "") or "auto"
    if wanted not in MODES:
        where = "--progress" if flag else VARIABLE
        raise UserError(f"{where}={wanted}: unknown", f"one of {', '.join(MODES)}")
    if wanted == "tty" and not is_terminal:
        raise UserError("--progress=tty: standard error is no terminal", "--progress=plain, or leave it out")
    if wanted == "auto":
        return "tty" if is_terminal and environ.get("TERM", "") not in ("", "dumb") else "plain"
    return wanted


def wants_colour(environ: Mapping[str, str]) -> bool:
    """Say whether colours may be used. Source: no-color.org: any value but an empty one says no."""
    return not environ.get("NO_COLOR")
