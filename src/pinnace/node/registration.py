"""Registers the node and keeps its heartbeat: the Node object and its Lease. What the node is, is decided by `describe_node`."""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from pinnace.api.facade import Api
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, PinnaceError, Reason, UserError
from pinnace.base.tasks import Tasks
from pinnace.base.times import render_micro_time, render_time
from pinnace.kube import kinds
from pinnace.kube.objects.coordination_v1 import Lease, LeaseSpec
from pinnace.kube.objects.core_v1 import (
    Node,
    NodeAddress,
    NodeCondition,
    NodeDaemonEndpoints,
    NodeStatus,
    NodeSystemInfo,
)
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.kube.quantity import parse_quantity

log = logging.getLogger("pinnace.node")

HEARTBEAT_S = 10.0  # Source: KubeletConfiguration, nodeLeaseDurationSeconds 40, renewed four times in it
LEASE_S = 40
REPORT_S = 300.0  # Source: KubeletConfiguration, nodeStatusReportFrequency
LEASE_NAMESPACE = "kube-node-lease"
# The kubelet's own default (maxPods) is 110. Here one node stands for a fleet, and a pod costs no process of its own:
# a rollout of 150 replicas must not fail for want of places. `--node-capacity pods=110` poses as a kubelet.
DEFAULT_PODS = "250"


@dataclass(frozen=True, slots=True)
class NodeDescription:
    """What the machine is, and what it poses as. `capacity` overrides single resources; labels are added."""

    name: str
    ip: str
    capacity: Mapping[str, str]
    labels: Mapping[str, str]
    runtime_version: str


def parse_pairs(items: tuple[str, ...], what: str) -> dict[str, str]:
    """Return NAME=VALUE items as a map. Raises: UserError."""
    pairs = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise UserError(f"{item!r} is no {what}", "NAME=VALUE, several with commas between them")
        pairs[name] = value
    return pairs


def parse_capacity(items: tuple[str, ...]) -> dict[str, str]:
    """Return a node's capacity. Raises: UserError for a value that is no quantity."""
    pairs = parse_pairs(items, "capacity")
    for name, value in pairs.items():
        try:
            if parse_quantity(value).nano < 0:
                raise ValueError("must not be negative")
        except ValueError as error:
            raise UserError(
                f"capacity {name}={value}: {error}", "for example cpu=16,memory=64Gi,nvidia.com/gpu=4"
            ) from None
    return pairs


def read_machine() -> dict[str, str]:
    """Return this machine's own capacity."""
    memory_kib = 0
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            memory_kib = int(line.split()[1])
    disk = os.statvfs("/var")
    return {
        "cpu": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory_kib}Ki",
        "ephemeral-storage": f"{disk.f_blocks * disk.f_frsize // 1024}Ki",
        "pods": DEFAULT_PODS,
    }


def describe_node(description: NodeDescription, machine: Mapping[str, str], now: float) -> Node:
    """Return the Node object with its status."""
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    labels = {
        "beta.kubernetes.io/arch": architecture,
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture,
        "kubernetes.io/os": "linux",
        "kubernetes.io/hostname": description.name,
        "node-role.kubernetes.io/control-plane": "",
        **description.labels,
    }
    capacity: dict[str, str | int | float] = {**machine, **description.capacity}
    return Node(
        api_version="v1",
        kind="Node",
        metadata=ObjectMeta(name=description.name, labels=labels),
        status=NodeStatus(
            capacity=capacity,
            allocatable=capacity,
            conditions=_conditions(now),
            addresses=(
                NodeAddress(type="InternalIP", address=description.ip),
                NodeAddress(type="Hostname", address=description.name),
            ),
            daemon_endpoints=NodeDaemonEndpoints(),
            node_info=_system_info(description.runtime_version),
        ),
    )


def _conditions(now: float) -> tuple[NodeCondition, ...]:
    at = render_time(now)
    rows = (
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    )
    return tuple(
        NodeCondition(
            type=kind,
            status=status,
            reason=reason,
            message=message,
            last_heartbeat_time=at,
            last_transition_time=at,
        )
        for kind, status, reason, message in rows
    )


def _system_info(runtime_version: str) -> NodeSystemInfo:
    release: Mapping[str, str] = {}
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        pass
    return NodeSystemInfo(
        machine_id=_read_id("/etc/machine-id"),
        boot_id=_read_id("/proc/sys/kernel/random/boot_id"),
        system_uuid=_read_id("/sys/class/dmi/id/product_uuid") or _read_id("/etc/machine-id"),
        kernel_version=platform.release(),
        os_image=release.get("PRETTY_NAME", "Linux"),
        container_runtime_version=runtime_version,
        kubelet_version="v1.36.0+pinnace",
        operating_system="linux",
        architecture={"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
    )


def _read_id(path: str) -> str:
    try:
        return Path(path).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):  # a machine without it
        return ""


