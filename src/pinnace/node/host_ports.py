"""Ports of the host that pods ask for (`hostPort`): which ones, and their being led to the pods.

`compute_host_ports` decides; `HostPorts` publishes what it says, for `host`. A pod that uses the host's network listens
on the host by itself. Invariant: what was published for a pod is taken back by `release`, whatever came in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pinnace.kube.objects.core_v1 import Pod
from pinnace.node.facts import all_containers


class Publisher(Protocol):
    """The part of the Service proxy that published ports need."""

    async def publish(
        self, key: str, host_ip: str, host_port: int, protocol: str, target_ip: str, target_port: int
    ) -> int: ...

    async def unpublish(self, key: str) -> None: ...


@dataclass(frozen=True, slots=True)
class PortMapping:
    """A port of the host, and the container's port behind it. `host_ip` "" is every address of the host."""

    host_ip: str
    host_port: int
    protocol: str
    container_port: int


def compute_host_ports(pod: Pod) -> tuple[PortMapping, ...]:
    """Return the ports of the host that a pod's containers ask for."""
    if pod.spec.host_network:
        return ()
    return tuple(
        PortMapping(port.host_ip, port.host_port, (port.protocol or "TCP").lower(), port.container_port)
        for container in all_containers(pod)
        for port in container.ports
        if port.host_port and port.container_port
    )


class HostPorts:
    """The published ports of the pods of one node."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._keys: dict[str, str] = {}

    async def publish(self, pod: Pod, ip: str) -> None:
        """Lead the pod's ports of the host to its address; again is fine. Raises: UserError, naming who has a port."""
        meta = pod.metadata
        for port in compute_host_ports(pod):
            key = self._keys.setdefault(meta.uid, f"pod {meta.namespace}/{meta.name} ({meta.uid})")
            await self._publisher.publish(
                key, port.host_ip, port.host_port, port.protocol, ip, port.container_port
            )

    async def release(self, uid: str) -> None:
        """Take a pod's ports back; fine when there are none."""
        key = self._keys.pop(uid, None)
        if key is not None:
            await self._publisher.unpublish(key)
