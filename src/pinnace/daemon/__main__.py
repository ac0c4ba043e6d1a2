"""`python -m pinnace.daemon SETTINGS [--ready-fd N] [--clear [--wipe]]`: the process behind `pinnace up` and `down`.

Says on the ready descriptor, as one line of JSON, that it is ready or why it can't be. Ends in order on SIGTERM and
SIGINT; containers go on then. `--clear` ends and removes what an instance runs (its daemon must not run).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from typing import Any

from pinnace.base.errors import PinnaceError, UserError
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
    try:
        if options.clear:
            lines = _new_loop_run(_clear(settings, wipe=options.wipe))
            print(json.dumps({"lines": lines}))
        else:
            _new_loop_run(_serve(settings, options.ready_fd))
    except PinnaceError as error:
        word = {"error": error.message, "hint": error.hint, "user": isinstance(error, UserError)}
        if options.clear:
            print(json.dumps(word))
        elif options.ready_fd >= 0:
            _say(options.ready_fd, word)
        else:
            print(f"error: {error.message}", file=sys.stderr)
            if error.hint:
                print(f"hint: {error.hint}", file=sys.stderr)
        log.debug("ended", exc_info=error)
        sys.exit(1 if isinstance(error, UserError) else 2)


def _new_loop_run(main: Any) -> Any:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


async def _serve(settings: Settings, ready_fd: int) -> None:
    from pinnace.daemon.instance import Instance

    ended = asyncio.Event()
    instance = Instance(settings, stop=ended.set)
    loop = asyncio.get_running_loop()
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
