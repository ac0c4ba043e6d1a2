"""Orders the pods that wait to be scheduled: ready ones by priority, failed ones set aside until something may help.

Used by `scheduler.py`. Delays run on the loop's own timers, so they are virtual on a virtual loop.
Invariant: a pod is in exactly one place: ready, backing off, parked, or out (popped and not yet given back).
Source: Kubernetes v1.36, pkg/scheduler/backend/queue (active, backoff and unschedulable pods)
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from enum import Enum

from pinnace.scheduler.facts import PodFacts

# Source: Kubernetes v1.36, backend/queue/scheduling_queue.go, DefaultPodInitialBackoffDuration and its neighbours
BACKOFF_FIRST_S = 1.0
BACKOFF_MAX_S = 10.0
PARKED_MAX_S = 300.0


class Place(Enum):
    READY = "ready"
    BACKOFF = "backing off"
    PARKED = "parked"
    OUT = "out"


@dataclass(slots=True)
class Waiting:
    """A pod on its way to a node.

    Units: `not_before` and `parked_at` in the loop's time. Shape: `told` is the message that was last made public, at
    `told_at`; `needs_pods`: other pods, not only nodes, stood in its way.
    """

    pod: PodFacts
    place: Place = Place.OUT
    ticket: int = 0
    attempts: int = 0
    not_before: float = 0.0
    parked_at: float = 0.0
    needs_pods: bool = False
    told: str = ""
    told_at: float = field(default=float("-inf"))


class SchedulingQueue:
    """The queue. Not for several readers at once."""

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}
        self._ready: list[tuple[int, int, str]] = []
        self._backoff: list[tuple[float, int, str]] = []
        self._parked: dict[str, Waiting] = {}
        self._parked_classes: dict[Hashable, dict[str, Waiting]] = {}
        self._tickets = 0
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def ready(self) -> int:
        """The number of pods that wait for nothing but their turn."""
        return sum(waiting.place is Place.READY for waiting in self._waiting.values())

    @property
    def idle(self) -> bool:
        """Say whether no pod is ready or out; those that wait for a time or a change don't count."""
        return all(waiting.place in (Place.BACKOFF, Place.PARKED) for waiting in self._waiting.values())

    def add(self, pod: PodFacts) -> None:
        """Queue a new pod, or one that has changed; one that hasn't is left where it is."""
        waiting = self._waiting.get(pod.uid)
        if waiting is None:
            waiting = self._waiting[pod.uid] = Waiting(pod)
        elif waiting.pod == pod:
            return
        else:
            self._unpark(waiting)
            waiting.pod = pod
            if waiting.place is Place.OUT:
                return
        self._make_ready(waiting)

    def remove(self, uid: str) -> None:
        """Forget a pod, wherever it is."""
        waiting = self._waiting.pop(uid, None)
        if waiting is not None:
            self._unpark(waiting)
            waiting.ticket = -1

    async def pop(self) -> Waiting:
        """Wait for a pod whose turn it is; highest priority first, then who came first."""
        while True:
            self._end_delays()
            if (waiting := self._take_ready()) is not None:
                waiting.place = Place.OUT
                waiting.attempts += 1
                return waiting
            await self._wait()

    def park(self, waiting: Waiting, *, needs_pods: bool) -> None:
        """Set a popped pod aside: no node takes it as things are."""
        if self._waiting.get(waiting.pod.uid) is not waiting:
            return
        now = asyncio.get_running_loop().time()
        waiting.place = Place.PARKED
        waiting.parked_at = now
        waiting.not_before = now + _backoff_s(waiting.attempts)
        waiting.needs_pods = needs_pods
        self._parked[waiting.pod.uid] = waiting
        self._parked_classes.setdefault(waiting.pod.scheduling_class, {})[waiting.pod.uid] = waiting

    def retry(self, waiting: Waiting) -> None:
        """Give a popped pod back that an error stopped; it comes again after its delay."""
        if self._waiting.get(waiting.pod.uid) is waiting:
            waiting.not_before = asyncio.get_running_loop().time() + _backoff_s(waiting.attempts)
            self._set_back(waiting)

    def parked_classes(self) -> Iterable[tuple[Hashable, PodFacts]]:
        """Return the classes of parked pods, each with one of its pods."""
        return [(name, next(iter(pods.values())).pod) for name, pods in self._parked_classes.items()]

    def wake_class(self, scheduling_class: Hashable) -> None:
        """Something has changed that may help the parked pods of a class."""
        for waiting in tuple(self._parked_classes.get(scheduling_class, {}).values()):
            self._wake(waiting)

    def wake_needing_pods(self) -> None:
        """Other pods have changed: wake the parked pods that they stood in the way of."""
        for waiting in tuple(self._parked.values()):
            if waiting.needs_pods:
                self._wake(waiting)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # ------------------------------------------------------------------ inside

    def _wake(self, waiting: Waiting) -> None:
        self._unpark(waiting)
        if waiting.not_before > asyncio.get_running_loop().time():
            self._set_back(waiting)
        else:
            self._make_ready(waiting)

    def _unpark(self, waiting: Waiting) -> None:
        uid, name = waiting.pod.uid, waiting.pod.scheduling_class
        if self._parked.pop(uid, None) is not None:
            pods = self._parked_classes[name]
            del pods[uid]
            if not pods:
                del self._parked_classes[name]

    def _make_ready(self, waiting: Waiting) -> None:
        waiting.place = Place.READY
        heapq.heappush(self._ready, (-waiting.pod.priority, self._ticket(waiting), waiting.pod.uid))
        self._rouse()

    def _set_back(self, waiting: Waiting) -> None:
        waiting.place = Place.BACKOFF
        heapq.heappush(self._backoff, (waiting.not_before, self._ticket(waiting), waiting.pod.uid))
        self._rouse()

    def _ticket(self, waiting: Waiting) -> int:
        """Return a new ticket: entries of the heaps that carry an older one are void."""
        self._tickets += 1
        waiting.ticket = self._tickets
        return self._tickets

    def _take_ready(self) -> Waiting | None:
        while self._ready:
            _, ticket, uid = heapq.heappop(self._ready)
            waiting = self._waiting.get(uid)
            if waiting is not None and waiting.ticket == ticket:
                return waiting
        return None

    def _end_delays(self) -> None:
        """Make those ready whose delay is over, and those that nothing has woken for too long."""
        now = asyncio.get_running_loop().time()
        while self._backoff and self._backoff[0][0] <= now:
            _, ticket, uid = heapq.heappop(self._backoff)
            waiting = self._waiting.get(uid)
            if waiting is not None and waiting.ticket == ticket:
                self._make_ready(waiting)
        for waiting in tuple(self._parked.values()):
            if waiting.parked_at + PARKED_MAX_S > now:
                break  # parked later, as all that follow
            self._unpark(waiting)
            self._make_ready(waiting)

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        due = [self._backoff[0][0]] if self._backoff else []
        if self._parked:
            due.append(next(iter(self._parked.values())).parked_at + PARKED_MAX_S)
        self._timer = loop.call_at(min(due), self._rouse) if due else None
        try:
            await self._waiter
        finally:
            self.close()
            self._waiter = None

    def _rouse(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _backoff_s(attempts: int) -> float:
    """Return how long a pod waits after its n-th failure. Example: 1, 2, 4, 8, 10, 10, …"""
    return min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(max(0, attempts - 1), 10))
