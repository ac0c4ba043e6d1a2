"""Makes and clears one container: root filesystem, user, plan, monitor. A doer, called by `sandboxes.py` only.

Invariant: `clear` is fine with any part missing, so it is also the undo of a `make` that failed at any step.
"""

from __future__ import annotations

import os
from pathlib import Path

from msgspec.structs import replace

from pinnace.base.clock import Clock
from pinnace.base.errors import UserError
from pinnace.container.devices import find_all_devices
from pinnace.container.plan import User
from pinnace.container.runtime import Runtime
from pinnace.container.signals import parse_signal, render_signal
from pinnace.container.system import read_in_root
from pinnace.container.users import resolve_user
from pinnace.sandbox.compose import Surroundings, compose_container, merge_env
from pinnace.sandbox.interfaces import Images
from pinnace.sandbox.records import Records
from pinnace.sandbox.spec import ContainerHandle, ContainerSpec, ImageDefaults


class ContainerMaker:
    """Makes containers with one runtime from one image store."""

    def __init__(self, runtime: Runtime, images: Images, records: Records, clock: Clock) -> None:
        self._runtime = runtime
        self._images = images
        self._records = records
        self._clock = clock

    def begin(self, sandbox_id: str, spec: ContainerSpec) -> ContainerHandle:
        """Return the handle of a container of which nothing is made yet."""
        log_path = spec.log_path or str(self._records.container_folder(sandbox_id, spec.id) / "log")
        return ContainerHandle(
            spec=spec,
            sandbox_id=sandbox_id,
            state="creating",
            log_path=log_path,
            folder=self._runtime.cgroups.folder(sandbox_id, spec.id),
            created_at=self._clock.now(),
        )

    async def make(
        self, handle: ContainerHandle, around: Surroundings, secret_env: tuple[str, ...] = ()
    ) -> ContainerHandle:
        """Make it, up to the point where its process waits to be started. Raises: UserError, HostError.

        `secret_env` is not in the handle that is returned.
        """
        spec = handle.spec
        _check_mounts(spec)
        image = self._images.defaults(spec.image) if spec.image else ImageDefaults()
        stop_signal = render_signal(parse_signal(spec.stop_signal or image.stop_signal or "TERM"))
        rootfs = spec.rootfs or str(await self._images.mount(spec.image, spec.id, volatile=spec.volatile))
        user_text = spec.user or image.user
        plan = compose_container(
            spec,
            image,
            around,
            rootfs=rootfs,
            user=_resolve_user(rootfs, user_text, spec),
            cgroups_path=self._runtime.cgroups.oci_path(handle.sandbox_id, spec.id),
            devices=find_all_devices() if spec.privileged else (),
            held=self._runtime.rights.capabilities,
        )
        secret = replace(plan.process, env=merge_env(plan.process.env, secret_env))
        created = await self._runtime.create(
            spec.id,
            replace(plan, process=secret),
            folder=handle.folder,
            log_path=Path(handle.log_path),
            stdin=spec.stdin,
            stdin_once=spec.stdin_once,
        )
        return replace(
            handle,
            state="created",
            rootfs=rootfs,
            argv=plan.process.argv,
            env=plan.process.env,
            cwd=plan.process.cwd,
            user=user_text,
            stop_signal=stop_signal,
            pid=created.pid,
        )

    async def clear(self, handle: ContainerHandle) -> None:
        """End the container if it runs, and remove all of it."""
        await self._runtime.delete(handle.id, folder=handle.folder)
        if not handle.spec.rootfs:
            await self._images.release(handle.id)
        self._records.remove_container(handle.sandbox_id, handle.id)


def _check_mounts(spec: ContainerSpec) -> None:
    for mount in spec.mounts:
        if not mount.target.startswith("/"):
            raise UserError(
                f"container {spec.name or spec.id}: the mount path {mount.target!r} is not absolute"
            )
        if mount.type == "bind" and not os.path.lexists(mount.source):
            raise UserError(
                f"container {spec.name or spec.id}: {mount.source}, to be mounted at {mount.target}, does not exist",
                hint=f"make it first: mkdir -p {mount.source}",
            )


def _resolve_user(rootfs: str, text: str, spec: ContainerSpec) -> User:
    passwd, group = read_in_root(rootfs, "/etc/passwd"), read_in_root(rootfs, "/etc/group")
    if spec.uid is not None:
        text = str(spec.uid)
    return resolve_user(passwd, group, text, gid=spec.gid, extra_groups=spec.groups)
