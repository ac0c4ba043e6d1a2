"""A small world on virtual time: the real API and controllers, a scheduler and a node that only pretend.

`World.run(seed, story)` runs a story to its end. The trace holds every change of every object, in order.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import yaml

from pinnace.api.facade import Api, ObjectChange
from pinnace.api.world import ContainerUsage, NodeUsage
from pinnace.base.chance import Chance
from pinnace.base.clock import LoopClock
from pinnace.base.errors import ApiError, Reason
from pinnace.base.tasks import Tasks
from pinnace.base.times import render_time
from pinnace.base.virtual import run_virtual
from pinnace.controllers.ensure import ensure_cluster_objects
from pinnace.controllers.pods import is_active, is_ready
from pinnace.controllers.runner import ControllerRunner
from pinnace.controllers.table import build_controllers
from pinnace.kube import codec
from pinnace.kube.kinds import DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, POD, STORED, Kind, by_api_version
from pinnace.kube.objects.core_v1 import ContainerStatus, Node, Pod, PodCondition, PodStatus
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.store.memory import MemoryStore

START = 1_767_225_600.0  # 2026-01-01T00:00:00Z
T = TypeVar("T")


@dataclass
class PretendedUsage:
    """Usage by a function of time: milli-cores that all ready pods share, as requests spread by a Service are."""

    api: Api
    load_milli: Callable[[float], float] = lambda now: 0.0

    def pod_usage(self, namespace: str, name: str) -> Mapping[str, ContainerUsage]:
        pod = self.api.find(POD, namespace, name)
        if pod is None or not is_ready(pod):
            return {}
        sharing = sum(is_ready(one) and is_active(one) for one in self.api.list(POD, namespace)) or 1
        now = self.api.clock.now()
        used = ContainerUsage(cpu_milli=int(self.load_milli(now) / sharing), memory_bytes=50 << 20, at=now)
        return {container.name: used for container in pod.spec.containers}

    def node_usage(self, name: str) -> NodeUsage | None:
        return None


@dataclass
class Timing:
    """How long the pretended node takes. Units: seconds. `breaks`: images that never become ready."""

    start_s: float = 2.0
    stop_s: float = 1.0
    breaks: frozenset[str] = frozenset()


@dataclass
class World:
    """One running world. Built by `run_world`."""

    api: Api
    usage: PretendedUsage
    runner: ControllerRunner
    timing: Timing
    trace: list[str] = field(default_factory=list)
    checks: list[Callable[["World"], None]] = field(default_factory=list)
    addresses: int = 0

    # ------------------------------------------------------------------ what stories do

    async def apply(self, manifest: str, namespace: str = "default") -> None:
        """Create the objects of a manifest."""
        for document in yaml.safe_load_all(manifest):
            kind = by_api_version(document["apiVersion"], document["kind"])
            assert kind is not None
            document.setdefault("metadata", {}).setdefault("namespace", namespace)
            await self.api.create(codec.from_json(kind, document))

    async def sleep(self, seconds: float) -> None:
        await self.api.clock.sleep(seconds)

    async def until(self, holds: Callable[[], bool], limit_s: float = 3600, step_s: float = 0.5) -> float:
        """Wait until something holds and return how long that took. Raises: AssertionError after `limit_s`."""
        began = self.api.clock.now()
        while not holds():
            assert self.api.clock.now() - began < limit_s, self.story()
            await self.sleep(step_s)
        return self.api.clock.now() - began

    def story(self) -> str:
        return "\n".join(self.trace[-60:]) + f"\nfailures: {self.runner.failures}"

    # ------------------------------------------------------------------ what stories ask

    def pods(self, **labels: str) -> list[Pod]:
        return [pod for pod in self.api.list(POD, "default") if labels.items() <= pod.metadata.labels.items()]

    def deployment(self, name: str) -> Any:
        return self.api.get(DEPLOYMENT, "default", name)

    def hpa(self, name: str) -> Any:
        return self.api.get(HORIZONTAL_POD_AUTOSCALER, "default", name)

    # ------------------------------------------------------------------ the pretended scheduler and node

    async def play_node(self, tasks: Tasks) -> None:
        async for change in self.api.watch(POD):
            pod = change.object
            if change.type == "DELETED":
                continue
            key = (pod.metadata.namespace, pod.metadata.name)
            if change.type == "ADDED":
                tasks.spawn(self._live(*key, pod.metadata.uid), f"live-{key[1]}")
            elif pod.metadata.deletion_timestamp and not (
                change.previous and change.previous.metadata.deletion_timestamp
            ):
                tasks.spawn(self._end(pod), f"end-{key[1]}")

    async def _live(self, namespace: str, name: str, uid: str) -> None:
        try:
            await self.api.bind(namespace, name, "n1")
            self.addresses += 1
            ip = f"10.244.{self.addresses // 250}.{self.addresses % 250 + 1}"
            began = render_time(self.api.clock.now())
            await self._write(namespace, name, uid, False, ip, began)
            await self.sleep(self.api.chance.jitter(self.timing.start_s, 0.5))
            pod = self.api.find(POD, namespace, name)
            if pod is None or pod.spec.containers[0].image in self.timing.breaks:
                return
            await self._write(namespace, name, uid, True, ip, began)
        except ApiError as error:
            if error.reason not in (Reason.NOT_FOUND, Reason.CONFLICT):
                raise

    async def _write(self, namespace: str, name: str, uid: str, ready: bool, ip: str, began: str) -> None:
        def turn(pod: Pod) -> Pod:
            if pod.metadata.uid != uid:
                return pod
            at = render_time(self.api.clock.now())
            word = "True" if ready else "False"
            status = PodStatus(
                phase="Running",
                pod_ip=ip,
                start_time=began,
                conditions=(PodCondition(type="Ready", status=word, last_transition_time=at),),
                container_statuses=tuple(
                    ContainerStatus(name=container.name, ready=ready) for container in pod.spec.containers
                ),
            )
            return msgspec.structs.replace(pod, status=status)

        await self.api.change(POD, namespace, name, turn, subresource="status")

    async def _end(self, pod: Pod) -> None:
        await self.sleep(self.api.chance.jitter(self.timing.stop_s, 0.5))
        await self.api.finish_deletion(pod)

    # ------------------------------------------------------------------ the trace

    async def keep_trace(self, kind: Kind[Any]) -> None:
        async for change in self.api.watch(kind):
            self.trace.append(_line(kind, change, self.api.clock.now() - START))
            for check in self.checks:
                check(self)


def _line(kind: Kind[Any], change: ObjectChange[Any], now: float) -> str:
    meta = change.object.metadata
    return f"{now:9.3f} {change.type} {kind.plural} {meta.namespace}/{meta.name} {meta.resource_version}"


def run_world(
    story: Callable[[World], Awaitable[T]],
    *,
    seed: int = 1,
    timing: Timing | None = None,
    check: Callable[[World], None] | None = None,
    api_type: type[Api] = Api,
) -> T:
    """Run a story in a fresh world; `check` is called after each change of any object."""

    async def main() -> T:
        api = api_type(MemoryStore(), LoopClock(START), Chance(seed))
        usage = PretendedUsage(api)
        failed: list[BaseException] = []
        tasks = Tasks("world", lambda name, error: failed.append(error))
        runner = ControllerRunner(
            api,
            build_controllers(api, api.clock, usage, ca_text="CA"),
            api.clock,
            on_failure=lambda name, error: failed.append(error),
        )
        world = World(api, usage, runner, timing or Timing())
        if check is not None:
            world.checks.append(check)
        await ensure_cluster_objects(api, api_addresses=("10.244.0.1",))
        await api.create(Node(metadata=ObjectMeta(name="n1")))
        runner.start()
        for kind in STORED:
            tasks.spawn(world.keep_trace(kind), f"trace-{kind.plural}")
        tasks.spawn(world.play_node(tasks), "node")
        try:
            async with asyncio.timeout(200_000):
                result = await story(world)
        finally:
            await runner.close()
            await tasks.close()
            await api.store.close()
        assert failed == [], failed
        return result

    return run_virtual(main())
