"""`python -m pinnace.daemon SETTINGS [--ready-fd N] [--clear [--wipe]]`: the process behind `pinnace up` and `down`.

Says on the ready descriptor, as one line of JSON, that it is ready or why it can't be. Ends in order on SIGTERM and
SIGINT; containers go on then. `--clear` ends and removes what an instance runs, its daemon first.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pinnace.base.errors import Bug, PinnaceError, UserError
from pinnace.base.priority import lower_this_thread, raise_this_thread
from pinnace.base.settings import Settings, parse_settings

log = logging.getLogger("pinnace.daemon")


def main() -> None:
    """Run, or clear, an instance."""
    parser = argparse.ArgumentParser(prog="pinnace.daemon")
    parser.add_argument("settings", type=parse_settings)
    parser.add_argument("--ready-fd", type=int, default=-1)
    parser.add_argument("--clear", action="store_true")
    parser.add_argument("--wipe", action="store_true")
    options = parser.parse_args()
    settings: Settings = options.settings
    logging.basicConfig(
        level=logging.DEBUG if settings.debug else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for noisy in ("asyncio", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    os.umask(0o022)  # containers' users read what we make for them, whatever the caller's umask
    try:
        if options.clear:
            lines = _new_loop_run(_clear(settings, wipe=options.wipe))
            print(json.dumps({"lines": lines}))
        else:
            _new_loop_run(_serve(settings, options.ready_fd))
    except PinnaceError as error:
        log.debug("ended", exc_info=error)
        sys.exit(_fail(error, clear=options.clear, ready_fd=options.ready_fd))
    except Exception as error:  # the edge: a person reads one sentence, the log has the rest
        log.exception("ended")
        bug = Bug(f"unexpected {type(error).__name__}: {error}", hint="the daemon's log shows where")
        sys.exit(_fail(bug, clear=options.clear, ready_fd=options.ready_fd))


def _fail(error: PinnaceError, *, clear: bool, ready_fd: int) -> int:
    """Say why to whoever waits for us, and return the exit code."""
    word = {"error": error.message, "hint": error.hint, "user": isinstance(error, UserError)}
    if clear:
        print(json.dumps(word))
    elif ready_fd >= 0:
        _say(ready_fd, word)
    else:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
    return 1 if isinstance(error, UserError) else 2


def _new_loop_run(main: Any) -> Any:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


async def _serve(settings: Settings, ready_fd: int) -> None:
    # What is loaded and built now stays as long as we do: looking for garbage among it would cost a tenth of the start, and
    # every full collection later.
    gc.disable()
    from pinnace.daemon.instance import Instance

    ended = asyncio.Event()
    instance = Instance(settings)
    loop = asyncio.get_running_loop()
    raise_this_thread()
    loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix="files", initializer=lower_this_thread))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    try:
        await instance.start()
        lines = instance.greeting()
        if ready_fd >= 0:
            _say(ready_fd, {"lines": lines})
        else:
            for line in lines:
                print(line, file=sys.stderr, flush=True)
        gc.freeze()
        gc.enable()
        await ended.wait()
    finally:
        await instance.close()


async def _clear(settings: Settings, *, wipe: bool) -> list[str]:
    from pinnace.daemon.clear import clear_instance

    return await clear_instance(settings, wipe=wipe)


def _say(fd: int, word: dict[str, Any]) -> None:
    with os.fdopen(fd, "w") as stream:
        stream.write(json.dumps(word) + "\n")


if __name__ == "__main__":
    main()
