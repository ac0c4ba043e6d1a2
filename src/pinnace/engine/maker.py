"""Makes and unmakes what a container stands on: sandbox, root filesystem, volumes, published ports, process. A doer.

Called by `engine` only, under the container's lock. Invariants: a `make` that fails leaves what was there before it;
`stop` and `remove` are fine with any part missing.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Protocol, TypeVar

from msgspec.structs import replace

from pinnace.engine.specs import NetworkFacts, compute_container, compute_sandbox, sandbox_id
from pinnace.engine.volumes import Volumes
from pinnace.image.store import ImageStore
from pinnace.kube.objects.pinnace_v1 import Container, PortBinding
from pinnace.sandbox.sandboxes import Sandboxes
from pinnace.sandbox.spec import Sandbox

T = TypeVar("T")
U = TypeVar("U")


class Publisher(Protocol):
    """The part of the Service proxy that published ports need."""

    async def publish(
        self, key: str, host_ip: str, host_port: int, protocol: str, target_ip: str, target_port: int
    ) -> int: ...

    async def unpublish(self, key: str) -> None: ...


class Maker:
    """The host's side of all containers."""

    def __init__(
        self,
        sandboxes: Sandboxes,
        images: ImageStore,
        publisher: Publisher,
        volumes: Volumes,
        *,
        folder: Path,
        network: Callable[[], NetworkFacts],
    ) -> None:
        self._sandboxes = sandboxes
        self._images = images
        self._publisher = publisher
        self._volumes = volumes
        self._folder = folder
        self._network = network
        self._published: set[str] = set()

    def log_path(self, container_id: str) -> Path:
        """Return where a container's log is; it stays as long as the container."""
        return self._folder / container_id / "log"

    async def make(self, container: Container) -> tuple[Sandbox, tuple[PortBinding, ...]]:
        """Make everything up to the point where the process waits to be started; return sandbox and chosen ports.

        Raises: UserError, ApiError (no image any more), HostError.
        """
        container_id = container.metadata.name
        before = self._sandboxes.get_container(container_id)
        try:
            if before is None:
                (self._folder / container_id).mkdir(parents=True, exist_ok=True)
            # A container that nobody will start again needs no root filesystem that survives a crash of the machine.
            rootfs = self._images.rootfs(
                container.spec.image_id, container_id, volatile=container.spec.auto_remove
            )
            sandbox, root = await _all_of(
                self._sandboxes.create_sandbox(compute_sandbox(container, self._network())), rootfs
            )
            volumes = (
                await self._volumes.prepare(container.spec.mounts, root.path if before is None else None)
                if container.spec.mounts
                else {}
            )
            _, ports = await _all_of(
                self._make_container(container, sandbox, volumes), self.publish(container, sandbox.ip)
            )
        except BaseException:
            await asyncio.shield(self._unmake(container_id, existed=before is not None))
            raise
        return sandbox, ports

    async def _make_container(self, container: Container, sandbox: Sandbox, volumes: dict[str, str]) -> None:
        container_id = container.metadata.name
        if self._sandboxes.get_container(container_id) is not None:
            await self._sandboxes.recreate_container(container_id)
            return
        spec = compute_container(container, log_path=str(self.log_path(container_id)), volumes=volumes)
        await self._sandboxes.create_container(sandbox.id, spec)

    async def _unmake(self, container_id: str, *, existed: bool) -> None:
        if existed:
            await self.stop(container_id)
            return
        await self.unpublish(container_id)
        await self._sandboxes.remove_sandbox(sandbox_id(container_id))
        await self._images.release(container_id)

    async def publish(self, container: Container, ip: str) -> tuple[PortBinding, ...]:
        """Lead the host's ports to the container; return them with the chosen numbers. Raises: UserError."""
        if not container.spec.ports:
            return ()
        self._published.add(container.metadata.name)
        bound = []
        for port in container.spec.ports:
            number = await self._publisher.publish(
                _key(container.metadata.name),
                port.host_ip,
                port.host_port,
                port.protocol,
                ip,
                port.container_port,
            )
            bound.append(replace(port, host_port=number))
        return tuple(bound)

    async def unpublish(self, container_id: str) -> None:
        """Take the ports back; fine when there are none."""
        if container_id in self._published:
            self._published.discard(container_id)
            await self._publisher.unpublish(_key(container_id))

    async def stop(self, container_id: str) -> None:
        """Give ports, link, address and namespaces back, and end what still runs; the root filesystem and the log stay."""
        await self.unpublish(container_id)
        sandbox = self._sandboxes.get_sandbox(sandbox_id(container_id))
        if sandbox is not None and not sandbox.gone:
            await self._sandboxes.stop_sandbox(sandbox.id)

    async def remove(self, container_id: str) -> None:
        """Remove all of it. Raises: HostError when something stays."""
        await self.unpublish(container_id)
        await self._sandboxes.remove_sandbox(sandbox_id(container_id))
        await self._images.release(container_id)
        shutil.rmtree(self._folder / container_id, ignore_errors=True)

    def remove_unknown(self, known: Collection[str]) -> None:
        """Remove the folders of containers whose object never came to the store."""
        if self._folder.is_dir():
            for entry in os.scandir(self._folder):
                if entry.name not in known:
                    shutil.rmtree(entry.path, ignore_errors=True)

    def volume_folders(self, container: Container) -> dict[str, str]:
        """Return the folder of each volume by its target."""
        return {
            m.target: str(self._volumes.path(m.source)) for m in container.spec.mounts if m.type == "volume"
        }


def _key(container_id: str) -> str:
    return f"container {container_id[:12]}"


async def _all_of(first: Awaitable[T], second: Awaitable[U]) -> tuple[T, U]:
    """Run both side by side; only when both have ended, raise what failed first (so that an undo finds nothing moving)."""
    both = await asyncio.gather(first, second, return_exceptions=True)
    one, two = both
    if isinstance(one, BaseException):
        raise one
    if isinstance(two, BaseException):
        raise two
    return one, two
