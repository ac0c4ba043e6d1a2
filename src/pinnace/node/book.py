"""Keeps the facts of the pods on one node: the agent's memory, changed only through named happenings.

Each method is one thing that happened; each returns nothing and replaces one value. No I/O, no clock: `now` comes in.
Invariants: the facts of a container name one attempt; a report about an older attempt changes nothing; an end that is
told before its start (a process that lives for a moment) waits for it and is not lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pinnace.kube.objects.core_v1 import Container, Pod, ResourceRequirements
from pinnace.node.facts import ContainerFacts, ContainerState, Ending, PodFacts, Problem, every_container
from pinnace.node.lifecycle import BACKOFF_RESET_S, will_restart
from pinnace.node.resizing import RESIZE_REASON
from pinnace.node.sources import IMAGE_REASONS, lacks_image


class PodBook:
    """The facts, and the last seen object, by pod uid."""

    def __init__(self) -> None:
        self.facts: dict[str, PodFacts] = {}
        self.pods: dict[str, Pod] = {}
        self._early: dict[str, dict[str, Ending]] = {}

    def see(self, pod: Pod, now: float) -> None:
        """A pod of this node was read."""
        uid = pod.metadata.uid
        self.pods[uid] = pod
        if uid not in self.facts:
            self.facts[uid] = PodFacts(seen_at=now)

    def forget(self, uid: str) -> None:
        """Nothing of the pod is left."""
        self.facts.pop(uid, None)
        self.pods.pop(uid, None)
        self._early.pop(uid, None)

    def change(self, uid: str, fn: Callable[[PodFacts], PodFacts]) -> None:
        """Replace a pod's facts, if it is known."""
        if uid in self.facts:
            self.facts[uid] = fn(self.facts[uid])

    def change_container(self, uid: str, name: str, fn: Callable[[ContainerFacts], ContainerFacts]) -> None:
        """Replace the facts of one container."""
        self.change(uid, lambda f: replace(f, containers={**f.containers, name: fn(f.container(name))}))

    def started(
        self,
        uid: str,
        name: str,
        attempt: int,
        container_id: str,
        image_id: str,
        now: float,
        *,
        ready: bool,
        up: bool,
        starting: bool = False,
        resources: ResourceRequirements | None = None,
    ) -> None:
        """An attempt of a container runs. `up`: it has no start-up probe; `ready`: no readiness probe either.

        `starting`: its postStart hook is still to run. It has ended already when its end was told before.
        """

        def fn(before: ContainerFacts) -> ContainerFacts:
            again = before.state is ContainerState.EXITED
            return ContainerFacts(
                name,
                state=ContainerState.RUNNING,
                attempt=attempt,
                restarts=before.restarts + 1 if again else before.restarts,
                container_id=container_id,
                image_id=image_id,
                started_at=now,
                last=before.ending if again else before.last,
                ready=ready and not starting,
                started=up and not starting,
                starting=starting,
                crashes=before.crashes + 1 if again and not before.resizing else before.crashes,
                resources=resources,
            )

        self.change_container(uid, name, fn)
        early = self._early.get(uid, {}).pop(container_id, None)
        if early is not None:
            self.ended(uid, name, container_id, replace(early, started_at=min(now, early.finished_at)))

    def ended(self, uid: str, name: str, container_id: str, ending: Ending) -> bool:
        """An attempt has ended. Returns False for a report about another attempt than the current one."""
        facts = self.facts.get(uid)
        if facts is None:
            return False
        if facts.container(name).container_id != container_id:
            self._early.setdefault(uid, {})[container_id] = ending
            return False
        if facts.container(name).state is not ContainerState.RUNNING:
            return False

        def fn(before: ContainerFacts) -> ContainerFacts:
            long_run = ending.finished_at - ending.started_at >= BACKOFF_RESET_S
            return replace(
                before,
                state=ContainerState.EXITED,
                ending=ending,
                ready=False,
                started=False,
                starting=False,
                unhealthy="",
                resizing=before.stop_reason == RESIZE_REASON,
                stop_asked_at=None,
                stop_reason="",
                signalled_at=None,
                kill_sent=False,
                crashes=0 if long_run else before.crashes,
            )

        self.change_container(uid, name, fn)
        return True

    def got_sandbox(self, uid: str, sandbox_id: str, ip: str) -> None:
        """The pod has a sandbox. What had ended in an earlier one begins anew in it, init containers first.

        Source: Kubernetes, pkg/kubelet/kuberuntime, computePodActions (a pod whose sandbox is made again).
        """
        pod = self.pods[uid]

        def renew(container: Container, known: ContainerFacts) -> ContainerFacts:
            first = container in pod.spec.init_containers
            if known.state is not ContainerState.EXITED or not (first or will_restart(pod, container, known)):
                return known
            return ContainerFacts(
                known.name,
                attempt=known.attempt + 1,
                restarts=known.restarts + 1,
                image_id=known.image_id,
                last=known.ending,
                crashes=known.crashes,
            )

        self.change(
            uid,
            lambda f: replace(
                f,
                sandbox_id=sandbox_id,
                ip=ip,
                sandbox_problem=None,
                volumes_ready=False,  # files of the downward API may name the address
                containers={
                    c.name: renew(c, f.containers[c.name])
                    for c in every_container(pod)
                    if c.name in f.containers
                },
            ),
        )

    def eased(self, uid: str, affects: Callable[[ContainerFacts], bool]) -> bool:
        """Something has changed that containers of a pod may lack: those that it affects need not wait. Were there any?"""
        facts = self.facts.get(uid)
        waiting = [c for c in facts.containers.values() if c.problem and affects(c)] if facts else []
        for known in waiting:
            assert known.problem is not None
            eased = replace(known.problem, eased=True)
            self.change_container(uid, known.name, lambda c, eased=eased: replace(c, problem=eased))  # type: ignore[misc]
        return bool(waiting)

    def stumbled(self, uid: str, name: str, reason: str, message: str, now: float) -> None:
        """A container could not start; its image is looked for again then. Failures count as long as they are of one sort."""
        if uid not in self.facts:
            return
        before = self.facts[uid].container(name).problem
        goes_on = before is not None and lacks_image(before) == (reason in IMAGE_REASONS)
        failures = before.failures + 1 if before is not None and goes_on else 1
        problem = Problem(reason, message, now, failures)
        self.change_container(uid, name, lambda c: replace(c, problem=problem, image=None))
