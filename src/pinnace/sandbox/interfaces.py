"""What the sandbox needs of `image/` and `network/`, so that its tests can bring simple ones."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from pinnace.sandbox.spec import ImageDefaults


class Images(Protocol):
    """Root filesystems of containers. `mount` and `release` are idempotent by container."""

    def defaults(self, image_id: str) -> ImageDefaults:
        """Return what the image says about its containers. Raises: UserError when there is no such image."""

    async def mount(self, image_id: str, container_id: str, *, volatile: bool = False) -> Path:
        """Make a writable root filesystem and return where it is; a `volatile` one need not outlive a crash of the machine."""

    async def release(self, container_id: str) -> None:
        """Unmount and remove it; fine when there is none."""


class Link(Protocol):
    """What a sandbox got on the network."""

    @property
    def ip(self) -> str: ...

    @property
    def gateway(self) -> str: ...

    @property
    def mac(self) -> str: ...

    @property
    def mtu(self) -> int: ...


class Network(Protocol):
    """Links of sandboxes. Both are idempotent by key."""

    async def attach(self, netns_path: str, key: str, *, hostname: str) -> Link:
        """Give a network namespace an address on the bridge, and return it."""

    async def detach(self, key: str) -> None:
        """Take link and address back; fine when there are none."""
