"""Carries out the plans for the pods of one node, and writes what came of them into the pods' statuses.

One turn for a pod: read the object, ask `lifecycle` for the plan, do its steps, write the status that `status` computes.
A turn follows every change of the object, every exit, every probe's verdict, and every time that a plan names.
It must never decide: what to do is in `lifecycle`, what to show in `status`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec

from pinnace.api.facade import Api, ObjectChange
from pinnace.base.chance import Chance
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, PinnaceError, Reason
from pinnace.base.tasks import Tasks
from pinnace.base.workqueue import QueueClosed, WorkQueue
from pinnace.kube import kinds
from pinnace.kube.objects.core_v1 import Container, Pod
from pinnace.node.book import PodBook
from pinnace.node.drains import Drains
from pinnace.node.facts import (
    ContainerFacts,
    ContainerState,
    Ending,
    PodFacts,
    Problem,
    every_container,
)
from pinnace.node.following import Following
from pinnace.node.image_waits import ImageWaits
from pinnace.node.lifecycle import (
    BackOffPull,
    Drain,
    KillContainer,
    MakeSandbox,
    Plan,
    PodState,
    PrepareVolumes,
    ReleaseSandbox,
    RemovePod,
    ResizeContainer,
    StartContainer,
    Step,
    StopContainer,
    plan_pod,
)
from pinnace.node.machine import Ended, PodImages, PodMachine, StartFailure
from pinnace.node.pod_events import PodEvents
from pinnace.node.prober import ProbeChange, Prober
from pinnace.node.probes import ProbeKind, probes_of
from pinnace.node.resizes import Resizes
from pinnace.node.resizing import granted
from pinnace.node.sources import lacks_image, mounts_source, pulls_with, reads_source
from pinnace.node.status import compute_status, shows_back_off

log = logging.getLogger("pinnace.node")

WORKERS = 8
EXITS_RETRY_S = 1.0
REMOVAL_RETRY_S = 5.0
# A pod that is in one of these states starts nothing any more.
NO_MORE_STARTS = (PodState.FINISHED, PodState.DRAINING, PodState.STOPPING, PodState.REMOVING)


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """The node that an agent serves."""

    node_name: str
    host_ip: str


class NodeAgent:
    """The pods of one node. `machine` makes them real; a fake one makes this testable without a container."""

    def __init__(
        self,
        api: Api,
        machine: PodMachine,
        images: PodImages,
        clock: Clock,
        chance: Chance,
        settings: AgentSettings,
        *,
        on_failure: Callable[[str, BaseException], None] | None = None,
    ) -> None:
        self._api = api
        self._machine = machine
        self._clock = clock
        self._settings = settings
        self._tasks = Tasks("node", on_failure)
        self._queue: WorkQueue[str] = WorkQueue()
        self._prober = Prober(clock, chance, self._tasks, self._probed)
        self._events = PodEvents(api, self._tasks, settings.node_name)
        self._drains = Drains(machine, clock, self._tasks, self._drained)
        self._following = Following(api, clock, self._tasks, self._look_at_all)
        self.book = PodBook()
        self._resizes = Resizes(api, machine, self.book, self._events, clock, settings.node_name)
        self._waits = ImageWaits(self.book, images, clock, self._tasks, self._events.tell_of, self._queue.add)
        self._doers: dict[type[Any], Callable[[Pod, Any], Awaitable[bool]]] = {
            MakeSandbox: self._make_sandbox,
            PrepareVolumes: self._prepare_volumes,
            StartContainer: self._start_container,
            BackOffPull: self._back_off_pull,
            StopContainer: self._stop_container,
            ResizeContainer: self._resize_container,
            KillContainer: self._kill_container,
            Drain: self._drain,
            ReleaseSandbox: self._release_sandbox,
            RemovePod: self._remove_pod,
        }

    # --- life of the agent ---------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Adopt what runs already, then follow the pods of this node."""
        await self._adopt()
        self._tasks.spawn(self._follow_exits(), "exits", forever=True)
        self._following.follow(kinds.POD, self._note_pod)
        self._following.follow(kinds.CONFIG_MAP, partial(self._note_source, "ConfigMap"))
        self._following.follow(kinds.SECRET, partial(self._note_source, "Secret"))
        self._following.follow(kinds.SERVICE_ACCOUNT, partial(self._note_source, "ServiceAccount"))
        self._following.follow(kinds.IMAGE, self._note_image)
        for number in range(WORKERS):
            self._tasks.spawn(self._work(), f"worker {number}")

    async def close(self) -> None:
        """Stop following; containers go on."""
        self._queue.close()
        await self._tasks.close()

    async def _adopt(self) -> None:
        now = self._clock.now()
        pods = {pod.metadata.uid: pod for pod in self._api.pods_on(self._settings.node_name)}
        found = await self._machine.adopt(pods)
        for uid, facts in found.items():
            pod = pods.get(uid)
            if pod is None:
                self._tasks.spawn(self._remove_orphan(uid), f"remove {uid}")
                continue
            self.book.see(pod, now)
            self.book.change(uid, lambda _, facts=facts: facts)  # type: ignore[misc]
            for container in every_container(pod):
                known = facts.container(container.name)
                if known.state is ContainerState.RUNNING:
                    self._watch_probes(pod, container, known.attempt, facts.ip, started=known.started)
        # Nobody shall read that a pod is ready which has ended while no daemon ran.
        await asyncio.gather(*(self._tell_adopted(uid) for uid in self.book.pods))

    async def _tell_adopted(self, uid: str) -> None:
        try:
            await self._write_status(uid)
        except PinnaceError as error:  # the pod's first turn tries again
            log.warning("the status of pod %s: %s", uid, error)

    # --- what happens --------------------------------------------------------------------------------------------

    def _look_at_all(self) -> None:
        for uid in self.book.pods:
            self._queue.add(uid)

    def _note_pod(self, change: ObjectChange[Pod]) -> None:
        pod = change.object
        if pod.spec.node_name != self._settings.node_name:
            return
        uid = pod.metadata.uid
        for waiting in self._resizes.deferred - {uid}:
            self._queue.add(waiting)
        if change.type == "DELETED":
            self.book.change(uid, lambda f: replace(f, object_gone=True))
        else:
            self.book.see(pod, self._clock.now())
        if uid in self.book.facts:
            self._queue.add(uid)

    def _note_source(self, kind: str, change: ObjectChange[Any]) -> None:
        """A ConfigMap, Secret or account changed: volumes made of it are written anew, who lacked it is tried again."""
        meta = change.object.metadata
        for uid, pod in tuple(self.book.pods.items()):
            if pod.metadata.namespace != meta.namespace:
                continue
            if mounts_source(pod, kind, meta.name):
                self.book.change(uid, lambda f: replace(f, volumes_ready=False, volumes_problem=None))
                self._queue.add(uid)
            readers = {c.name for c in every_container(pod) if reads_source(c, kind, meta.name)}
            if kind == "Secret" and pulls_with(pod, meta.name):
                readers |= {
                    c.name for c in self.book.facts[uid].containers.values() if lacks_image(c.problem)
                }
            if self.book.eased(uid, lambda c, readers=readers: c.name in readers):  # type: ignore[misc]
                self._queue.add(uid)

    def _note_image(self, change: ObjectChange[Any]) -> None:
        """An image has come: who lacked one is tried again."""
        if change.type == "DELETED":
            return
        spec = change.object.spec
        self._waits.image_came(spec.reference, made_here=not spec.digest)

    async def _follow_exits(self) -> None:
        while True:
            try:
                async for ended in self._machine.ends():
                    self._ended(ended)
                return
            except Exception:  # the next end must be heard, whatever was wrong with this one
                log.exception("the end of a container could not be read")
                await self._clock.sleep(EXITS_RETRY_S)

    async def _remove_orphan(self, uid: str) -> None:
        """Remove what is left here of a pod whose object went while no daemon ran."""
        while True:
            try:
                await self._machine.remove_pod(uid)
                return
            except PinnaceError as error:
                log.warning("what is left of pod %s can't be removed: %s", uid, error)
            await self._clock.sleep(REMOVAL_RETRY_S)

    def _ended(self, ended: Ended) -> None:
        ending = Ending(
            ended.container_id,
            ended.exit_code,
            started_at=self.book.facts[ended.pod_uid].container(ended.container).started_at
            if ended.pod_uid in self.book.facts
            else ended.finished_at,
            finished_at=ended.finished_at,
            signal=ended.signal,
            oom_killed=ended.oom_killed,
            message=ended.message,
        )
        if self.book.ended(ended.pod_uid, ended.container, ended.container_id, ending):
            self._react_to_end(ended.pod_uid, ended.container, ending)

    def _react_to_end(self, uid: str, name: str, ending: Ending) -> None:
        self._prober.forget(uid, name)
        self._queue.add(uid)
        pod = self.book.pods.get(uid)
        if pod is not None and ending.oom_killed:
            self._events.tell(pod, "Warning", "OOMKilled", f"Container {name} was killed: out of memory")

    def _probed(self, change: ProbeChange) -> None:
        pod = self.book.pods.get(change.pod_uid)
        facts = self.book.facts.get(change.pod_uid)
        if pod is None or facts is None:
            return
        known = facts.container(change.container)
        if known.attempt != change.attempt or known.state is not ContainerState.RUNNING:
            return
        if not change.result.success:
            words = f"{change.kind.value} probe failed: {change.result.output}"
            self._events.tell(pod, "Warning", "Unhealthy", words, container=change.container)
        if not change.changed:
            return
        if change.kind is ProbeKind.READINESS:
            self.book.change_container(
                change.pod_uid, change.container, lambda c: replace(c, ready=bool(change.passing))
            )
        elif change.passing:
            self.book.change_container(change.pod_uid, change.container, lambda c: replace(c, started=True))
        else:
            reason = f"{change.kind.value.lower()} probe"
            self.book.change_container(
                change.pod_uid, change.container, lambda c: replace(c, unhealthy=reason)
            )
        self._queue.add(change.pod_uid)

    # --- turns ---------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            try:
                uid = await self._queue.get()
            except QueueClosed:
                return
            try:
                wait_s = await self._turn(uid)
                self._queue.forget(uid)
                if wait_s is not None:
                    self._queue.add_after(uid, wait_s)
            except PinnaceError as error:
                self._events.tell_failure(uid, self.book.pods.get(uid), error)
                self._queue.add_failed(uid)
            except Exception:  # the worker lives on; the pod is tried again
                log.exception("pod %s", uid)
                self._queue.add_failed(uid)
            finally:
                self._queue.done(uid)

    async def _turn(self, uid: str) -> float | None:
        """Do what the plan says until it has no more steps for now; return when to look again."""
        while True:
            pod, facts = self._read(uid)
            if pod is None or facts is None:
                return None
            facts = self._resizes.judge(pod, facts)
            plan = plan_pod(pod, facts, self._clock.now())
            if plan.state in NO_MORE_STARTS:
                self._waits.cancel(uid)
            went_on = await self._carry_out(pod, plan)
            await self._write_status(uid)
            if not went_on:
                return plan.requeue_after_s

    def _read(self, uid: str) -> tuple[Pod | None, PodFacts | None]:
        seen = self.book.pods.get(uid)
        if seen is None:
            return None, None
        pod = self._api.find(kinds.POD, seen.metadata.namespace, seen.metadata.name)
        if pod is None or pod.metadata.uid != uid:
            self.book.change(uid, lambda f: replace(f, object_gone=True))
            pod = seen
        else:
            self.book.pods[uid] = pod
        return pod, self.book.facts.get(uid)

    async def _carry_out(self, pod: Pod, plan: Plan) -> bool:
        """Do the steps: containers that start do so side by side, all else in order. Returns whether to plan again."""
        went_on = False
        starts: list[Step] = [step for step in plan.steps if isinstance(step, StartContainer)]
        for step in plan.steps:
            if step not in starts:
                if not await self._doers[type(step)](pod, step):
                    return went_on
                went_on = True
        if starts:
            results = await asyncio.gather(*(self._start_container(pod, step) for step in starts))  # type: ignore[arg-type]
            went_on = went_on or any(results)
        return went_on

    # --- steps; each returns whether the facts changed ------------------------------------------------------------

    async def _make_sandbox(self, pod: Pod, step: MakeSandbox) -> bool:
        uid = pod.metadata.uid
        try:
            sandbox_id, ip = await self._machine.make_sandbox(pod)
        except PinnaceError as error:
            before = self.book.facts[uid].sandbox_problem
            failures = before.failures + 1 if before else 1
            problem = Problem("FailedCreatePodSandBox", error.message, self._clock.now(), failures)
            self.book.change(uid, lambda f: replace(f, sandbox_problem=problem))
            self._events.tell(
                pod, "Warning", problem.reason, f"Failed to create pod sandbox: {error.message}"
            )
            return True
        self.book.got_sandbox(uid, sandbox_id, ip)
        return True

    async def _prepare_volumes(self, pod: Pod, step: PrepareVolumes) -> bool:
        uid = pod.metadata.uid
        facts = self.book.facts[uid]
        try:
            due_at = await self._machine.prepare_volumes(pod, facts.ip)
        except (PinnaceError, OSError) as error:
            message = error.message if isinstance(error, PinnaceError) else str(error)
            self._events.tell(pod, "Warning", "FailedMount", f"MountVolume.SetUp failed for {message}")
            failures = facts.volumes_problem.failures + 1 if facts.volumes_problem else 1
            problem = Problem("FailedMount", message, self._clock.now(), failures)
            self.book.change(
                uid, lambda f: replace(f, volumes_ready=False, volumes_due_at=None, volumes_problem=problem)
            )
            return True
        self.book.change(
            uid,
            lambda f: replace(
                f, volumes_ready=True, volumes_made=True, volumes_problem=None, volumes_due_at=due_at
            ),
        )
        return True

    async def _start_container(self, pod: Pod, step: StartContainer) -> bool:
        uid, name = pod.metadata.uid, step.name
        container = find_container(pod, name)
        ip = self.book.facts[uid].ip
        try:
            facts = self.book.facts[uid]
            resources = granted(container, facts.container(name), facts.resize_refused)
            container = msgspec.structs.replace(container, resources=resources)
            image = self._waits.get(pod, container, step.attempt)
            if image is None:
                return True
            started = await self._machine.start_container(pod, container, step.attempt, ip, image)
        except StartFailure as failure:
            self._waits.fail(pod, container, failure)
            return True
        probes = probes_of(container)
        hook = container.lifecycle is not None and container.lifecycle.post_start is not None
        self.book.started(
            uid,
            name,
            step.attempt,
            started.container_id,
            image.shown_id,
            self._clock.now(),
            ready=ProbeKind.READINESS not in probes,
            up=ProbeKind.STARTUP not in probes,
            starting=hook,
            resources=container.resources,
        )
        if not image.pulled:  # else it was told when it came
            self._events.tell(pod, "Normal", "Pulled", image.told, container=name)
        self._events.tell(pod, "Normal", "Created", f"Container created: {name}", container=name)
        self._events.tell(pod, "Normal", "Started", f"Container started: {name}", container=name)
        ending = self.book.facts[uid].container(name).ending
        if ending is not None:
            self._react_to_end(uid, name, ending)
        elif hook:
            self._tasks.spawn(
                self._run_post_start(pod, container, started.container_id, ip), f"hook {uid}/{name}"
            )
        else:
            self._watch_probes(pod, container, step.attempt, ip, started=False)
        return True

    async def _resize_container(self, pod: Pod, step: ResizeContainer) -> bool:
        await self._resizes.resize(pod, find_container(pod, step.name))
        return True

    async def _back_off_pull(self, pod: Pod, step: BackOffPull) -> bool:
        self._waits.back_off(pod, find_container(pod, step.name))
        return True

    async def _run_post_start(self, pod: Pod, container: Container, container_id: str, ip: str) -> None:
        """Run the hook beside the turns, so that the pod can be deleted meanwhile; then the container counts as started."""
        uid, name = pod.metadata.uid, container.name
        result = await self._machine.run_post_start(pod, container, container_id, ip)
        facts = self.book.facts.get(uid)
        known = facts.container(name) if facts is not None else ContainerFacts(name)
        if known.container_id != container_id or known.state is not ContainerState.RUNNING:
            return
        if result.success:
            probes = probes_of(container)
            up, ready = ProbeKind.STARTUP not in probes, ProbeKind.READINESS not in probes
            self.book.change_container(
                uid, name, lambda c: replace(c, starting=False, started=up, ready=ready)
            )
            if known.stop_asked_at is None:
                self._watch_probes(pod, container, known.attempt, ip, started=False)
        else:
            # What a hook has written may be secret: not for everybody who may read events. Source: kubelet, startContainer.
            log.debug("postStart of %s in pod %s: %s", name, uid, result.output)
            self._events.tell(pod, "Warning", "FailedPostStartHook", "PostStartHook failed", container=name)
            self.book.change_container(uid, name, lambda c: replace(c, unhealthy="postStart hook"))
        self._queue.add(uid)

    async def _stop_container(self, pod: Pod, step: StopContainer) -> bool:
        uid, name = pod.metadata.uid, step.name
        facts = self.book.facts[uid]
        known = facts.container(name)
        self.book.change_container(
            uid, name, lambda c: replace(c, stop_asked_at=self._clock.now(), stop_reason=step.reason)
        )
        words = f"Stopping container {name}"
        if known.unhealthy:
            words = f"Container {name} failed {known.unhealthy}, will be restarted"
        self._events.tell(pod, "Normal", "Killing", words, container=name)
        self._prober.forget(uid, name)
        if pod.metadata.deletion_timestamp and facts.stop_began_at is None:
            self.book.change(uid, lambda f: replace(f, stop_began_at=self._clock.now()))
        self._tasks.spawn(
            self._stop(pod, find_container(pod, name), known.container_id, facts.ip, step.grace_s),
            f"stop {uid}/{name}",
        )
        return True

    async def _stop(self, pod: Pod, container: Container, container_id: str, ip: str, grace_s: float) -> None:
        await self._machine.stop_container(pod, container, container_id, ip, grace_s)
        now = self._clock.now()
        self.book.change_container(
            pod.metadata.uid,
            container.name,
            lambda c: (
                replace(c, signalled_at=now) if c.container_id == container_id and c.stop_asked_at else c
            ),
        )

    async def _kill_container(self, pod: Pod, step: KillContainer) -> bool:
        uid = pod.metadata.uid
        await self._machine.kill_container(self.book.facts[uid].container(step.name).container_id)
        self.book.change_container(uid, step.name, lambda c: replace(c, kill_sent=True))
        return True

    async def _drain(self, pod: Pod, step: Drain) -> bool:
        uid = pod.metadata.uid
        self.book.change(uid, lambda f: replace(f, drain_began_at=f.drain_began_at or self._clock.now()))
        self._drains.ensure(pod, self.book.facts[uid].ip, step.deadline)
        return False

    def _drained(self, uid: str) -> None:
        self.book.change(uid, lambda f: replace(f, drained=True))
        self._queue.add(uid)

    async def _release_sandbox(self, pod: Pod, step: ReleaseSandbox) -> bool:
        await self._machine.release_sandbox(pod.metadata.uid)
        self.book.change(pod.metadata.uid, lambda f: replace(f, sandbox_id=""))
        return True

    async def _remove_pod(self, pod: Pod, step: RemovePod) -> bool:
        uid = pod.metadata.uid
        for container in every_container(pod):
            self._prober.forget(uid, container.name)
        await self._machine.remove_pod(uid)
        if not self.book.facts[uid].object_gone:
            await self._write_status(uid)
            await self._api.finish_deletion(pod)
            present = self._api.find(kinds.POD, pod.metadata.namespace, pod.metadata.name)
            if present is not None and present.metadata.uid == uid:  # finalizers hold it
                self.book.change(uid, lambda f: replace(f, sandbox_id="", removed=True))
                return False
        self.book.forget(uid)
        self._resizes.deferred.discard(uid)
        return False

    # --- telling -------------------------------------------------------------------------------------------------

    async def _write_status(self, uid: str) -> None:
        pod, facts = self._read(uid)
        if pod is None or facts is None or facts.object_gone:
            return
        now = self._clock.now()

        def show(current: Pod) -> Pod:
            if current.metadata.uid != uid:  # the name is another pod's by now
                return current
            status = compute_status(current, facts, host_ip=self._settings.host_ip, now=now)
            return msgspec.structs.replace(current, status=status)

        try:
            await self._api.change(
                kinds.POD, pod.metadata.namespace, pod.metadata.name, show, subresource="status"
            )
        except ApiError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise
        for container in every_container(pod):
            if shows_back_off(pod, container, facts.container(container.name)):
                self._events.tell_back_off(pod, container)

    def _watch_probes(self, pod: Pod, container: Container, attempt: int, ip: str, *, started: bool) -> None:
        container_id = self.book.facts[pod.metadata.uid].container(container.name).container_id

        async def execute(command: tuple[str, ...], timeout_s: float) -> tuple[int, bytes]:
            return await self._machine.run_in(container_id, command, timeout_s)

        self._prober.watch(pod.metadata.uid, container, attempt, ip, execute, started=started)


def find_container(pod: Pod, name: str) -> Container:
    """Return a container of the pod's spec by name. Raises: KeyError."""
    for container in every_container(pod):
        if container.name == name:
            return container
    raise KeyError(name)
