"""Decides what a failed start means: the exit code of `run`, and the words. Pure.

Source: Docker's documentation, docker run, "Exit status": 125 the daemon's own failure, 126 the command can't be invoked,
127 it is not found.
"""

from __future__ import annotations

import re

from pinnace.base.errors import HostError, PinnaceError
from pinnace.container.monitor import classify_start_failure

OWN_FAILURE = 125


def classify(error: PinnaceError) -> int:
    """Return the exit code of a `run` that failed so."""
    if not isinstance(error, HostError):
        return OWN_FAILURE
    code = classify_start_failure(f"{error.message} {error.stderr}")
    return code if code in (126, 127) else OWN_FAILURE


def describe(error: PinnaceError, argv: tuple[str, ...]) -> PinnaceError:
    """Return the error as a person should read it: which command, and what to do."""
    code = classify(error)
    if code == OWN_FAILURE:
        return error
    program = argv[0] if argv else ""
    if code == 127:
        reason, hint = (
            "executable file not found in $PATH",
            "is it in the image? give its whole path, or set PATH",
        )
        if "/" in program:
            reason, hint = (
                "no such file or directory",
                "is it in the image, with the interpreter that its first line names?",
            )
    else:
        found = re.search(
            r"permission denied|exec format error|is a directory",
            f"{error.message} {getattr(error, 'stderr', '')}".lower(),
        )
        reason = found[0] if found else "it can't be invoked"
        hint = "is it executable, and for this machine's architecture?"
    return HostError(f'exec: "{program}": {reason}', argv=getattr(error, "argv", ()), stderr="", hint=hint)
