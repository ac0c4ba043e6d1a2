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
from typing import Any

import msgspec

from pinnace.api.events import refer_to
from pinnace.api.facade import Api
from pinnace.base.chance import Chance
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, PinnaceError, Reason
from pinnace.base.tasks import Tasks
from pinnace.base.workqueue import QueueClosed, WorkQueue
from pinnace.kube import kinds
from pinnace.kube.objects.core_v1 import Container, Pod
from pinnace.node.book import PodBook
from pinnace.node.facts import ContainerState, Ending, PodFacts, Problem, all_containers
from pinnace.node.lifecycle import (
    Drain,
    KillContainer,
    MakeSandbox,
    Plan,
    PodState,
    PrepareVolumes,
    ReleaseSandbox,
    RemovePod,
    StartContainer,
    Step,
    StopContainer,
    plan_pod,
)
from pinnace.node.machine import Ended, PodMachine, StartFailure
from pinnace.node.prober import ProbeChange, Prober
from pinnace.node.probes import ProbeKind, probes_of
from pinnace.node.status import compute_status, describe_backoff

log = logging.getLogger("pinnace.node")

WORKERS = 8
COMPONENT = "kubelet"  # the name that Kubernetes' events carry


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """The node that an agent serves."""

    node_name: str
    host_ip: str


