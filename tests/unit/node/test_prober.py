"""When probes run, and which results count: on virtual time, with a command as the check."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pinnace.base.chance import Chance
from pinnace.base.clock import LoopClock
from pinnace.base.tasks import Tasks
from pinnace.base.virtual import run_virtual
from pinnace.kube.objects.core_v1 import ExecAction, Probe
from pinnace.node.prober import ProbeChange, Prober
from tests.unit.node.builders import container


class Bench:
    """One container whose command succeeds from `healthy_at` on; remembers when it ran and what was reported."""

    def __init__(self) -> None:
        self.clock = LoopClock(0.0)
        self.tasks = Tasks("probes")
        self.prober = Prober(self.clock, Chance(1), self.tasks, self._report)
        self.healthy_at = 0.0
        self.runs: dict[str, list[float]] = {}
        self.verdicts: list[tuple[float, str, bool | None]] = []

    def _report(self, change: ProbeChange) -> None:
        if change.changed:
            self.verdicts.append((round(self.clock.now(), 3), change.kind.value, change.passing))

    def watch(self, *, started: bool = False, **probes: Probe) -> None:
        self.prober.watch("u", container(**probes), 0, "", self._run, started=started)

    async def _run(self, command: tuple[str, ...], timeout_s: float) -> tuple[int, bytes]:
        self.runs.setdefault(command[0], []).append(round(self.clock.now(), 3))
        return (0, b"") if self.clock.now() >= self.healthy_at else (1, b"not yet")


def play(story: Callable[[Bench], Awaitable[None]]) -> Bench:
    async def main() -> Bench:
        bench = Bench()
        await story(bench)
        await bench.tasks.close()
        return bench

    return run_virtual(main())


def check(name: str, **more: int) -> Probe:
    return Probe(exec=ExecAction(command=(name,)), period_seconds=10, **more)


def test_readiness_is_looked_at_between_beats_until_it_passes_once() -> None:
    async def story(bench: Bench) -> None:
        bench.healthy_at = 0.5
        bench.watch(readiness_probe=check("ready"))
        await bench.clock.sleep(25)

    bench = play(story)
    assert bench.verdicts == [(0.7, "Readiness", True)]
    assert bench.runs["ready"] == [0, 0.1, 0.3, 0.7, 10.7, 20.7]


def test_several_successes_in_a_row_come_a_beat_apart() -> None:
    async def story(bench: Bench) -> None:
        bench.watch(readiness_probe=check("ready", success_threshold=3))
        await bench.clock.sleep(25)

    assert play(story).verdicts == [(20.0, "Readiness", True)]


def test_the_failure_threshold_counts_beats_and_nothing_between_them() -> None:
    async def story(bench: Bench) -> None:
        bench.healthy_at = 1000.0
        bench.watch(readiness_probe=check("ready", failure_threshold=3))
        await bench.clock.sleep(60)

    (when, kind, passing), *rest = play(story).verdicts
    assert (kind, passing, rest) == ("Readiness", False, [])
    assert 30 <= when < 31


def test_others_wait_for_the_start_up_probe_and_one_that_an_earlier_daemon_saw_pass_does_not_run() -> None:
    async def story(bench: Bench) -> None:
        bench.healthy_at = 5.0
        bench.watch(startup_probe=check("start"), liveness_probe=check("live"))
        await bench.clock.sleep(4)
        assert "live" not in bench.runs
        await bench.clock.sleep(10)
        assert bench.runs["live"][0] >= 5.0
        bench.runs.clear()
        bench.watch(startup_probe=check("start"), liveness_probe=check("live"), started=True)
        await bench.clock.sleep(30)

    bench = play(story)
    assert "start" not in bench.runs
    assert len(bench.runs["live"]) == 3
