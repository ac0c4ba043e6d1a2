"""The verbs that change containers, and `logs` and `wait`: start, stop, restart, kill, rm."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import click

from pinnace.base.errors import ApiError, PinnaceError, UserError
from pinnace.cli.client import Client
from pinnace.cli.output import say
from pinnace.cli.verbs.run import hold


def path_of(name: str, what: str = "", **query: object) -> str:
    """Return the path of a container's route. Example: path_of("web", "stop", time=5)."""
    given = {key: value for key, value in query.items() if value is not None}
    tail = f"/{what}" if what else ""
    return f"/pinnace/v1/containers/{quote(name, safe='')}{tail}" + (f"?{urlencode(given)}" if given else "")


def _each(names: tuple[str, ...], act: Callable[[Client, str], Any]) -> int:
    """Act on each and print its name; go on after a failure. Returns the exit code."""
    client, code = Client(), 0
    for name in names:
        try:
            answer = act(client, name)
        except (ApiError, UserError, PinnaceError) as error:
            say(f"error: {error.message}")
            if error.hint:
                say(f"hint: {error.hint}")
            code = 1
            continue
        print(name if answer is None else answer, flush=True)
    return code


@click.command("start")
@click.option("-a", "--attach", is_flag=True, help="Stay connected; the exit code is the command's.")
@click.option("-i", "--interactive", "stdin", is_flag=True, help="Send our standard input.")
@click.argument("names", nargs=-1, required=True)
def start_command(attach: bool, stdin: bool, names: tuple[str, ...]) -> int:
    """Start containers that have ended."""
    if attach or stdin:
        if len(names) > 1:
            raise UserError(
                "you cannot start and attach multiple containers at once", "start one of them with -a"
            )
        from pinnace.cli.verbs.exec import attach_to

        return attach_to(Client(), names[0], stdin=stdin, signals=True, start=True)
    return _each(names, lambda client, name: _forget(client.post(path_of(name, "start"))))


@click.command("stop")
@click.option(
    "-t",
    "--time",
    "seconds",
    type=int,
    default=None,
    metavar="SECONDS",
    help="Then kill it (default 10); -1 never.",
)
@click.argument("names", nargs=-1, required=True)
def stop_command(seconds: int | None, names: tuple[str, ...]) -> int:
    """Stop containers: their stop signal, then SIGKILL."""
    return _each(names, lambda client, name: _forget(client.post(path_of(name, "stop", time=seconds))))


@click.command("restart")
@click.option(
    "-t", "--time", "seconds", type=int, default=None, metavar="SECONDS", help="Then kill it (default 10)."
)
@click.argument("names", nargs=-1, required=True)
def restart_command(seconds: int | None, names: tuple[str, ...]) -> int:
    """Stop and start containers."""
    return _each(names, lambda client, name: _forget(client.post(path_of(name, "restart", time=seconds))))


@click.command("kill")
@click.option(
    "-s", "--signal", "signal_name", default=None, metavar="SIGNAL", help="Another signal than KILL."
)
@click.argument("names", nargs=-1, required=True)
def kill_command(signal_name: str | None, names: tuple[str, ...]) -> int:
    """Send containers a signal."""
    return _each(names, lambda client, name: _forget(client.post(path_of(name, "kill", signal=signal_name))))


@click.command("rm")
@click.option("-f", "--force", is_flag=True, help="Kill those that run.")
@click.option("-v", "--volumes", is_flag=True, help="Remove their anonymous volumes too.")
@click.argument("names", nargs=-1, required=True)
def rm_command(force: bool, volumes: bool, names: tuple[str, ...]) -> int:
    """Remove containers."""

    def remove(client: Client, name: str) -> None:
        client.delete(path_of(name, force=int(force) or None, volumes=int(volumes) or None))

    return _each(names, remove)


@click.command("wait")
@click.argument("names", nargs=-1, required=True)
def wait_command(names: tuple[str, ...]) -> int:
    """Wait until containers have ended; print their exit codes."""
    return _each(names, lambda client, name: client.post(path_of(name, "wait"))["code"])


@click.command("logs")
@click.option("-f", "--follow", is_flag=True, help="Go on until the container ends.")
@click.option("-n", "--tail", default="all", metavar="LINES", help="Only the last ones.")
@click.option("--since", default=None, metavar="TIME", help="From a time, or as long ago as 10m.")
@click.option("--until", default=None, metavar="TIME", help="Up to a time, or as long ago as 10m.")
@click.option("-t", "--timestamps", is_flag=True, help="Show when each line was written.")
@click.argument("name")
def logs_command(
    follow: bool, tail: str, since: str | None, until: str | None, timestamps: bool, name: str
) -> int:
    """Show what a container has written."""
    if tail != "all" and not tail.isdecimal():
        raise UserError(f"--tail {tail!r} is not a number of lines", "--tail 100")
    query = {
        "follow": 1 if follow else None,
        "tail": None if tail == "all" else tail,
        "since": None if since is None else parse_moment(since),
        "until": None if until is None else parse_moment(until),
        "timestamps": 1 if timestamps else None,
    }
    return hold(Client(), path_of(name, "logs", **query), {})


_SPAN = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")


def parse_moment(text: str) -> float:
    """Return a time in seconds since 1970. Example: "10m" is ten minutes ago; "2026-01-02T03:04:05Z", "1767323045". Raises: UserError."""
    span = _SPAN.fullmatch(text)
    if span is not None and text:
        hours, minutes, seconds = (float(part or 0) for part in span.groups())
        return time.time() - hours * 3600 - minutes * 60 - seconds
    try:
        return float(text)
    except ValueError:
        pass
    from datetime import datetime

    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise UserError(f"{text!r} is not a time", "such as 10m, 1h30m, 2026-01-02T03:04:05Z") from None


def _forget(answer: object) -> None:
    return None
