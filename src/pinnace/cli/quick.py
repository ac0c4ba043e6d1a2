"""The short way into `pinnace run`: without click, which takes longer to import than the daemon to make a sandbox.

`cli/main.py` asks here first. Whatever is not plain (an unknown flag, --help, -d, no daemon) is left to the long way, which
does the same from the same table of flags. Also the end of all sessions: what an error looks like, and its exit code.
"""

from __future__ import annotations

import os
import socket
import sys

from pinnace.cli.run_flags import build_request, parse_quickly
from pinnace.cli.session import Detached, Session, SessionFailed, SessionLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pinnace.base.errors import PinnaceError

OWN_FAILURE = 125  # Source: Docker's documentation, docker run, "Exit status"


def try_run(words: list[str]) -> int | None:
    """Do `run` with these words and return its exit code; None when it is left to the long way, before anything is done."""
    flags = parse_quickly(words)
    if (
        flags is None
        or (flags["tty"] and flags["stdin"] and not os.isatty(0))
        or os.environ.get("PINNACE_DEBUG")
    ):
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(socket_path())
    except OSError:
        connection.close()
        return None
    try:
        request = build_request(flags)
    except Exception as error:
        from pinnace.base.errors import PinnaceError

        connection.close()
        if isinstance(error, PinnaceError):
            return fail(error, OWN_FAILURE)
        raise
    return run_attached(connection, request, pull=lambda error: _pull(request["image"], error))


def socket_path() -> str:
    """Return where the daemon listens: `Settings.kube_socket`, without its imports."""
    name = os.environ.get("PINNACE_NAME") or "pinnace"
    run = os.environ.get("PINNACE_RUN") or ("/run/pinnace" if name == "pinnace" else f"/run/pinnace-{name}")
    return f"{run}/kube.sock"


def _pull(image: str, error: PinnaceError) -> socket.socket:
    from pinnace.cli.client import Client
    from pinnace.cli.pulling import pull_missing

    client = Client()
    pull_missing(client, image, error)
    return client.connect()


def run_attached(
    connection: socket.socket,
    request: dict[str, Any],
    *,
    sig_proxy: bool = True,
    cidfile: str = "",
    pull: Callable[[PinnaceError], socket.socket] | None = None,
) -> int:
    """Run a container and stay until it ends; return the exit code.

    `pull` is called once when the image is not here, and returns a fresh connection for the next try.
    """

    def tell(started: dict[str, Any]) -> None:
        for warning in started["warnings"]:
            print(f"WARNING: {warning}", file=sys.stderr, flush=True)
        if cidfile:
            with open(cidfile, "w") as file:
                file.write(started["id"])

    return hold_on(
        connection,
        "/pinnace/v1/run",
        {**request, "attached": True},
        stdin=request["stdin"],
        tty=request["tty"],
        signals=sig_proxy and not request["tty"],
        own_failure=OWN_FAILURE,
        on_started=tell,
        patient=True,
        recover=pull,
    )


def hold_on(
    connection: socket.socket,
    path: str,
    request: Any,
    *,
    stdin: bool,
    tty: bool,
    signals: bool,
    own_failure: int,
    on_started: Callable[[dict[str, Any]], None] | None = None,
    patient: bool = False,
    recover: Callable[[PinnaceError], socket.socket] | None = None,
) -> int:
    """Hold a session to its end; return the exit code, `own_failure` where no command was to blame.

    When an image is missing, `recover` may bring it; the session is then begun anew, once.
    """

    def hold(by: socket.socket) -> int:
        return Session(
            by, path, request, stdin=stdin, tty=tty, signals=signals, on_started=on_started, patient=patient
        ).run()

    try:
        try:
            return hold(connection)
        except SessionFailed as failed:
            if recover is None or not failed.lacks_image:
                raise
            from pinnace.base.errors import PinnaceError
            from pinnace.cli.client import parse_error

            try:
                again = recover(parse_error(0, failed.document))
            except PinnaceError as error:
                return fail(error, own_failure)
            return hold(again)
    except SessionFailed as failed:
        from pinnace.cli.client import parse_error

        return fail(
            parse_error(0, failed.document), failed.code if failed.code in (126, 127) else own_failure
        )
    except SessionLost:
        from pinnace.base.errors import HostError

        lost = HostError(
            "the daemon closed the session", hint="see `pinnace status`; the container may go on"
        )
        return fail(lost, own_failure)
    except Detached:
        print("read escape sequence", file=sys.stderr)
        return 0


def fail(error: PinnaceError, code: int) -> int:
    """Print an error and return the exit code that it has."""
    from pinnace.cli.output import print_error

    if os.environ.get("PINNACE_DEBUG"):
        import traceback

        traceback.print_exception(error)
    print_error(error.message, where=getattr(error, "where", ""), hint=error.hint)
    return code
