"""A machine that runs nothing: pods are pretended, ends are told by the test. On virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from pinnace.base.clock import Clock
from pinnace.base.errors import PinnaceError, UserError
from pinnace.kube.objects.core_v1 import Container, Pod
from pinnace.node.checks import CheckResult
from pinnace.node.facts import PodFacts, PodImage
from pinnace.node.machine import Ended, Started, StartFailure, Tell
from pinnace.node.specs import container_id, sandbox_id


class FakeMachine:
    """Machine and images. Remembers every call in `log`; containers end when told to stop, or by `end`."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.log: list[str] = []
        self.volumes_due_at: float | None = None
        self.missing_images: set[str] = set()
        self.pull_error = "no such image"
        self.pull_s = 0.0
        self.missing_sources: set[str] = set()
        self.broken_volumes = ""
        self.left: dict[str, PodFacts] = {}
        self.hook = CheckResult(True)
        self.resize_error: PinnaceError | None = None
        self.hook_s = 0.0
        self.drain_s = 1.0
        self.stubborn: set[str] = set()
        self.ends_at_once: set[str] = set()
        self.running: dict[str, tuple[str, str]] = {}
        self._ends: asyncio.Queue[Ended] = asyncio.Queue()

    def end(self, container: str, code: int = 0, *, oom: bool = False) -> None:
        uid, name = self.running.pop(container)
        self._ends.put_nowait(Ended(uid, name, container, code, self.clock.now(), oom_killed=oom))

    async def adopt(self, pods: Mapping[str, Pod]) -> dict[str, PodFacts]:
        return self.left

    async def ends(self) -> AsyncIterator[Ended]:
        while True:
            yield await self._ends.get()

    async def make_sandbox(self, pod: Pod) -> tuple[str, str]:
        self.log.append("sandbox")
        return sandbox_id(pod.metadata.uid), "10.0.0.2"

    async def prepare_volumes(self, pod: Pod, ip: str) -> float | None:
        self.log.append("volumes")
        if self.broken_volumes:
            raise UserError(self.broken_volumes)
        return self.volumes_due_at

    def find(self, container: Container) -> PodImage | None:
        if container.image in self.missing_images:
            if container.image_pull_policy == "Never":
                raise StartFailure("ErrImageNeverPull", "not present with pull policy of Never")
            return None
        return PodImage("sha256:1", "sha256:1", "", "present")

    async def pull(self, pod: Pod, container: Container, tell: Tell) -> PodImage:
        tell("Normal", "Pulling", f'Pulling image "{container.image}"')
        self.log.append(f"pull {container.image}")
        try:
            await self.clock.sleep(self.pull_s)
        except asyncio.CancelledError:
            self.log.append(f"pull of {container.image} cancelled")
            raise
        if self.pull_error:
            raise StartFailure("ErrImagePull", self.pull_error)
        return PodImage("sha256:2", "docker.io/library/app@sha256:3", "", "pulled", pulled=True)

    async def start_container(
        self, pod: Pod, container: Container, attempt: int, ip: str, image: PodImage
    ) -> Started:
        if container.name in self.missing_sources:
            raise StartFailure("CreateContainerConfigError", 'secret "key" not found')
        name = container_id(pod.metadata.uid, container.name, attempt)
        self.running[name] = (pod.metadata.uid, container.name)
        self.log.append(f"start {container.name} {attempt}")
        if container.name in self.ends_at_once:
            self.end(name)
            await self.clock.sleep(0.01)  # the end is told while the start is still under way
        return Started(name)

    async def run_post_start(self, pod: Pod, container: Container, container_id: str, ip: str) -> CheckResult:
        await self.clock.sleep(self.hook_s)
        self.log.append(f"hook {container.name}")
        return self.hook

    async def stop_container(
        self, pod: Pod, container: Container, container_id: str, ip: str, grace_s: float
    ) -> None:
        self.log.append(f"stop {container.name}")
        if container_id in self.running and container.name not in self.stubborn:
            self.end(container_id, 143)

    async def resize_container(self, pod: Pod, container: Container, container_id: str) -> None:
        if self.resize_error is not None:
            raise self.resize_error
        self.log.append(f"resize {container.name} {container.resources.requests.get('cpu')}")

    async def kill_container(self, container_id: str) -> None:
        self.log.append("kill")
        if container_id in self.running:
            self.end(container_id, 137)

    async def run_in(
        self, container_id: str, command: tuple[str, ...], timeout_s: float
    ) -> tuple[int, bytes]:
        return 0, b""

    async def drain(self, pod: Pod, ip: str, timeout_s: float) -> None:
        self.log.append("drain")
        await self.clock.sleep(self.drain_s)

    async def release_sandbox(self, uid: str) -> None:
        self.log.append("release")

    async def remove_pod(self, uid: str) -> None:
        self.log.append("remove")
