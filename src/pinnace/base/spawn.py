"""The one place that starts child processes. It records argv, time-out and stderr, so that an error shows the command."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pinnace.base.children import Launch, discard, launch
from pinnace.base.errors import HostError

DEFAULT_TIMEOUT_S = 60.0
STDERR_SHOWN = 2000  # characters of stderr that an error carries


@dataclass(frozen=True, slots=True)
class Completed:
    """A process that ended. Units: `seconds` is wall time. A negative `returncode` is a signal's number."""

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes
    seconds: float


def find_program(name: str, *, hint: str = "") -> str:
    """Return the path of a program. Raises: HostError, naming it, when it is not installed."""
    path = shutil.which(name) or next(
        (
            f"{place}/{name}"
            for place in ("/usr/sbin", "/sbin", "/usr/libexec")
            if os.access(f"{place}/{name}", os.X_OK)
        ),
        None,
    )
    if path is None:
        raise HostError(f"{name} is not installed", hint=hint or f"apt-get install {name}")
    return path


async def start(
    argv: Sequence[str],
    *,
    stdin: int | None = asyncio.subprocess.DEVNULL,
    stdout: int | None = asyncio.subprocess.DEVNULL,
    stderr: int | None = asyncio.subprocess.DEVNULL,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    pass_fds: Sequence[int] = (),
    new_session: bool = True,
) -> asyncio.subprocess.Process:
    """Start a process whose end the caller waits for. Raises: HostError when it can't be started."""
    launched = Launch(
        argv=tuple(argv),
        stdio=(stdin, stdout, stderr),
        env=env,
        cwd=None if cwd is None else os.fspath(cwd),
        pass_fds=tuple(pass_fds),
        new_session=new_session,
    )
    try:
        return await launch(launched)
    except OSError as error:
        raise HostError(
            f"{argv[0]} can't be started: {error.strerror}",
            errno=error.errno,
            argv=argv,
            hint=f"is {argv[0]} installed, and executable?",
        ) from error


async def run(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    timeout_s: float = DEFAULT_TIMEOUT_S,
    check: bool = True,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    pass_fds: Sequence[int] = (),
) -> Completed:
    """Run a process to its end and return what it wrote.

    The process leads a session of its own; when the time is over, or the caller is cancelled, all of it is killed.
    Raises: HostError when it can't be started, outlasts `timeout_s`, or (with `check`) ends with another code than 0.
    """
    began = time.monotonic()
    process = await start(
        argv,
        stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=env,
        cwd=cwd,
        pass_fds=pass_fds,
    )
    try:
        stdout, stderr = await asyncio.wait_for(process.communicate(stdin or None), timeout_s)
    except TimeoutError:
        await discard(process)
        raise HostError(f"{shlex.join(argv)} did not end within {timeout_s:g} s", argv=argv) from None
    except asyncio.CancelledError:
        await discard(process)
        raise
    assert process.returncode is not None
    completed = Completed(tuple(argv), process.returncode, stdout, stderr, time.monotonic() - began)
    if check and completed.returncode != 0:
        raise failure(completed)
    return completed


def failure(completed: Completed) -> HostError:
    """Return the error that a process's end with a code other than 0 means."""
    said = completed.stderr.decode(errors="replace").strip()[-STDERR_SHOWN:]
    ending = (
        f"code {completed.returncode}" if completed.returncode >= 0 else f"signal {-completed.returncode}"
    )
    return HostError(
        f"{shlex.join(completed.argv)} ended with {ending}" + (f": {said}" if said else ""),
        argv=completed.argv,
        stderr=said,
        returncode=completed.returncode,
    )
