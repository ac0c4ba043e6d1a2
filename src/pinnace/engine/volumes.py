"""Named volumes: their objects, and their folders below the state dir. A doer.

Called by `engine` before a container is made. Invariant: a volume's folder is there as long as its object is; what is in
it is never removed unless the volume is.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from pinnace.api.facade import Api
from pinnace.base import spawn
from pinnace.base.chance import Chance
from pinnace.base.errors import ApiError, HostError, Reason, UserError
from pinnace.engine.names import ANONYMOUS_DIGITS, check_name, is_anonymous, volume_object_name
from pinnace.kube.kinds import VOLUME
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.kube.objects.pinnace_v1 import ContainerMount, Volume, VolumeSpec


class Volumes:
    """The volumes of one instance, below `root`."""

    def __init__(self, api: Api, root: Path, chance: Chance) -> None:
        self._api = api
        self._root = root
        self._chance = chance

    def path(self, name: str) -> Path:
        """Return where a volume's files are."""
        return self._root / name / "_data"

    def find(self, name: str) -> Volume | None:
        return self._api.find(VOLUME, "", volume_object_name(name))

    def get(self, name: str) -> Volume:
        """Return a volume. Raises: ApiError NotFound."""
        found = self.find(name)
        if found is None:
            raise ApiError(
                Reason.NOT_FOUND,
                f"get {name}: no such volume",
                kind="volumes",
                name=name,
                hint="pinnace volume ls",
            )
        return found

    def list(self) -> tuple[Volume, ...]:
        """Return all volumes, by name."""
        return tuple(sorted(self._api.list(VOLUME), key=lambda one: one.spec.name))

    def name_anonymous(self) -> str:
        """Return a fresh name for a volume that nobody named."""
        return self._chance.hex(ANONYMOUS_DIGITS)

    async def ensure(self, spec: VolumeSpec) -> Volume:
        """Make a volume, or return the one that is there. Raises: UserError, HostError."""
        check_name(spec.name, "volume")
        try:
            self.path(spec.name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HostError(
                f"volume {spec.name} can't be made: {error.strerror}", errno=error.errno
            ) from error
        found = self.find(spec.name)
        if found is not None:
            return found
        volume = Volume(metadata=ObjectMeta(name=volume_object_name(spec.name)), spec=spec)
        try:
            return await self._api.create(volume)
        except ApiError as error:
            if error.reason is not Reason.ALREADY_EXISTS:
                raise
        return self.get(spec.name)

    async def remove(self, name: str, users: Sequence[str] = ()) -> None:
        """Remove a volume with its files. Raises: ApiError NotFound, or Conflict while containers use it."""
        volume = self.get(name)
        if users:
            raise ApiError(
                Reason.CONFLICT,
                f"remove {name}: volume is in use - [{', '.join(users)}]",
                kind="volumes",
                name=name,
                hint=f"remove the container first: pinnace rm {users[0][:12]}",
            )
        await asyncio.to_thread(shutil.rmtree, self._root / volume.spec.name, True)
        try:
            await self._api.delete(VOLUME, "", volume.metadata.name)
        except ApiError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise

    async def prepare(self, mounts: Sequence[ContainerMount], rootfs: Path | None) -> dict[str, str]:
        """Make what the mounts need on the host; return the folder of each volume by its target.

        An empty volume gets what the image has at its target. Raises: UserError, HostError.
        """
        folders: dict[str, str] = {}
        for mount in mounts:
            if mount.type == "bind":
                make_bind_source(mount)
            elif mount.type == "volume":
                await self.ensure(VolumeSpec(name=mount.source, anonymous=is_anonymous(mount.source)))
                folder = self.path(mount.source)
                folders[mount.target] = str(folder)
                if rootfs is not None and not any(os.scandir(folder)):
                    await copy_up(rootfs, mount.target, folder)
        return folders


def make_bind_source(mount: ContainerMount) -> None:
    """Make a folder of the host that `-v` names and that is not there, as Docker does. Raises: UserError, HostError."""
    if os.path.lexists(mount.source):
        return
    if "must-exist" in mount.options:
        raise UserError(
            f'invalid mount config for type "bind": bind source path does not exist: {mount.source}',
            f"make it first: mkdir -p {mount.source}",
        )
    try:
        os.makedirs(mount.source, exist_ok=True)
    except OSError as error:
        raise HostError(f"{mount.source} can't be made: {error.strerror}", errno=error.errno) from error


async def copy_up(rootfs: Path, target: str, folder: Path) -> None:
    """Copy what an image has at `target` into an empty volume. A path through a symbolic link is left alone."""
    place = rootfs
    for part in target.strip("/").split("/"):
        place = place / part
        if place.is_symlink():
            return
    if place.is_dir():
        await spawn.run(["cp", "-a", "--", f"{place}/.", str(folder)], timeout_s=600)
