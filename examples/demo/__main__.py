"""`make demo`: runs the main job in an instance of its own, shows evidence for each step, and cleans up, whatever happens.

Exit code 0 only if every claim held and nothing is left on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from examples.demo import building, rollout, scaling, serving
from examples.demo.leftovers import find_leftovers
from examples.demo.report import Report
from examples.demo.stage import CommandError, Stage, choose_port

SECTIONS: tuple[Callable[[Stage], Awaitable[None]], ...] = (
    building.start,
    building.bring_bases,
    building.build,
    building.run_containers,
    serving.apply,
    serving.spread,
    serving.delete_pod,
    serving.kill_process,
    scaling.scale,
    rollout.update,
    rollout.undo,
    rollout.crash,
)
GONE_S = 5.0  # processes that were killed may need a moment to be reaped


async def run(stage: Stage) -> None:
    """Do all sections; stops at the first that can't go on. Cleans up in any case."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    try:
        await _clear_old(stage)
        for section in SECTIONS:
            await section(stage)
    except asyncio.CancelledError:
        stage.report.claim("the demo ran to its end (it was interrupted)", False)
    except (CommandError, TimeoutError, LookupError, OSError, SystemExit) as error:
        stage.report.claim(f"the demo ran to its end ({type(error).__name__}: {error})", False)
        await _show_story(stage)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, lambda: None)  # the clean-up isn't interrupted
        await _clean_up(stage)


async def _clear_old(stage: Stage) -> None:
    """End what an earlier demo, killed halfway, has left."""
    if find_leftovers(stage.name, (stage.home, stage.run_folder)):
        stage.report.note("An earlier demo was cut off; its remains go first.")
        await stage.pinnace("down", "--wipe")
        stage.port = choose_port()


async def _clean_up(stage: Stage) -> None:
    stage.report.section("The end", "Everything goes: containers, links, rules, images.")
    try:
        await stage.pinnace("down", "--wipe")
    except CommandError as error:
        stage.report.claim(str(error), False)
    left = await _wait_until_gone(stage)
    for line in left:
        stage.report.note(line)
    stage.report.claim(
        "no process, mount, namespace, link, rule, cgroup or folder of the demo is left", not left
    )


async def _wait_until_gone(stage: Stage) -> list[str]:
    end = time.monotonic() + GONE_S
    while True:
        left = find_leftovers(stage.name, (stage.home, stage.run_folder))
        if not left or time.monotonic() > end:
            return left
        await asyncio.sleep(0.1)


async def _show_story(stage: Stage) -> None:
    """Print what helps to understand a failure."""
    with contextlib.suppress(Exception):
        await stage.kubectl(
            "get", "pods,events", "--sort-by=.metadata.creationTimestamp", last=30, check=False
        )
    log = stage.run_folder / "daemon.log"
    if log.exists():
        stage.report.note(f"the end of {log}:")
        stage.report.output(log.read_text(errors="replace"), last=20)


@contextlib.contextmanager
def _only_one(name: str) -> Iterator[None]:
    """Hold a lock, so that two demos at once don't end each other."""
    with open(f"/run/lock/pinnace-{name}-show", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit("error: another demo runs on this machine\nhint: wait for its end") from None
        yield
        os.unlink(lock.name)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m examples.demo", description="Show the main job, with evidence."
    )
    parser.add_argument("--name", default="demo", help="name of the instance (demo)")
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit(
            "error: the demo needs root: it makes network links, mounts and cgroups\nhint: sudo make demo"
        )
    os.chdir(Path(__file__).resolve().parent.parent.parent)
    with _only_one(options.name):
        report = Report()
        stage = Stage(report, name=options.name, port=choose_port())
        asyncio.run(run(stage))
        return report.end()


if __name__ == "__main__":
    sys.exit(main())
