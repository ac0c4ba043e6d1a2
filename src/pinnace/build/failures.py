"""Decides what a person is told when a step fails: the line, the command's last output, what to do. Pure."""

from __future__ import annotations

import errno

from pinnace.base.errors import HostError, PinnaceError, UserError
from pinnace.build.execute import TAIL_LINES, CommandFailed
from pinnace.build.steps import Place
from pinnace.dockerfile.source import Source

FULL_HINT = "the disk is full: pinnace builder prune, or pinnace images and pinnace rmi IMAGE"

# What a command wrote (any of these), and what helps.
HINTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        (
            "CERTIFICATE_VERIFY_FAILED",
            "certificate verify failed",
            "self-signed certificate",
            "self signed certificate",
        ),
        "behind an inspecting proxy? pinnace build --host-ca mounts the host's CA bundle for RUN steps",
    ),
    (
        (
            "Temporary failure in name resolution",
            "Could not resolve host",
            "bad address",
            "Name or service not known",
        ),
        "names could not be resolved: look at /etc/resolv.conf of this host, or try RUN --network=host",
    ),
    (
        ("No space left on device",),
        FULL_HINT,
    ),
)
CODES = {
    126: "the command is there but can't be run: is it executable, and for this machine?",
    127: "the command is not in the image: is the base image the right one?",
    137: "it was killed (SIGKILL): was memory short? see dmesg",
}
OTHERWISE = "the lines above are the command's last output"


def place_error(error: PinnaceError, place: Place, source: Source) -> PinnaceError:
    """Put the Dockerfile's line into an error, unless it has one."""
    where = f"{source.name}:{place.line}: {source.line(place.line).strip()}"
    if isinstance(error, CommandFailed):
        tail = "\n".join(error.tail.rstrip().splitlines()[-TAIL_LINES:])
        return UserError(error.message + (f"\n{tail}" if tail else ""), find_hint(error), where)
    if isinstance(error, UserError) and not error.where:
        return UserError(error.message, error.hint, where)
    if isinstance(error, HostError):
        return HostError(
            f"{where}: {error.message}",
            errno=error.errno,
            argv=error.argv,
            stderr=error.stderr,
            returncode=error.returncode,
            hint=error.hint or (FULL_HINT if error.errno == errno.ENOSPC else ""),
        )
    return error


def find_hint(error: CommandFailed) -> str:
    """Return what to do about a command that failed, from its output and its code."""
    if error.oom:
        return "memory ran out and the kernel killed it: give this machine more, or build with less at once"
    for marks, hint in HINTS:
        if any(mark in error.tail for mark in marks):
            return hint
    return CODES.get(
        error.code, OTHERWISE if error.tail.strip() else "it wrote nothing: run it by hand in the base image"
    )
