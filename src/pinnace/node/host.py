"""Makes pods real with sandboxes: the agent's `PodMachine` on this machine. A doer.

Its files for a pod stand in `<home>/node/<uid>/`: volumes, logs, termination messages. What the pod's objects mean is
decided in `specs`, `environment` and `volumes`; what was there before a restart is read in `adoption`.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from pinnace.api.ephemeral import target_of
from pinnace.api.facade import Api
from pinnace.base.clock import Clock
from pinnace.base.errors import HostError, PinnaceError, UserError
from pinnace.container.exits import ExitFact
from pinnace.container.logs import LogOptions
from pinnace.container.plan import Mount
from pinnace.container.signals import parse_signal
from pinnace.container.system import unmount
from pinnace.kube import kinds
from pinnace.kube.objects.core_v1 import Container, Pod
from pinnace.node.adoption import read_facts
from pinnace.node.checks import CheckResult, Exec, run_hook
from pinnace.node.environment import Lookups, MissingReference, NodeFacts, compute_environment
from pinnace.node.facts import PodFacts, PodImage
from pinnace.node.host_ports import HostPorts, Publisher
from pinnace.node.machine import Ended, Started, StartFailure
from pinnace.node.specs import (
    MESSAGE_POLICY_LABEL,
    DnsFacts,
    compute_container_spec,
    compute_limits,
    compute_pod_limits,
    compute_sandbox_spec,
    container_id,
    sandbox_id,
    widest,
)
from pinnace.node.tokens import PodTokens
from pinnace.node.volumes import VolumePlan, make_sub_path, plan_volume, write_volumes
from pinnace.sandbox.namespaces import find_mounts_below
from pinnace.sandbox.sandboxes import Sandboxes
from pinnace.sandbox.spec import ContainerHandle, ContainerSpec

log = logging.getLogger("pinnace.node")

MESSAGE_LIMIT = 4096  # Source: pkg/kubelet/container, MaxContainerTerminationMessageLength
MESSAGE_LOG_LIMIT = 2048  # Source: same file, MaxContainerTerminationMessageLogLength
POST_START_TIMEOUT_S = 3600.0  # Kubernetes sets none; a deletion of the pod ends the wait
SANDBOX_PREFIX = "pod-"


class Proxy(Publisher, Protocol):
    """The part of the Service proxy that pods need."""

    async def settled(self, address: str, *, timeout_s: float | None = None) -> bool: ...

    async def drained(
        self, address: str, *, timeout_s: float, active_within_s: float | None = None
    ) -> int: ...


class HostMachine:
    """The pods of one node, in sandboxes of this machine."""

    def __init__(
        self,
        api: Api,
        sandboxes: Sandboxes,
        proxy: Proxy,
        clock: Clock,
        *,
        home: Path,
        node: NodeFacts,
        dns: Callable[[], DnsFacts],
        tokens: PodTokens | None = None,
    ) -> None:
        self._api = api
        self._sandboxes = sandboxes
        self._proxy = proxy
        self._host_ports = HostPorts(proxy)
        self._clock = clock
        self._home = home / "node"
        self._node = node
        self._dns = dns
        self._tokens = tokens
        self._volumes: dict[str, dict[str, Path]] = {}
        self._exits = sandboxes.exits()  # before anything is adopted, so that no end is missed

    # --- what is there ---------------------------------------------------------------------------------------------

    async def adopt(self, pods: Mapping[str, Pod]) -> dict[str, PodFacts]:
        now = self._clock.now()
        found: dict[str, PodFacts] = {}
        for sandbox in self._sandboxes.list_sandboxes():
            if not sandbox.id.startswith(SANDBOX_PREFIX):
                continue
            uid = sandbox.id.removeprefix(SANDBOX_PREFIX)
            handles = self._sandboxes.list_containers(sandbox.id)
            ends = [await self._describe_end(one, one.exit) for one in handles if one.exit is not None]
            messages = {end.container_id: end.message for end in ends}
            found[uid] = read_facts(pods.get(uid), sandbox, handles, now, messages)
            if uid in pods and sandbox.ip and not sandbox.gone:
                await self._publish_again(pods[uid], sandbox.ip)
        for uid, pod in pods.items():
            if uid not in found:
                found[uid] = read_facts(pod, None, (), now)
        return found

    async def _publish_again(self, pod: Pod, ip: str) -> None:
        try:
            await self._host_ports.publish(pod, ip)
        except PinnaceError as error:
            name = f"{pod.metadata.namespace}/{pod.metadata.name}"
            log.error("ports of pod %s can't be published again: %s", name, error.message)

    async def ends(self) -> AsyncIterator[Ended]:
        async for fact in self._exits:
            handle = self._sandboxes.get_container(fact.container_id)
            if handle is not None and handle.sandbox_id.startswith(SANDBOX_PREFIX):
                yield await self._describe_end(handle, fact)

    async def _describe_end(self, handle: ContainerHandle, fact: ExitFact) -> Ended:
        uid = handle.sandbox_id.removeprefix(SANDBOX_PREFIX)
        try:
            message = await self._read_message(uid, handle, fact)
        except (OSError, PinnaceError) as error:
            message = f"the termination message can't be read: {error}"
        return Ended(
            uid,
            handle.spec.name,
            handle.id,
            fact.exit_code,
            fact.finished_at,
            signal=fact.signal,
            oom_killed=fact.oom_killed,
            message=message
            if fact.known
            else "The container could not be located when its end was looked for",
        )

    async def _read_message(self, uid: str, handle: ContainerHandle, fact: ExitFact) -> str:
        path = self._message_file(uid, handle.id)
        text = ""
        if path.exists():
            with path.open("rb") as file:
                text = file.read(MESSAGE_LIMIT).decode(errors="replace")
        policy = handle.spec.labels.get(MESSAGE_POLICY_LABEL)
        if text or policy != "FallbackToLogsOnError" or fact.exit_code == 0:
            return text
        pieces = [chunk.data async for chunk in self._sandboxes.logs(handle.id, LogOptions(tail=80))]
        return b"".join(pieces)[-MESSAGE_LOG_LIMIT:].decode(errors="replace")

    # --- the pod -----------------------------------------------------------------------------------------------------

    async def make_sandbox(self, pod: Pod) -> tuple[str, str]:
        sandbox = await self._sandboxes.create_sandbox(compute_sandbox_spec(pod, self._dns()))
        try:
            await self._host_ports.publish(pod, sandbox.ip)
        except PinnaceError:
            await self._host_ports.release(pod.metadata.uid)
            raise
        return sandbox.id, sandbox.ip

    async def prepare_volumes(self, pod: Pod, ip: str) -> float | None:
        uid = pod.metadata.uid
        plans, failures = self._plan_volumes(pod, ip)
        group = pod.spec.security_context.fs_group if pod.spec.security_context else None
        made = await asyncio.to_thread(self._write_volumes, uid, plans, group)
        self._volumes[uid] = {**self._volumes.get(uid, {}), **made}
        if failures:
            raise failures[0]
        return self._tokens.find_due(uid) if self._tokens is not None else None

    def _write_volumes(self, uid: str, plans: tuple[VolumePlan, ...], group: int | None) -> dict[str, Path]:
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)  # Secrets lie below
        return write_volumes(self._folder(uid) / "volumes", plans, group=group)

    def _plan_volumes(self, pod: Pod, ip: str) -> tuple[tuple[VolumePlan, ...], list[UserError]]:
        """Return the plans of all volumes that can be made, and why the others can't: one must not hold up the others."""
        lookups = self._lookups(pod)
        plans: list[VolumePlan] = []
        failures: list[UserError] = []
        for volume in pod.spec.volumes:
            try:
                plans.append(plan_volume(volume, pod, pod_ip=ip, node=self._node, lookups=lookups))
            except UserError as error:
                failures.append(error)
        return tuple(plans), failures

    async def release_sandbox(self, uid: str) -> None:
        await self._host_ports.release(uid)
        await self._sandboxes.stop_sandbox(sandbox_id(uid))

    async def remove_pod(self, uid: str) -> None:
        await self._host_ports.release(uid)
        await self._sandboxes.remove_sandbox(sandbox_id(uid))
        self._volumes.pop(uid, None)
        if self._tokens is not None:
            self._tokens.forget(uid)
        await asyncio.to_thread(remove_folder, self._folder(uid))

    async def drain(self, pod: Pod, ip: str, timeout_s: float) -> None:
        began = self._clock.monotonic()
        await self._proxy.settled(ip, timeout_s=timeout_s)
        left_s = timeout_s - (self._clock.monotonic() - began)
        if left_s > 0:
            await self._proxy.drained(ip, timeout_s=left_s)

    # --- its containers ------------------------------------------------------------------------------------------------

    async def start_container(
        self, pod: Pod, container: Container, attempt: int, ip: str, image: PodImage
    ) -> Started:
        uid = pod.metadata.uid
        spec = self._compose(pod, container, attempt, ip, image)
        try:
            await self._fit_sandbox(pod)
            spec = await asyncio.to_thread(self._prepare_files, uid, spec)
            await self._sandboxes.create_container(sandbox_id(uid), spec)
        except PinnaceError as error:
            raise StartFailure("CreateContainerError", error.message, hint=error.hint) from error
        except OSError as error:
            raise StartFailure("CreateContainerError", str(error)) from error
        try:
            await self._sandboxes.start(spec.id)
        except HostError as error:
            await self._sandboxes.remove_container(spec.id)
            raise StartFailure("RunContainerError", error.stderr or error.message, hint=error.hint) from error
        if attempt > 0:
            await self._forget_attempts(uid, container.name, attempt)
        return Started(spec.id)

    async def _fit_sandbox(self, pod: Pod) -> None:
        """Set the pod's own limits anew if its containers ask for others since it was made."""
        sandbox = self._sandboxes.get_sandbox(sandbox_id(pod.metadata.uid))
        wanted = compute_pod_limits(pod)
        if sandbox is not None and not sandbox.gone and sandbox.spec.limits != wanted:
            await self._sandboxes.update_sandbox(replace(sandbox.spec, limits=wanted))

    def _compose(
        self, pod: Pod, container: Container, attempt: int, ip: str, image: PodImage
    ) -> ContainerSpec:
        uid = pod.metadata.uid
        try:
            env = compute_environment(pod, container, pod_ip=ip, node=self._node, lookups=self._lookups(pod))
            spec = compute_container_spec(
                pod,
                container,
                attempt,
                image_id=image.id,
                image_user=image.user,
                env=env,
                volumes=self._volumes.get(uid, {}),
                termination_file=self._message_file(uid, container_id(uid, container.name, attempt)),
                log_path=self.log_path(uid, container.name, attempt),
                node_memory_bytes=self._node.memory_bytes,
            )
            if target := target_of(pod, container.name):
                spec = replace(spec, processes_of=self._find_target(pod, target))
        except MissingReference as error:
            raise StartFailure("CreateContainerConfigError", error.message, hint=error.hint) from error
        except UserError as error:
            raise StartFailure("CreateContainerConfigError", error.message, hint=error.hint) from error
        return spec

    def _find_target(self, pod: Pod, name: str) -> str:
        """Return the running container whose processes an ephemeral one shall see. Raises: UserError."""
        for handle in self._sandboxes.list_containers(sandbox_id(pod.metadata.uid)):
            if handle.spec.name == name and handle.state == "running":
                return handle.id
        raise UserError(f"unable to find target container {name}")

    def _prepare_files(self, uid: str, spec: ContainerSpec) -> ContainerSpec:
        """Make what is mounted as a file, and what subPaths name; return the spec with the places where these really are."""
        message = self._message_file(uid, spec.id)
        message.parent.mkdir(parents=True, exist_ok=True)
        message.touch(mode=0o666)
        message.chmod(0o666)
        Path(spec.log_path).parent.mkdir(parents=True, exist_ok=True)
        return replace(spec, mounts=tuple(self._settle(uid, one) for one in spec.mounts))

    def _settle(self, uid: str, one: Mount) -> Mount:
        source = Path(one.source)
        for root in self._volumes.get(uid, {}).values():
            if source != root and source.is_relative_to(root):
                return replace(one, source=str(make_sub_path(root, source)))
        return one

    async def run_post_start(self, pod: Pod, container: Container, container_id: str, ip: str) -> CheckResult:
        hook = container.lifecycle.post_start if container.lifecycle else None
        if hook is None:
            return CheckResult(True)
        execute = self._exec_in(container_id)
        return await run_hook(hook, container, ip, execute, timeout_s=POST_START_TIMEOUT_S)

    async def _forget_attempts(self, uid: str, name: str, attempt: int) -> None:
        """Remove earlier attempts; the log of the last one stays for `kubectl logs --previous`."""
        for handle in self._sandboxes.list_containers(sandbox_id(uid)):
            known = int(handle.spec.labels.get("io.kubernetes.container.attempt", "0"))
            if handle.spec.name == name and known < attempt:
                await self._sandboxes.remove_container(handle.id)
                self._message_file(uid, handle.id).unlink(missing_ok=True)
        if attempt > 1:
            for path in self.log_path(uid, name, attempt - 2).parent.glob(f"{attempt - 2}.log*"):
                path.unlink(missing_ok=True)

    async def stop_container(
        self, pod: Pod, container: Container, container_id: str, ip: str, grace_s: float
    ) -> None:
        handle = self._sandboxes.get_container(container_id)
        if handle is None:
            return
        if grace_s <= 0:
            self._sandboxes.kill(container_id, signal.SIGKILL)
            return
        hook = container.lifecycle.pre_stop if container.lifecycle else None
        if hook is not None:
            result = await run_hook(hook, container, ip, self._exec_in(container_id), timeout_s=grace_s)
            if not result.success:
                await self._api.record_event(
                    pod,
                    "Warning",
                    "FailedPreStopHook",
                    "PreStopHook failed",  # without its output, which may be secret
                    component="kubelet",
                )
        name = (container.lifecycle.stop_signal if container.lifecycle else "") or handle.stop_signal
        self._sandboxes.kill(container_id, parse_signal(name))

    async def resize_container(self, pod: Pod, container: Container, container_id: str) -> None:
        """The pod's own cgroup first makes room, then the container's changes, then the pod's is as it shall be."""
        handle = self._sandboxes.get_container(container_id)
        sandbox = self._sandboxes.get_sandbox(sandbox_id(pod.metadata.uid))
        if handle is None or sandbox is None:
            raise HostError(f"container {container_id} is not there")
        limits = compute_limits(container)
        self._check_memory(container_id, limits.memory_bytes)
        wanted = compute_pod_limits(pod)
        await self._sandboxes.update_sandbox(
            replace(sandbox.spec, limits=widest(sandbox.spec.limits, wanted))
        )
        await self._sandboxes.update_limits(container_id, limits)
        await self._sandboxes.update_sandbox(replace(sandbox.spec, limits=wanted))

    def _check_memory(self, container_id: str, limit: int | None) -> None:
        """Refuse a limit below what is in use: the kernel would kill, or (v1) say that it is busy.

        Source: Kubernetes v1.36, pkg/kubelet/kuberuntime, validateMemoryResizeAction.
        """
        usage = self._sandboxes.usage(container_id)
        if limit is not None and usage is not None and usage.memory_working_set_bytes >= limit:
            raise UserError(
                f"attempting to set container memory limit ({limit}) below current usage"
                f" ({usage.memory_working_set_bytes})"
            )

    async def kill_container(self, container_id: str) -> None:
        self._sandboxes.kill(container_id, signal.SIGKILL)

    async def run_in(
        self, container_id: str, command: tuple[str, ...], timeout_s: float
    ) -> tuple[int, bytes]:
        output = await self._sandboxes.run_exec(container_id, command, timeout_s=timeout_s)
        return output.exit_code, output.stdout + output.stderr + output.failure.encode()

    def _exec_in(self, container_id: str) -> Exec:
        async def execute(command: tuple[str, ...], timeout_s: float) -> tuple[int, bytes]:
            return await self.run_in(container_id, command, timeout_s)

        return execute

    # --- files ---------------------------------------------------------------------------------------------------------

    def log_path(self, uid: str, name: str, attempt: int) -> Path:
        """Return where the log of one attempt is."""
        return self._folder(uid) / "logs" / name / f"{attempt}.log"

    def _folder(self, uid: str) -> Path:
        return self._home / uid

    def _message_file(self, uid: str, container_id: str) -> Path:
        return self._folder(uid) / "messages" / container_id

    def _lookups(self, pod: Pod) -> Lookups:
        namespace, tokens = pod.metadata.namespace, self._tokens
        return Lookups(
            config_map=lambda name: self._api.find(kinds.CONFIG_MAP, namespace, name),
            secret=lambda name: self._api.find(kinds.SECRET, namespace, name),
            services=self._api.list(kinds.SERVICE, namespace),
            kubernetes_service=self._api.find(kinds.SERVICE, "default", "kubernetes"),
            token=None if tokens is None else lambda projection: tokens.get(pod, projection),
        )


def remove_folder(folder: Path) -> None:
    """Remove a pod's files. What is mounted among them is unmounted before, never removed: a container may have mounted it.

    Raises: HostError when something stays.
    """
    try:
        for place in find_mounts_below(folder):
            unmount(place)
        if left := find_mounts_below(folder):
            raise HostError(f"{left[0]} is still mounted", hint=f"umount {left[0]}")
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise HostError(
            f"{error.filename or folder} can't be removed: {error.strerror}", errno=error.errno
        ) from error
