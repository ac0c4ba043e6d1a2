"""Gives running containers the resources that their pod asks for now, and tells what came of it. A doer.

Called by the agent, in a pod's turn. What may be given is decided in `resizing`.
Invariant: `deferred` holds exactly the pods that wait for resources which other pods have.
"""

from __future__ import annotations

from dataclasses import replace

from pinnace.api.facade import Api
from pinnace.base.clock import Clock
from pinnace.base.errors import PinnaceError
from pinnace.kube import kinds
from pinnace.kube.objects.core_v1 import Container, Pod
from pinnace.node.book import PodBook
from pinnace.node.facts import PodFacts, Problem
from pinnace.node.machine import PodMachine
from pinnace.node.pod_events import PodEvents
from pinnace.node.resizing import DEFERRED, describe_resources, find_changes, judge


class Resizes:
    """The changes of resources of one node's pods."""

    def __init__(
        self, api: Api, machine: PodMachine, book: PodBook, events: PodEvents, clock: Clock, node_name: str
    ) -> None:
        self._api = api
        self._machine = machine
        self._book = book
        self._events = events
        self._clock = clock
        self._node_name = node_name
        self.deferred: set[str] = set()

    def judge(self, pod: Pod, facts: PodFacts) -> PodFacts:
        """See whether what containers ask for now, other than they have, can be given; tell when the answer is new."""
        uid = pod.metadata.uid
        refusal = None
        if find_changes(pod, facts):
            node = self._api.find(kinds.NODE, "", self._node_name)
            allocatable = node.status.allocatable if node is not None else {}
            refusal = judge(pod, self._api.pods_on(self._node_name), allocatable)
            if refusal is not None and refusal != facts.resize_refused:
                words = f"Pod resize {refusal.reason}: {refusal.message}"
                self._events.tell(pod, "Warning", f"Resize{refusal.reason}", words)
        elif facts.resize_refused is None and facts.resize_problem is None:
            self.deferred.discard(uid)
            return facts
        deferred = refusal is not None and refusal.reason == DEFERRED
        (self.deferred.add if deferred else self.deferred.discard)(uid)
        problem = facts.resize_problem if find_changes(pod, facts) else None
        self._book.change(uid, lambda f: replace(f, resize_refused=refusal, resize_problem=problem))
        return self._book.facts[uid]

    async def resize(self, pod: Pod, container: Container) -> None:
        """Give a container what it asks for; a failure is noted, to be tried again."""
        uid, name = pod.metadata.uid, container.name
        try:
            await self._machine.resize_container(
                pod, container, self._book.facts[uid].container(name).container_id
            )
        except PinnaceError as error:
            self._note_failure(pod, error)
            return
        self._book.change_container(uid, name, lambda c: replace(c, resources=container.resources))
        self._book.change(uid, lambda f: replace(f, resize_problem=None))
        if not find_changes(pod, self._book.facts[uid]):
            words = f"Pod resize completed: {describe_resources(pod)}"
            self._events.tell(pod, "Normal", "ResizeCompleted", words)

    def _note_failure(self, pod: Pod, error: PinnaceError) -> None:
        uid = pod.metadata.uid
        before = self._book.facts[uid].resize_problem
        problem = Problem("Error", error.message, self._clock.now(), before.failures + 1 if before else 1)
        self._book.change(uid, lambda f: replace(f, resize_problem=problem))
        if before is None or before.message != error.message:
            self._events.tell(pod, "Warning", "ResizeError", f"Pod resize error: {error.message}")
