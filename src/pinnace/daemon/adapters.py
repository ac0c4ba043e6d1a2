"""Fits rooms to what the rooms above them ask for: thin, one class each, no decisions."""

from __future__ import annotations

from pathlib import Path

from pinnace.image.store import ImageStore
from pinnace.network import Network
from pinnace.node.images import LocalImage
from pinnace.oci.reference import parse_reference
from pinnace.sandbox.spec import Address, ImageDefaults


class SandboxImages:
    """The image store as `sandbox/` asks for it."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store

    def defaults(self, image_id: str) -> ImageDefaults:
        config = self._store.require(image_id).config.config
        return ImageDefaults(
            entrypoint=tuple(config.entrypoint or ()),
            cmd=tuple(config.cmd or ()),
            env=tuple(config.env or ()),
            cwd=config.working_dir,
            user=config.user,
            stop_signal=config.stop_signal,
        )

    async def mount(self, image_id: str, container_id: str, *, volatile: bool = False) -> Path:
        return (await self._store.rootfs(image_id, container_id, volatile=volatile)).path

    async def release(self, container_id: str) -> None:
        await self._store.release(container_id)

    def find(self, reference: str) -> LocalImage | None:
        """Return an image by name, for a pod. Raises: UserError for a name that can't be one."""
        image = self._store.resolve(reference)
        if image is None:
            parse_reference(reference)
        if image is None:
            return None
        return LocalImage(image.id, image.config.config.user, self._store.origin(reference) or "")


class SandboxNetwork:
    """The bridge as `sandbox/` asks for it."""

    def __init__(self, network: Network) -> None:
        self._network = network

    async def attach(self, netns_path: str, key: str, *, hostname: str) -> Address:
        link = await self._network.attach(netns_path, key, hostname=hostname)
        return Address(link.ip, link.gateway, link.mac, link.mtu)

    async def detach(self, key: str) -> None:
        await self._network.detach(key)
