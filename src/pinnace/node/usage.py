"""Measures what pods and the node use, from cgroups. Implements the Protocol `Usage` of `api/world.py`. A doer.

A poll, because usage is a rate: a cgroup counts CPU time and tells nobody. One sample every `SAMPLE_S`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from pinnace.api.world import ContainerUsage, NodeUsage
from pinnace.base.clock import Clock
from pinnace.base.tasks import Tasks
from pinnace.node.book import PodBook
from pinnace.node.facts import ContainerState
from pinnace.sandbox.sandboxes import Sandboxes

SAMPLE_S = 5.0  # metrics-server looks every 15 s; a shorter window lets the autoscaler see sooner
PODS_AT_A_TIME = 16  # a container's files take 0.15 ms to read: the loop must not stand still for all of them
JIFFIES = os.sysconf("SC_CLK_TCK")


class CgroupUsage:
    """The last samples of the pods of one node."""

    def __init__(self, sandboxes: Sandboxes, book: PodBook, clock: Clock, node_name: str) -> None:
        self._sandboxes = sandboxes
        self._book = book
        self._clock = clock
        self._node_name = node_name
        self._tasks = Tasks("usage")
        self._counters: dict[str, tuple[float, int]] = {}
        self._pods: dict[tuple[str, str], dict[str, ContainerUsage]] = {}
        self._node_counter: tuple[float, int] | None = None
        self._node: NodeUsage | None = None

    def start(self) -> None:
        self._tasks.spawn(self._run(), "samples", forever=True)

    async def close(self) -> None:
        await self._tasks.close()

    def pod_usage(self, namespace: str, name: str) -> Mapping[str, ContainerUsage]:
        return self._pods.get((namespace, name), {})

    def node_usage(self, name: str) -> NodeUsage | None:
        return self._node if name == self._node_name else None

    async def _run(self) -> None:
        while True:
            await self.sample()
            await self._clock.sleep(SAMPLE_S)

    async def sample(self) -> None:
        """Read all counters once, some at a time; a container's usage is known from its second sample on."""
        pods: dict[tuple[str, str], dict[str, ContainerUsage]] = {}
        counters: dict[str, tuple[float, int]] = {}
        for number, (uid, facts) in enumerate(tuple(self._book.facts.items())):
            if number % PODS_AT_A_TIME == 0:
                await self._clock.sleep(0)
            pod = self._book.pods.get(uid)
            if pod is None:
                continue
            for container in facts.containers.values():
                if container.state is not ContainerState.RUNNING:
                    continue
                now = self._clock.now()
                usage = self._sandboxes.usage(container.container_id)
                if usage is None:
                    continue
                counters[container.container_id] = (now, usage.cpu_ns)
                before = self._counters.get(container.container_id)
                if before is None or now <= before[0]:
                    continue
                window_s = now - before[0]
                milli = round((usage.cpu_ns - before[1]) / window_s / 1e6)
                key = (pod.metadata.namespace, pod.metadata.name)
                pods.setdefault(key, {})[container.name] = ContainerUsage(
                    max(0, milli), usage.memory_working_set_bytes, now, window_s
                )
        self._pods, self._counters = pods, counters
        self._sample_node()

    def _sample_node(self) -> None:
        now = self._clock.now()
        with open("/proc/stat", encoding="ascii") as file:
            fields = [int(word) for word in file.readline().split()[1:9]]
        busy = sum(fields) - fields[3] - fields[4]
        if self._node_counter is not None and now > self._node_counter[0]:
            window_s = now - self._node_counter[0]
            milli = round((busy - self._node_counter[1]) / JIFFIES / window_s * 1000)
            self._node = NodeUsage(milli, read_memory_used(), now, window_s)
        self._node_counter = (now, busy)


def read_memory_used() -> int:
    """Return the machine's memory in use. Units: bytes."""
    values = {}
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            name, _, rest = line.partition(":")
            values[name] = int(rest.split()[0]) * 1024
    return values["MemTotal"] - values.get("MemAvailable", values["MemFree"])
