"""Sections about change: a rolling update under load and the way back; the daemon's death and its return."""

from __future__ import annotations

import os
import signal
import time

from examples.demo.serving import names_of, restarts_of, wait_for_pods, wait_until_old_are_gone
from examples.demo.stage import DEPLOYMENT, Stage
from examples.load import Load, Tally

RATE_PER_S = 40.0


async def update(stage: Stage) -> None:
    """v1 becomes v2 under load."""
    stage.report.section(
        "Rolling update",
        "v1 becomes v2 while two crowds ask: one with new connections, one that keeps its own.",
    )
    words = ("set", "image", f"deployment/{DEPLOYMENT}", "inference=my-model:v2")
    await _change_under_load(stage, words, "v2")


async def undo(stage: Stage) -> None:
    """v2 becomes v1 again under load."""
    stage.report.section("Undo", "The way back is a rollout too.")
    await stage.kubectl("rollout", "history", f"deployment/{DEPLOYMENT}")
    await _change_under_load(stage, ("rollout", "undo", f"deployment/{DEPLOYMENT}"), "v1")


async def _change_under_load(stage: Stage, words: tuple[str, ...], version: str) -> None:
    crowds = [
        Load(stage.url, rate_per_s=RATE_PER_S).start(),
        Load(stage.url, rate_per_s=RATE_PER_S / 2, workers=4, keep_alive=True).start(),
    ]
    await crowds[0].wait_for(40)
    await stage.kubectl(*words)
    await stage.kubectl("rollout", "status", f"deployment/{DEPLOYMENT}", "--timeout=120s", last=1)
    await wait_until_old_are_gone(stage)  # only then has every kept connection moved
    await crowds[1].wait_for(40)
    tallies = [await crowd.stop() for crowd in crowds]
    for kind, tally in zip(("new connections", "kept connections"), tallies, strict=True):
        stage.report.note(f"{kind}: {tally.describe()}; {_by_version(tally)}")
        for failure in tally.failures[:3]:
            stage.report.note(f"   failed at {failure.at_s:.2f} s: {failure.why}")
    requests = sum(tally.requests for tally in tallies)
    failed = sum(tally.failed for tally in tallies)
    stage.report.claim(f"{requests} requests, {failed} failed", failed == 0)
    probe = Load(stage.url, rate_per_s=RATE_PER_S).start()
    await probe.wait_for(20)
    after = await probe.stop()
    stage.report.claim(
        f"all that is served now is {version}", set(after.versions) == {version} and not after.failed
    )


def _by_version(tally: Tally) -> str:
    return ", ".join(f"{count} by {version}" for version, count in sorted(tally.versions.items()))


async def crash(stage: Stage) -> None:
    """kill -9 of the daemon; the next one adopts what runs."""
    stage.report.section(
        "The daemon dies", "kill -9 of Pinnace itself: containers outlive it, requests go on."
    )
    before = await stage.pods()
    load = Load(stage.url, rate_per_s=RATE_PER_S).start()
    await load.wait_for(20)
    pid = int((stage.run_folder / "pinnace.pid").read_text())
    stage.report.command(("kill", "-9", str(pid)))
    os.kill(pid, signal.SIGKILL)
    await load.wait_for(60)
    without = load.tally.requests
    done = await stage.pinnace("status", check=False)
    stage.report.claim(
        "without its daemon, `pinnace status` says so, and what to do", done.code == 1 and "hint:" in done.err
    )
    await stage.pinnace("up")
    after = await stage.pods()
    await load.wait_for(40)
    tally = await load.stop()
    stage.report.claim(
        "the next daemon adopts what runs: the same pods, none restarted",
        names_of(before) == names_of(after) and restarts_of(before) == restarts_of(after),
    )
    stage.report.claim(f"{tally.describe()}, {without} of them before `up`", tally.failed == 0)
    victim = after[0]["metadata"]["name"]
    await stage.kubectl("delete", "pod", victim, "--wait=false")
    seconds = await wait_for_pods(stage, time.monotonic(), lambda pods: victim not in names_of(pods))
    stage.report.claim(f"and it acts again: a deleted pod is replaced in {seconds:.1f} s", seconds < 20)