class NodeAgent:
    """The pods of one node. `machine` makes them real; a fake one makes this testable without a container."""

    def __init__(
        self, api: Api, machine: PodMachine, clock: Clock, chance: Chance, settings: AgentSettings
    ) -> None:
        self._api = api
        self._machine = machine
        self._clock = clock
        self._settings = settings
        self._tasks = Tasks("node")
        self._queue: WorkQueue[str] = WorkQueue()
        self._prober = Prober(clock, chance, self._tasks, self._probed)
        self._draining: set[str] = set()
        self.book = PodBook()
        self._doers: dict[type[Any], Callable[[Pod, Any], Awaitable[bool]]] = {
            MakeSandbox: self._make_sandbox,
            PrepareVolumes: self._prepare_volumes,
            StartContainer: self._start_container,
            StopContainer: self._stop_container,
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
        self._tasks.spawn(self._follow_pods(), "pods", forever=True)
        self._tasks.spawn(self._follow_sources(kinds.CONFIG_MAP), "config maps", forever=True)
        self._tasks.spawn(self._follow_sources(kinds.SECRET), "secrets", forever=True)
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
                await self._machine.remove_pod(uid)
                continue
            self.book.see(pod, now)
            self.book.change(uid, lambda _, facts=facts: facts)  # type: ignore[misc]
            for container in all_containers(pod):
                known = facts.container(container.name)
                if known.state is ContainerState.RUNNING:
                    self._watch_probes(pod, container, known.attempt, facts.ip, started=known.started)

    # --- what happens --------------------------------------------------------------------------------------------

    async def _follow_pods(self) -> None:
        async for change in self._api.watch(kinds.POD):
            pod = change.object
            if pod.spec.node_name != self._settings.node_name:
                continue
            uid = pod.metadata.uid
            if change.type == "DELETED":
                self.book.change(uid, lambda f: replace(f, object_gone=True))
            else:
                self.book.see(pod, self._clock.now())
            if uid in self.book.facts:
                self._queue.add(uid)

    async def _follow_exits(self) -> None:
        async for ended in self._machine.ends():
            self._ended(ended)

    async def _follow_sources(self, kind: kinds.Kind[Any]) -> None:
        """A ConfigMap or Secret changed: the volumes made of it are written anew."""
        async for change in self._api.watch(kind):
            for uid, pod in tuple(self.book.pods.items()):
                if pod.metadata.namespace != change.object.metadata.namespace:
                    continue
                facts = self.book.facts[uid]
                if names_source(pod, kind.kind, change.object.metadata.name):
                    self.book.change(uid, lambda f: replace(f, volumes_ready=False))
                    self._queue.add(uid)
                elif any(c.problem for c in facts.containers.values()):
                    self._queue.add(uid)

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
            self._event(pod, "Warning", "OOMKilled", f"Container {name} was killed: out of memory")

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
            self._event(pod, "Warning", "Unhealthy", words, field=_field_of(pod, change.container))
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
                log.warning("pod %s: %s", uid, error)
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
            plan = plan_pod(pod, facts, self._clock.now())
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
            self._event(pod, "Warning", problem.reason, f"Failed to create pod sandbox: {error.message}")
            return True
        self.book.change(uid, lambda f: replace(f, sandbox_id=sandbox_id, ip=ip, sandbox_problem=None))
        return True

    async def _prepare_volumes(self, pod: Pod, step: PrepareVolumes) -> bool:
        uid = pod.metadata.uid
        facts = self.book.facts[uid]
        try:
            await self._machine.prepare_volumes(pod, facts.ip)
        except (PinnaceError, OSError) as error:
            message = error.message if isinstance(error, PinnaceError) else str(error)
            self._event(pod, "Warning", "FailedMount", f"MountVolume.SetUp failed: {message}")
            for container in all_containers(pod):
                if facts.container(container.name).state is not ContainerState.RUNNING:
                    self.book.stumbled(uid, container.name, "ContainerCreating", "", self._clock.now())
            # Volumes that can't be refreshed now leave running containers as they are.
            self.book.change(uid, lambda f: replace(f, volumes_ready=_anything_runs(f)))
            wait_s = min(
                (c.problem.failures * 2.0 for c in self.book.facts[uid].containers.values() if c.problem),
                default=2.0,
            )
            self._queue.add_after(uid, min(wait_s, 30.0))
            return False
        self.book.change(uid, lambda f: replace(f, volumes_ready=True))
        return True

    async def _start_container(self, pod: Pod, step: StartContainer) -> bool:
        uid, name = pod.metadata.uid, step.name
        container = find_container(pod, name)
        field = _field_of(pod, name)
        ip = self.book.facts[uid].ip
        try:
            started = await self._machine.start_container(pod, container, step.attempt, ip)
        except StartFailure as failure:
            problem = self.book.stumbled(uid, name, failure.reason, failure.message, self._clock.now())
            words = f"Error: {failure.message}" if failure.reason.startswith("Create") else failure.message
            self._event(pod, "Warning", "Failed", words, field=field)
            if problem.failures > 1 and failure.backoff_reason:
                again = replace(problem, reason=failure.backoff_reason)
                self.book.change_container(uid, name, lambda c: replace(c, problem=again))
            return True
        probes = probes_of(container)
        self.book.started(
            uid,
            name,
            step.attempt,
            started.container_id,
            started.image_id,
            self._clock.now(),
            ready=ProbeKind.READINESS not in probes,
            up=ProbeKind.STARTUP not in probes,
        )
        self._event(pod, "Normal", "Pulled", started.pulled, field=field)
        self._event(pod, "Normal", "Created", f"Container created: {name}", field=field)
        self._event(pod, "Normal", "Started", f"Container started: {name}", field=field)
        ending = self.book.facts[uid].container(name).ending
        if ending is not None:
            self._react_to_end(uid, name, ending)
        else:
            self._watch_probes(pod, container, step.attempt, ip, started=False)
        return True

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
        self._event(pod, "Normal", "Killing", words, field=_field_of(pod, name))
        self._prober.forget(uid, name)
        self._tasks.spawn(
            self._machine.stop_container(
                pod, find_container(pod, name), known.container_id, facts.ip, step.grace_s
            ),
            f"stop {uid}/{name}",
        )
        return True

    async def _kill_container(self, pod: Pod, step: KillContainer) -> bool:
        uid = pod.metadata.uid
        await self._machine.kill_container(self.book.facts[uid].container(step.name).container_id)
        self.book.change_container(uid, step.name, lambda c: replace(c, kill_sent=True))
        return True

    async def _drain(self, pod: Pod, step: Drain) -> bool:
        uid = pod.metadata.uid
        if uid in self._draining:
            return False
        self._draining.add(uid)
        self.book.change(uid, lambda f: replace(f, drain_began_at=f.drain_began_at or self._clock.now()))
        self._tasks.spawn(self._drain_until(pod, step.deadline), f"drain {uid}")
        return False

    async def _drain_until(self, pod: Pod, deadline: float) -> None:
        uid = pod.metadata.uid
        try:
            facts = self.book.facts.get(uid)
            if facts is not None and facts.ip:
                await self._machine.drain(pod, facts.ip, max(0.0, deadline - self._clock.now()))
        finally:
            self._draining.discard(uid)
            self.book.change(uid, lambda f: replace(f, drained=True))
            self._queue.add(uid)

    async def _release_sandbox(self, pod: Pod, step: ReleaseSandbox) -> bool:
        await self._machine.release_sandbox(pod.metadata.uid)
        self.book.change(pod.metadata.uid, lambda f: replace(f, sandbox_id=""))
        return True

    async def _remove_pod(self, pod: Pod, step: RemovePod) -> bool:
        uid = pod.metadata.uid
        for container in all_containers(pod):
            self._prober.forget(uid, container.name)
        await self._machine.remove_pod(uid)
        if not self.book.facts[uid].object_gone:
            await self._write_status(uid)
            await self._api.finish_deletion(pod)
        self.book.forget(uid)
        return False

    # --- telling -------------------------------------------------------------------------------------------------

    async def _write_status(self, uid: str) -> None:
        pod, facts = self._read(uid)
        if pod is None or facts is None or facts.object_gone:
            return
        now = self._clock.now()

        def show(current: Pod) -> Pod:
            status = compute_status(current, facts, host_ip=self._settings.host_ip, now=now)
            return msgspec.structs.replace(current, status=status)

        try:
            await self._api.change(
                kinds.POD, pod.metadata.namespace, pod.metadata.name, show, subresource="status"
            )
        except ApiError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise
        for container in all_containers(pod):
            known = facts.container(container.name)
            if known.state is ContainerState.EXITED and known.crashes and not pod.metadata.deletion_timestamp:
                self._back_off(pod, container, facts)

    def _back_off(self, pod: Pod, container: Container, facts: PodFacts) -> None:
        if plan_pod(pod, facts, self._clock.now()).state not in (PodState.RUNNING, PodState.INITIALIZING):
            return
        words = describe_backoff(pod, container, facts.container(container.name))
        name = f"{pod.metadata.name}_{pod.metadata.namespace}({pod.metadata.uid})"
        self._event(
            pod,
            "Warning",
            "BackOff",
            f"Back-off restarting failed container {container.name} in pod {name}" if words else words,
            field=_field_of(pod, container.name),
        )

    def _event(self, pod: Pod, type: str, reason: str, message: str, *, field: str = "") -> None:
        if not message:
            return
        about = msgspec.structs.replace(refer_to(pod), field_path=field)
        self._tasks.spawn(
            self._api.record_event(
                about, type, reason, message, component=COMPONENT, host=self._settings.node_name
            ),
            f"event {reason}",
        )

    def _watch_probes(self, pod: Pod, container: Container, attempt: int, ip: str, *, started: bool) -> None:
        container_id = self.book.facts[pod.metadata.uid].container(container.name).container_id

        async def execute(command: tuple[str, ...], timeout_s: float) -> tuple[int, bytes]:
            return await self._machine.run_in(container_id, command, timeout_s)

        self._prober.watch(pod.metadata.uid, container, attempt, ip, execute, started=started)


def find_container(pod: Pod, name: str) -> Container:
    """Return a container of the pod's spec by name. Raises: KeyError."""
    for container in all_containers(pod):
        if container.name == name:
            return container
    raise KeyError(name)


def names_source(pod: Pod, kind: str, name: str) -> bool:
    """Say whether a volume of the pod is made of the ConfigMap or Secret `name`."""
    for volume in pod.spec.volumes:
        if kind == "ConfigMap" and volume.config_map is not None and volume.config_map.name == name:
            return True
        if kind == "Secret" and volume.secret is not None and volume.secret.secret_name == name:
            return True
        for part in volume.projected.sources if volume.projected is not None else ():
            if kind == "ConfigMap" and part.config_map is not None and part.config_map.name == name:
                return True
            if kind == "Secret" and part.secret is not None and part.secret.name == name:
                return True
    return False


def _anything_runs(facts: PodFacts) -> bool:
    return any(c.state is ContainerState.RUNNING for c in facts.containers.values())


def _field_of(pod: Pod, name: str) -> str:
    init = any(c.name == name for c in pod.spec.init_containers)
    return f"spec.{'initContainers' if init else 'containers'}{{{name}}}"
