"""Carries out what `decide.py` decides: watches pods, nodes and namespaces, binds pods, tells why one can't be bound.

Built by the daemon and by the simulator, which gives it virtual time. All that it knows comes through the API, all that
it does goes through it.
Invariant: a pod that was decided on is counted on its node at once, before the binding is stored, and is counted there
no longer as soon as the binding fails.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from pinnace.api.facade import Api, ObjectChange
from pinnace.base.chance import Chance
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, PinnaceError, Reason
from pinnace.base.tasks import Tasks
from pinnace.kube.kinds import NAMESPACE, NODE, POD, Kind
from pinnace.kube.objects.core_v1 import Namespace, Node, Pod
from pinnace.scheduler.cluster import Cluster
from pinnace.scheduler.conditions import with_not_scheduled
from pinnace.scheduler.decide import Placement, Unschedulable, needs_pods, new_memory, passes, schedule
from pinnace.scheduler.facts import has_ended, node_shape, pod_facts
from pinnace.scheduler.messages import GATED
from pinnace.scheduler.queue import SchedulingQueue, Waiting
from pinnace.store.interface import Revision

log = logging.getLogger("pinnace.scheduler")

T = TypeVar("T")

NAME = "default-scheduler"
WRITES_AT_ONCE = 64  # bindings and reports under way; the store commits them together
TELL_AGAIN_S = 30.0  # an unchanged reason is told again as an event no more often than this
WATCH_RETRY_S = 1.0


class Scheduler:
    """Schedules the pods that name it."""

    def __init__(
        self,
        api: Api,
        clock: Clock,
        chance: Chance,
        *,
        name: str = NAME,
        on_failure: Callable[[str, BaseException], None] | None = None,
    ) -> None:
        self._api = api
        self._clock = clock
        self._chance = chance
        self._name = name
        self._tasks = Tasks("scheduler", on_failure)
        self._session: _Session | None = None

    def start(self) -> None:
        """Start scheduling; returns at once."""
        self._tasks.spawn(self._run(), "run", forever=True)

    async def close(self) -> None:
        """Stop. Bindings under way are cancelled or stored; the next start reads which."""
        await self._tasks.close()

    @property
    def idle(self) -> bool:
        """Say whether every pod is bound, or waits for a time or a change."""
        return self._session is not None and self._session.idle

    async def _run(self) -> None:
        while True:
            self._session = _Session(self._api, self._clock, self._chance, self._name)
            try:
                await self._session.run()
            except* ApiError as errors:  # a watch fell behind: read everything anew
                log.info("scheduler starts anew: %s", errors.exceptions[0])
            await self._clock.sleep(WATCH_RETRY_S)


class _Session:
    """One reading of the world, followed for as long as the watches hold."""

    def __init__(self, api: Api, clock: Clock, chance: Chance, name: str) -> None:
        self._api = api
        self._clock = clock
        self._chance = chance
        self._name = name
        self._cluster = Cluster()
        self._queue = SchedulingQueue()
        self._memory = new_memory()
        self._slots = asyncio.Semaphore(WRITES_AT_ONCE)
        self._writing = 0
        self._group: asyncio.TaskGroup | None = None

    @property
    def idle(self) -> bool:
        return self._group is not None and not self._writing and self._queue.idle

    async def run(self) -> None:
        """Follow and schedule until a watch fails. Raises: ExceptionGroup of what failed."""
        since = (
            self._api.store.revision
        )  # nothing waits between here and the lists: they are of this revision
        for namespace in self._api.list(NAMESPACE):
            self._see_namespace(ObjectChange("ADDED", namespace))
        for node in self._api.list(NODE):
            self._see_node(ObjectChange("ADDED", node))
        pods = self._api.list(POD)
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for pod in pods:
                    self._see_pod(ObjectChange("ADDED", pod))
                group.create_task(self._follow(NAMESPACE, self._see_namespace, since))
                group.create_task(self._follow(NODE, self._see_node, since))
                group.create_task(self._follow(POD, self._see_pod, since))
                group.create_task(self._schedule())
        finally:
            self._queue.close()

    async def _follow(self, kind: Kind[T], see: Callable[[ObjectChange[T]], None], since: Revision) -> None:
        watch = self._api.watch(kind, since=since)
        try:
            async for change in watch:
                see(change)
        finally:
            watch.close()

    # ------------------------------------------------------------------ what the watches tell

    def _see_namespace(self, change: ObjectChange[Namespace]) -> None:
        meta = change.object.metadata
        if change.type == "DELETED":
            self._cluster.namespaces.pop(meta.name, None)
        else:
            self._cluster.namespaces[meta.name] = meta.labels

    def _see_node(self, change: ObjectChange[Node]) -> None:
        name = change.object.metadata.name
        if change.type == "DELETED":
            self._cluster.remove_node(name)
            self._queue.wake_needing_pods()
        elif self._cluster.set_node(node_shape(change.object)):
            self._queue.wake_needing_pods()
            self._wake_for(name)

    def _see_pod(self, change: ObjectChange[Pod]) -> None:
        pod = change.object
        uid = pod.metadata.uid
        if change.type == "DELETED" or has_ended(pod):
            self._queue.remove(uid)
            self._forget(uid)
            return
        if _is_same_to_us(change):
            return
        facts = pod_facts(pod)
        if facts.node_name:
            self._queue.remove(uid)
            if self._cluster.add_pod(facts, facts.node_name):
                self._queue.wake_needing_pods()
        elif facts.terminating or facts.scheduler_name != self._name:
            self._queue.remove(uid)
        elif facts.gates:
            self._queue.remove(uid)
            self._write(partial(self._tell_gated, facts.key.namespace, facts.key.name, uid))
        elif self._cluster.node_of(uid) is None:
            self._queue.add(facts)

    def _forget(self, uid: str) -> None:
        """Count a pod no longer; whoever waits for its place may try again."""
        node_name = self._cluster.remove_pod(uid)
        if node_name is not None:
            self._queue.wake_needing_pods()
            self._wake_for(node_name)

    def _wake_for(self, node_name: str) -> None:
        """A node has more to offer: wake the parked classes that it now takes."""
        node = self._cluster.nodes.get(node_name)
        if node is None:
            return
        for scheduling_class, pod in self._queue.parked_classes():
            if passes(pod, node):
                self._queue.wake_class(scheduling_class)

    # ------------------------------------------------------------------ deciding and doing

    async def _schedule(self) -> None:
        while True:
            await (
                self._slots.acquire()
            )  # before the pod is taken: while the store is slow, a better one may come
            waiting = await self._queue.pop()
            pod = waiting.pod
            decision = schedule(pod, self._cluster, self._chance, self._memory)
            if isinstance(decision, Placement):
                self._cluster.add_pod(pod, decision.node)
                self._write(partial(self._bind, waiting, decision.node), has_slot=True)
            else:
                self._queue.park(waiting, needs_pods=needs_pods(decision))
                self._report(waiting, decision)
            await self._clock.sleep(0)  # others have a turn, however many pods wait

    def _report(self, waiting: Waiting, decision: Unschedulable) -> None:
        message, now = decision.message, self._clock.now()
        if message == waiting.told and now < waiting.told_at + TELL_AGAIN_S:
            self._slots.release()
            return
        waiting.told, waiting.told_at = message, now
        self._write(partial(self._tell_unschedulable, waiting, message), has_slot=True)

    def _write(self, write: Callable[[], Coroutine[Any, Any, None]], *, has_slot: bool = False) -> None:
        assert self._group is not None
        self._writing += 1
        self._group.create_task(self._guard(write, has_slot))

    async def _guard(self, write: Callable[[], Coroutine[Any, Any, None]], has_slot: bool) -> None:
        try:
            await write()
        finally:
            self._writing -= 1
            if has_slot:
                self._slots.release()

    async def _bind(self, waiting: Waiting, node_name: str) -> None:
        key, uid = waiting.pod.key, waiting.pod.uid
        try:
            bound = await self._api.bind(key.namespace, key.name, node_name, uid=uid)
        except PinnaceError as error:
            self._forget(uid)
            if isinstance(error, ApiError) and error.reason in (Reason.NOT_FOUND, Reason.CONFLICT):
                log.info("%s/%s is not bound to %s: %s", key.namespace, key.name, node_name, error)
                self._read_again(waiting)
            else:
                log.error("%s/%s can't be bound to %s: %s", key.namespace, key.name, node_name, error)
                self._queue.retry(waiting)
            return
        self._queue.remove(uid)
        message = f"Successfully assigned {key.namespace}/{key.name} to {node_name}"
        await self._api.record_event(
            bound, "Normal", "Scheduled", message, component=self._name, action="Binding"
        )

    def _read_again(self, waiting: Waiting) -> None:
        """The pod was not what we took it for: it is gone, or bound by somebody else, or it comes again."""
        key = waiting.pod.key
        pod = self._api.find(POD, key.namespace, key.name)
        if (
            pod is None
            or pod.metadata.uid != waiting.pod.uid
            or pod.spec.node_name
            or pod.metadata.deletion_timestamp
        ):
            self._queue.remove(waiting.pod.uid)
        else:
            waiting.pod = pod_facts(pod)
            self._queue.retry(waiting)

    async def _tell_unschedulable(self, waiting: Waiting, message: str) -> None:
        key = waiting.pod.key
        pod = await self._set_condition(key.namespace, key.name, waiting.pod.uid, "Unschedulable", message)
        if pod is not None and not pod.spec.node_name:
            await self._api.record_event(
                pod, "Warning", "FailedScheduling", message, component=self._name, action="Scheduling"
            )

    async def _tell_gated(self, namespace: str, name: str, uid: str) -> None:
        await self._set_condition(namespace, name, uid, "SchedulingGated", GATED)

    async def _set_condition(
        self, namespace: str, name: str, uid: str, reason: str, message: str
    ) -> Pod | None:
        now = self._clock.now()
        try:
            return await self._api.change(
                POD,
                namespace,
                name,
                lambda pod: with_not_scheduled(pod, uid, reason, message, now),
                subresource="status",
            )
        except ApiError as error:
            if error.reason is not Reason.NOT_FOUND:
                log.warning("the condition of %s/%s can't be written: %s", namespace, name, error)
        except PinnaceError as error:
            log.error("the condition of %s/%s can't be written: %s", namespace, name, error)
        return None


def _is_same_to_us(change: ObjectChange[Pod]) -> bool:
    """Say whether only what scheduling doesn't read has changed, as with most changes of a pod."""
    before, now = change.previous, change.object
    return (
        change.type == "MODIFIED"
        and before is not None
        and before.metadata.uid == now.metadata.uid
        and before.metadata.deletion_timestamp == now.metadata.deletion_timestamp
        and before.metadata.labels == now.metadata.labels
        and before.spec == now.spec
    )
