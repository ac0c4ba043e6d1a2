"""Does single steps: runs commands in sandboxes, copies files, makes folders; each on a mounted stack of layers. A doer.

Called by `builder`. Each step leaves a layer or nothing: what fails or is cancelled is unmounted and removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from pinnace.base.chance import Chance
from pinnace.base.errors import HostError, UserError
from pinnace.build import sources
from pinnace.build.steps import Copy, MakeDirectory, Run
from pinnace.container.logs import LogOptions
from pinnace.container.plan import Mount, bind
from pinnace.container.system import read_in_root
from pinnace.container.users import resolve_user
from pinnace.image.layers import Layer
from pinnace.image.leases import Lease
from pinnace.image.store import ImageStore
from pinnace.sandbox.sandboxes import Sandboxes
from pinnace.sandbox.spec import ContainerSpec, SandboxSpec

CA_PATH = (
    "/dev/pinnace-ca.crt"  # /dev is a file system of the container's own: nothing of it reaches the layer
)
CA_VARIABLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
)
TAIL_BYTES = 4000  # of a failed command's output, for the error

# What a runtime makes in a root filesystem so that it can mount there.
STUBS = ("etc/hosts", "etc/resolv.conf", "etc/hostname", "dev", "proc", "sys", "etc", "run")


class CommandFailed(UserError):
    """A RUN ended with another code than 0; `tail` is the last of what it wrote."""

    def __init__(self, code: int, command: str, tail: str) -> None:
        super().__init__(f"process {command!r} did not complete successfully: exit code: {code}")
        self.code = code
        self.tail = tail


class Executor:
    """Does the steps of one build. `resolv_conf` is for commands with a network of their own."""

    def __init__(
        self,
        images: ImageStore,
        sandboxes: Sandboxes,
        chance: Chance,
        lease: Lease,
        work: Path,
        *,
        resolv_conf: str | None,
        ca_bundle: Path | None,
    ) -> None:
        self._images = images
        self._sandboxes = sandboxes
        self._chance = chance
        self._lease = lease
        self._work = work
        self._resolv_conf = resolv_conf
        self._ca_bundle = ca_bundle

    async def run(self, step: Run, below: Sequence[Layer], tell: Callable[[str], None]) -> Layer:
        """Run a command on the layers below; return the layer that it made. Raises: CommandFailed, HostError."""
        name = f"build-{self._chance.hex(12)}"
        rootfs = await self._images.mount_stack(below, name)
        try:
            absent = [stub for stub in STUBS if not os.path.lexists(rootfs.path / stub)]
            if not os.path.lexists(rootfs.path / step.cwd.lstrip("/")):
                await self._make_folder(rootfs.path, step.cwd, "")
            await self._run_in(name, rootfs.path, step, tell)
            await asyncio.to_thread(_remove_stubs, rootfs.path, absent)
            return await self._images.commit_stack(name, lease=self._lease)
        except BaseException:
            await asyncio.shield(self._images.release(name))
            raise

    async def _run_in(self, name: str, rootfs: Path, step: Run, tell: Callable[[str], None]) -> None:
        network = {"": "pod", "none": "none", "host": "host"}[step.network]
        log_path = self._work / f"{name}.log"
        mounts, env = self._extras(name, step)
        spec = SandboxSpec(
            id=name,
            hostname="buildkitsandbox",
            network=network,  # type: ignore[arg-type]
            resolv_conf=self._resolv_conf if network == "pod" else None,
        )
        container = ContainerSpec(
            id=f"{name}-run",
            rootfs=str(rootfs),
            command=step.argv,
            env=env,
            cwd=step.cwd,
            user=step.user,
            mounts=mounts,
            log_path=str(log_path),
        )
        tail = bytearray()
        try:
            await self._sandboxes.create_sandbox(spec)
            await self._sandboxes.create_container(name, container)
            await self._sandboxes.start(container.id)
            async for chunk in self._sandboxes.logs(container.id, LogOptions(follow=True)):
                tell(chunk.data.decode(errors="replace"))
                tail = (tail + chunk.data)[-TAIL_BYTES:]
            fact = await self._sandboxes.wait(container.id)
        finally:
            await asyncio.shield(self._sandboxes.remove_sandbox(name))
            log_path.unlink(missing_ok=True)
            (self._work / f"{name}.script").unlink(missing_ok=True)
        if fact.exit_code != 0:
            raise CommandFailed(fact.exit_code, " ".join(step.argv), tail.decode(errors="replace"))

    def _extras(self, name: str, step: Run) -> tuple[tuple[Mount, ...], tuple[str, ...]]:
        """Return the mounts and the environment of a command: its own, a script, the host's CA bundle."""
        mounts: list[Mount] = []
        env = (*step.env, *step.proxies)
        if step.script:
            script = self._work / f"{name}.script"
            script.write_text(step.script)
            script.chmod(0o755)
            mounts.append(bind(str(script), step.argv[0], read_only=True))
        if self._ca_bundle is not None:
            mounts.append(bind(str(self._ca_bundle), CA_PATH, read_only=True))
            given = {entry.partition("=")[0] for entry in env}
            env = (*env, *(f"{variable}={CA_PATH}" for variable in CA_VARIABLES if variable not in given))
        return tuple(mounts), env

    async def copy(
        self, step: Copy, below: Sequence[Layer], selection: sources.Selection, tell: Callable[[int], None]
    ) -> Layer:
        """Copy files onto the layers below; return the layer. Raises: UserError, HostError."""
        name = f"build-{self._chance.hex(12)}"
        rootfs = await self._images.mount_stack(below, name)
        try:
            uid, gid = _owner(rootfs.path, step.chown)
            job = sources.CopyJob(
                selection=selection,
                target_root=str(rootfs.path),
                target=step.target,
                uid=uid,
                gid=gid,
                mode=_mode(step.chmod),
                unpack=step.unpack,
                inline=tuple((one.name, one.data) for one in step.inline),
            )
            await self._images.workers.call(sources.copy_sources, job, lambda news: tell(news.size))
            return await self._images.commit_stack(name, lease=self._lease)
        except BaseException:
            await asyncio.shield(self._images.release(name))
            raise

    async def make_directory(self, step: MakeDirectory, below: Sequence[Layer]) -> Layer | None:
        """Make a folder; None when it was there."""
        name = f"build-{self._chance.hex(12)}"
        rootfs = await self._images.mount_stack(below, name)
        try:
            if await self._make_folder(rootfs.path, step.path, step.user):
                return await self._images.commit_stack(name, lease=self._lease)
            await self._images.release(name)
            return None
        except BaseException:
            await asyncio.shield(self._images.release(name))
            raise

    async def _make_folder(self, root: Path, path: str, user: str) -> bool:
        uid, gid = _owner(root, user)
        job = sources.MakeFolderJob(root=str(root), path=path, uid=max(uid, 0), gid=max(gid, 0))
        return await self._images.workers.call(sources.make_folder, job)


def _owner(root: Path, chown: str) -> tuple[int, int]:
    """Return the ids that `--chown` (or USER) names; -1 for those that stay. Raises: UserError."""
    if not chown:
        return -1, -1
    passwd, group = (_read(root, path) for path in ("/etc/passwd", "/etc/group"))
    user = resolve_user(passwd, group, chown)
    gid = user.gid
    if ":" not in chown and chown.partition(":")[0].isdigit():
        gid = int(chown)  # Docker: a bare number is both user and group
    return user.uid, gid


def _read(root: Path, path: str) -> str:
    with contextlib.suppress(OSError, HostError):
        return read_in_root(str(root), path)
    return ""


def _mode(chmod: str) -> int:
    if not chmod:
        return -1
    try:
        return int(chmod, 8)
    except ValueError:
        raise UserError(f"--chmod={chmod} is not an octal mode", "for example --chmod=755") from None


def _remove_stubs(root: Path, absent: Sequence[str]) -> None:
    """Take away what the runtime made as mount points, where it is still empty."""
    for stub in absent:
        place = root / stub
        with contextlib.suppress(OSError):
            if place.is_dir() and not place.is_symlink():
                place.rmdir()
            elif place.is_file() and place.stat().st_size == 0:
                place.unlink()
