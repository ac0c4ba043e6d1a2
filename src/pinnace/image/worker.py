"""The worker process: reads one request, runs the function that it names, answers, waits for the next. See `workers`.

A function takes (job, report): `job` is decoded into the type of its first parameter. It ends with its parent: when
stdin ends, or when the parent dies. Invariant: only what stands in `pinnace.` can be called.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO, get_type_hints

import msgspec

from pinnace.base.errors import Bug
from pinnace.image import frames

PR_SET_PDEATHSIG = 1  # Source: linux/prctl.h
NICE = 5  # builds and imports give way to the daemon and to containers
REPORT_EVERY_S = 0.1


def main() -> None:
    """Serve stdin and stdout until the parent is gone."""
    parent = int(sys.argv[1])  # not what the kernel says now: it may have died while we were imported
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return  # it died before we asked to die with it
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the daemon decides
    requests, answers = sys.stdin.buffer, _take_stdout()
    while (request := read_request(requests)) is not None:
        answer = run(request, _Reporter(answers))
        answers.write(frames.render(answer))
        answers.flush()


def read_request(stream: BinaryIO) -> frames.Request | None:
    """Return the next request; None when the daemon has closed the pipe."""
    header = stream.read(frames.HEADER.size)
    if len(header) < frames.HEADER.size:
        return None
    return msgspec.json.decode(stream.read(frames.parse_length(header)), type=frames.Request)


def run(request: frames.Request, report: Callable[[str, int, int], None]) -> frames.Result | frames.Failure:
    """Run one request to its answer; nothing that it raises gets out."""
    try:
        function = find_function(request.function)
        job = msgspec.json.decode(request.job, type=job_type(function))
        return frames.Result(msgspec.Raw(msgspec.json.encode(function(job, report))))
    except Exception as error:  # noqa: BLE001 (the daemon gets it)
        return frames.describe_error(error, traceback.format_exc())


def find_function(name: str) -> Callable[[Any, Any], Any]:
    """Return the function "pinnace.module:name". Raises: Bug."""
    module, colon, attribute = name.partition(":")
    if not colon or not module.startswith("pinnace."):
        raise Bug(f"a worker was asked to run {name!r}")
    function = getattr(importlib.import_module(module), attribute, None)
    if not callable(function):
        raise Bug(f"a worker was asked to run {name!r}, which is no function")
    return function  # type: ignore[no-any-return]


def job_type(function: Callable[..., Any]) -> Any:
    """Return the type of a function's first parameter."""
    return next(iter(get_type_hints(function).values()))


class _Reporter:
    """Sends progress, but not more often than a person can read."""

    def __init__(self, answers: BinaryIO) -> None:
        self._answers = answers
        self._next = 0.0

    def __call__(self, what: str, entries: int, size: int) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + REPORT_EVERY_S
            self._answers.write(frames.render(frames.Progress(what, entries, size)))
            self._answers.flush()


def _take_stdout() -> BinaryIO:
    """Keep stdout for answers; what a library prints goes to stderr."""
    kept = os.dup(1)
    os.set_inheritable(kept, False)
    os.dup2(2, 1)
    return os.fdopen(kept, "wb")


if __name__ == "__main__":
    main()
