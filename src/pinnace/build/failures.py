"""Decides what a person is told when a step fails: the line, the command's last output, what to do. Pure."""

from __future__ import annotations

import errno
import os

from pinnace.base.errors import HostError, PinnaceError, UserError
from pinnace.build.execute import TAIL_LINES, CommandFailed
from pinnace.build.hints import FULL_HINT, Seen, find_hint
from pinnace.build.steps import Place
from pinnace.dockerfile.source import Source


def place_error(error: PinnaceError | OSError, place: Place, source: Source) -> PinnaceError:
    """Put the Dockerfile's lines into an error, unless it has a place."""
    if isinstance(error, OSError):
        error = host_error(error)
    where = source.excerpt(place.line, place.last_line)
    if isinstance(error, CommandFailed):
        tail = "\n".join(error.tail.rstrip().splitlines()[-TAIL_LINES:])
        seen = Seen(error.code, error.command, error.tail, error.oom, error.system)
        return UserError(error.message + (f"\n{tail}" if tail else ""), find_hint(seen), where)
    if isinstance(error, UserError) and not error.where:
        return UserError(error.message, error.hint, where)
    if isinstance(error, HostError):
        return HostError(
            f"{source.name}:{place.line}: {source.line(place.line).strip()}: {error.message}",
            errno=error.errno,
            argv=error.argv,
            stderr=error.stderr,
            returncode=error.returncode,
            hint=error.hint or (FULL_HINT if error.errno == errno.ENOSPC else ""),
        )
    return error


def host_error(error: OSError) -> HostError:
    """Return what the kernel refused us, a file of our own most likely, in a person's words."""
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    hint = FULL_HINT if error.errno == errno.ENOSPC else ""
    said = error.strerror or str(error)
    return HostError(f"{name}: {said}" if name else said, errno=error.errno, hint=hint)