def needs_report(node: Node | None, reported_at: float, now: float) -> bool:
    """Say whether the node's status is to be written: somebody took it for dead or deleted it, or it is long ago.

    Example: after the machine slept, the node controller has made Ready "Unknown"; the node says that it is not.
    """
    if node is None or now - reported_at >= REPORT_S:
        return True
    return any(c.type == "Ready" and c.status != "True" for c in node.status.conditions)


def keep_transitions(old: Node, new: NodeStatus) -> NodeStatus:
    """Return the new status; conditions whose status is as it was keep the time of their last change."""
    before = {c.type: c for c in old.status.conditions}
    conditions = tuple(
        replace(c, last_transition_time=before[c.type].last_transition_time)
        if c.type in before and before[c.type].status == c.status and before[c.type].last_transition_time
        else c
        for c in new.conditions
    )
    return replace(new, conditions=conditions)


# Source: Kubernetes v1.36, pkg/kubelet/nodestatus/setters.go, the events of a node whose conditions are well.
_FIRST_WORDS = ("NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID", "NodeReady")


class NodeRegistration:
    """The Node object of one node, and its Lease."""

    def __init__(
        self,
        api: Api,
        clock: Clock,
        description: NodeDescription,
        *,
        on_failure: Callable[[str, BaseException], None] | None = None,
    ) -> None:
        self._api = api
        self._clock = clock
        self._description = description
        self._tasks = Tasks("node-registration", on_failure)
        self._reported_at = 0.0

    async def start(self) -> None:
        """Create or refresh the Node, then renew its Lease, and report its status, for ever."""
        known = self._api.find(kinds.NODE, "", self._description.name) is not None
        await self._register()
        await self._renew()
        self._tasks.spawn(self._beat(), "heartbeat", forever=True)
        self._tasks.spawn(self._tell_start(known), "events")

    async def close(self) -> None:
        await self._tasks.close()

    async def _register(self) -> None:
        wanted = describe_node(self._description, read_machine(), self._clock.now())
        present = self._api.find(kinds.NODE, "", wanted.metadata.name)
        if present is None:
            await self._api.create(wanted)
        else:
            labels = {**present.metadata.labels, **wanted.metadata.labels}
            await self._api.change(
                kinds.NODE,
                "",
                wanted.metadata.name,
                lambda node: replace(node, metadata=replace(node.metadata, labels=labels)),
            )
        await self._api.change(
            kinds.NODE,
            "",
            wanted.metadata.name,
            lambda node: replace(node, status=keep_transitions(node, wanted.status)),
            subresource="status",
        )
        self._reported_at = self._clock.now()

    async def _tell_start(self, known: bool) -> None:
        """Record what the kubelet says of its node when it starts, and more when the node is new."""
        name = self._description.name
        node = self._api.find(kinds.NODE, "", name)
        if node is None:
            return
        told = [("Starting", "Starting kubelet.")]
        told += [] if known else [(word, f"Node {name} status is now: {word}") for word in _FIRST_WORDS]
        for reason, message in told:
            await self._api.record_event(node, "Normal", reason, message, component="kubelet", host=name)

    async def _beat(self) -> None:
        while True:
            await self._clock.sleep(HEARTBEAT_S)
            try:
                await self._renew()
                node = self._api.find(kinds.NODE, "", self._description.name)
                if needs_report(node, self._reported_at, self._clock.now()):
                    await self._register()
            except PinnaceError as error:  # a disk that is full for a moment must not end the heartbeat
                log.warning("the heartbeat of node %s failed: %s", self._description.name, error)

    async def _renew(self) -> None:
        name = self._description.name
        spec = LeaseSpec(
            holder_identity=name,
            lease_duration_seconds=LEASE_S,
            renew_time=render_micro_time(self._clock.now()),
        )
        try:
            await self._api.change(
                kinds.LEASE, LEASE_NAMESPACE, name, lambda lease: replace(lease, spec=spec)
            )
        except ApiError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise
            await self._api.create(
                Lease(
                    api_version="coordination.k8s.io/v1",
                    kind="Lease",
                    metadata=ObjectMeta(name=name, namespace=LEASE_NAMESPACE),
                    spec=spec,
                )
            )
