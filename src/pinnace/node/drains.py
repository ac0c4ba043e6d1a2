"""Keeps the drains of deleted pods: one for each, until the rules and connections let it go or its time is over. A doer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from pinnace.base.clock import Clock
from pinnace.base.tasks import Tasks
from pinnace.kube.objects.core_v1 import Pod
from pinnace.node.machine import PodMachine


@dataclass(slots=True)
class _Drain:
    """A drain that is under way; `limit` ends it when its deadline comes. Units: unix seconds."""

    deadline: float
    limit: asyncio.Timeout | None = None


class Drains:
    """The drains of one node. `on_end` is called with a pod's uid when its drain is over, however it ended."""

    def __init__(
        self, machine: PodMachine, clock: Clock, tasks: Tasks, on_end: Callable[[str], None]
    ) -> None:
        self._machine = machine
        self._clock = clock
        self._tasks = tasks
        self._on_end = on_end
        self._drains: dict[str, _Drain] = {}

    def ensure(self, pod: Pod, ip: str, deadline: float) -> None:
        """Begin to drain a pod; one that drains already keeps the earlier of both deadlines."""
        uid = pod.metadata.uid
        drain = self._drains.get(uid)
        if drain is None:
            drain = self._drains[uid] = _Drain(deadline)
            self._tasks.spawn(self._run(pod, ip, drain), f"drain {uid}")
        elif deadline < drain.deadline:
            drain.deadline = deadline
            if drain.limit is not None and not drain.limit.expired():
                drain.limit.reschedule(asyncio.get_running_loop().time() + self._left_s(drain))

    def _left_s(self, drain: _Drain) -> float:
        return max(0.0, drain.deadline - self._clock.now())

    async def _run(self, pod: Pod, ip: str, drain: _Drain) -> None:
        uid = pod.metadata.uid
        left_s = self._left_s(drain)
        try:
            if ip:
                async with asyncio.timeout(left_s) as drain.limit:
                    await self._machine.drain(pod, ip, left_s)
        except TimeoutError:
            pass  # what is still open then ends with the process
        finally:
            del self._drains[uid]
            self._on_end(uid)
