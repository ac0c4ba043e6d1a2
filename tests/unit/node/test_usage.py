"""Usage from counters: rates between two samples, read without holding up the loop."""

from __future__ import annotations

import asyncio
import itertools

from pinnace.base.clock import LoopClock
from pinnace.base.virtual import run_virtual
from pinnace.container.cgroup import Usage
from pinnace.node.book import PodBook
from pinnace.node.facts import PodFacts
from pinnace.node.usage import PODS_AT_A_TIME, CgroupUsage
from tests.unit.node.builders import ended, facts, pod, running


class Counters:
    """Every container has used half a CPU since the start."""

    def __init__(self, clock: LoopClock) -> None:
        self._clock = clock
        self.reads = 0

    def usage(self, container_id: str) -> Usage | None:
        self.reads += 1
        return Usage(cpu_ns=int(self._clock.now() * 5e8), memory_bytes=9, memory_working_set_bytes=7, pids=1)


def test_usage_is_known_from_the_second_sample_on_and_only_of_what_runs() -> None:
    async def main() -> None:
        clock, book = LoopClock(100.0), PodBook()
        usage = CgroupUsage(Counters(clock), book, clock, "n1")  # type: ignore[arg-type]
        book.see(pod(), 100.0)
        book.change("u-1", lambda _: facts(running(), ended("done")))
        await usage.sample()
        assert usage.pod_usage("default", "web") == {}
        await clock.sleep(5)
        await usage.sample()
        (name, measured), *others = usage.pod_usage("default", "web").items()
        assert (name, measured.cpu_milli, measured.memory_bytes, measured.window_s) == ("app", 500, 7, 5.0)
        assert others == []

    run_virtual(main())


def test_the_loop_runs_between_one_handful_of_pods_and_the_next() -> None:
    async def main() -> None:
        clock, book = LoopClock(100.0), PodBook()
        counters = Counters(clock)
        usage = CgroupUsage(counters, book, clock, "n1")  # type: ignore[arg-type]
        for number in range(3 * PODS_AT_A_TIME):
            book.pods[str(number)] = pod()
            book.facts[str(number)] = PodFacts(containers={"app": running()})
        seen = []

        async def look() -> None:
            while len(seen) < 3:
                seen.append(counters.reads)
                await clock.sleep(0)

        await asyncio.gather(usage.sample(), look())
        assert max(later - earlier for earlier, later in itertools.pairwise(seen)) <= PODS_AT_A_TIME

    run_virtual(main())
