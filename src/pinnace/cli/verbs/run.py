"""`pinnace run` and `pinnace create`: flags as they are, to the daemon; then the session until the container ends."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any, TypeVar

import click

from pinnace.base.errors import PinnaceError, UserError
from pinnace.cli.client import Client
from pinnace.cli.output import say
from pinnace.cli.pulling import ImageWish
from pinnace.cli.quick import OWN_FAILURE, fail, hold_on, run_attached
from pinnace.cli.run_flags import FLAGS, LISTS, NUMBERS, TEXTS, build_request

F = TypeVar("F", bound=Callable[..., Any])


def _options(command: F) -> F:
    wrapped: Any = command
    for names, field, metavar, text in reversed(LISTS):
        wrapped = click.option(*names, field, multiple=True, metavar=metavar, help=text)(wrapped)
    for names, field, metavar, text in reversed(TEXTS):
        wrapped = click.option(*names, field, default="", metavar=metavar, help=text)(wrapped)
    for names, field, text in reversed(FLAGS):
        wrapped = click.option(*names, field, is_flag=True, help=text)(wrapped)
    more = [
        *(
            click.option(*names, field, type=int, default=default, metavar=metavar, help=text)
            for names, field, default, metavar, text in NUMBERS
        ),
        click.option(
            "--entrypoint", default=None, metavar="COMMAND", help='Instead of the image\'s; "" for none.'
        ),
        click.option(
            "--pull",
            default="missing",
            metavar="WHEN",
            help="Get the image from its registry: always, missing (default) or never.",
        ),
        click.option("--platform", default="", metavar="OS/ARCH", help="Of the image, such as linux/arm64."),
        click.option("--init", is_flag=True, hidden=True),
        click.option("--cidfile", default="", metavar="FILE", help="Write the id to a file."),
    ]
    for option in reversed(more):
        wrapped = option(wrapped)
    result: F = wrapped
    return result


_SETTINGS = {"allow_interspersed_args": False, "help_option_names": ["--help"]}


@click.command("run", context_settings=_SETTINGS)
@click.option("-d", "--detach", is_flag=True, help="Print the id and let it run.")
@click.option("--sig-proxy/--no-sig-proxy", default=True, hidden=True)
@_options
@click.argument("image")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def run_command(detach: bool, sig_proxy: bool, **flags: Any) -> int:
    """Create a container and run it; the exit code is the command's."""
    try:
        cidfile = flags.pop("cidfile")
        image = ImageWish(flags.pop("pull"), flags.pop("platform"), flags["image"])
        request = build_request(flags)
        client = Client()
        if not detach and request["tty"] and request["stdin"] and not os.isatty(0):
            raise UserError("the input device is not a TTY", "leave -t out when the input is a pipe")
        image.pull_first(client)
        if detach:
            _tell(image.post(client, "/pinnace/v1/containers?start=1", request), cidfile)
            return 0

        def pull(error: PinnaceError) -> socket.socket:
            image.pull_missing(client, error)
            return client.connect()

        return run_attached(client.connect(), request, sig_proxy=sig_proxy, cidfile=cidfile, pull=pull)
    except PinnaceError as error:
        return fail(error, OWN_FAILURE)


@click.command("create", context_settings=_SETTINGS)
@_options
@click.argument("image")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def create_command(**flags: Any) -> None:
    """Create a container; `start` starts it."""
    cidfile = flags.pop("cidfile")
    image = ImageWish(flags.pop("pull"), flags.pop("platform"), flags["image"])
    client = Client()
    request = build_request(flags)
    image.pull_first(client)
    _tell(image.post(client, "/pinnace/v1/containers", request), cidfile)


def _tell(answer: dict[str, Any], cidfile: str) -> None:
    for warning in answer["warnings"]:
        say(f"WARNING: {warning}")
    print(answer["id"])
    if cidfile:
        with open(cidfile, "w") as file:
            file.write(answer["id"])


def hold(
    client: Client, path: str, request: Any, *, stdin: bool = False, tty: bool = False, signals: bool = False
) -> int:
    """Hold a session to its end; return the exit code, 1 where no command was to blame."""
    return hold_on(client.connect(), path, request, stdin=stdin, tty=tty, signals=signals, own_failure=1)
