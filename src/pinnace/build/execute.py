"""Does single steps: runs commands in sandboxes, copies files, makes folders; each on a mounted stack of layers. A doer.

Called by `builder`. Each step leaves a layer or nothing: what fails or is cancelled is unmounted and removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from pinnace.base.chance import Chance
from pinnace.base.errors import HostError, UserError
from pinnace.build import stubs
from pinnace.build.cache_mounts import CacheMounts
from pinnace.build.copying import CopyFacts, CopyJob, MakeFolderJob, copy_sources, make_folder
from pinnace.build.linking import is_numeric
from pinnace.build.mount_plan import escape_pattern
from pinnace.build.output import Joiner
from pinnace.build.places import resolve_inside
from pinnace.build.run_mounts import Ready, RunMounts, Sources
from pinnace.build.run_options import HOST_GATEWAY, RunOptions
from pinnace.build.selection import Selection
from pinnace.build.steps import Copy, MakeDirectory, Run
from pinnace.build.undo import finished
from pinnace.container.logs import LogOptions
from pinnace.container.plan import Mount, bind
from pinnace.container.system import read_in_root
from pinnace.container.users import resolve_user
from pinnace.dockerfile.words import take_flags
from pinnace.image.layers import Layer
from pinnace.image.leases import Lease
from pinnace.image.store import ImageStore
from pinnace.sandbox.sandboxes import Sandboxes
from pinnace.sandbox.spec import ContainerSpec, HostEntry, NetworkMode, Sandbox, SandboxSpec

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
TAIL_LINES, TAIL_BYTES = 20, 4000  # of a failed command's output, for the error
FULL_BYTES = 1 << 20  # with less room than that, a disk is full
FULL_LINE = "[No space left on device: not even for all that the command wrote]"
OUTPUT_MAX_BYTES = 2 << 20  # Source: BuildKit, solver/llbsolver, BUILDKIT_STEP_LOG_MAX_SIZE
HOSTNAME = "buildkitsandbox"  # Source: BuildKit, what `hostname` prints in a RUN; some scripts look at it
SHM_BYTES = 64 << 20  # Source: Docker's documentation, docker build, --shm-size
NETWORKS: dict[str, NetworkMode] = {"": "pod", "none": "none", "host": "host"}

# What runtimes say when there is nothing to start: runc and crun.
NOT_STARTED = (
    (("executable file", "no such file or directory", "No such file or directory"), 127),
    (("permission denied", "Permission denied", "exec format error", "Exec format error"), 126),
)
ID_PREFIX = "build-"  # of sandboxes and mounted stacks: what a daemon that starts finds of these is left over


def new_id(chance: Chance) -> str:
    """Return an id for a sandbox or a mounted stack of a build."""
    return ID_PREFIX + chance.hex(12)


class CommandFailed(UserError):
    """A RUN ended with another code than 0; `tail` is the last of what it wrote, `system` what it ran in (IDs of os-release)."""

    def __init__(self, code: int, command: str, tail: str, *, oom: bool = False, system: str = "") -> None:
        super().__init__(f"process {command!r} did not complete successfully: exit code: {code}")
        self.code = code
        self.command = command
        self.tail = tail
        self.oom = oom
        self.system = system


class Executor:
    """Does the steps of one build. `resolv_conf` is for commands with a network of their own.

    With an `epoch` no file of a layer is newer than that (unix seconds).
    """

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
        caches: CacheMounts,
        options: RunOptions = RunOptions(),
        epoch: int | None = None,
    ) -> None:
        self._images = images
        self._sandboxes = sandboxes
        self._chance = chance
        self._lease = lease
        self._work = work
        self._resolv_conf = resolv_conf
        self._ca_bundle = ca_bundle
        self._epoch = epoch
        self._options = options
        self._mounts = RunMounts(images, caches, options, work, lambda: new_id(chance), self._copy_out)
        self._removals: list[asyncio.Task[None]] = []

    async def run(
        self, step: Run, below: Sequence[Layer], tell: Callable[[str], None], sources: Sources
    ) -> Layer:
        """Run a command on the layers below; return the layer that it made. `sources` are what its mounts show.

        Raises: CommandFailed, UserError (a mount), HostError.
        """
        name = new_id(self._chance)
        points = self._work / f"{name}.points"
        async with contextlib.AsyncExitStack() as held:
            ready = await held.enter_async_context(self._mounts.ready(name, step.mounts, sources))
            await asyncio.to_thread(stubs.make, points, ready.stubs)
            async with self._stack(below, name, points) as (_, root):
                if not await asyncio.to_thread(_is_there, root, step.cwd):
                    await self._make_folder(root, step.cwd, "")
                await asyncio.to_thread(stubs.check, root, ready.stubs)
                before = await asyncio.to_thread(stubs.look, root, ready.stubs)
                await self._run_in(name, root, step, tell, ready)
                await held.aclose()  # nobody waits for a cache while the layer is written
                await asyncio.to_thread(stubs.clear, root, before)
                return await self._images.commit_stack(name, lease=self._lease, newest_s=self._epoch)

    async def _run_in(
        self, name: str, root: Path, step: Run, tell: Callable[[str], None], ready: Ready
    ) -> None:
        network: NetworkMode = NETWORKS[step.network]
        mounts, env = await asyncio.to_thread(self._extras, name, step)
        options = self._options
        sandbox = SandboxSpec(
            id=name,
            hostname=step.hostname or HOSTNAME,
            network=network,
            resolv_conf=self._resolv_conf if network == "pod" else None,
            hosts=tuple(HostEntry(ip, (host,)) for host, ip in step.hosts if ip != HOST_GATEWAY),
            shm_bytes=options.shm_bytes or SHM_BYTES,
        )
        container = ContainerSpec(
            id=f"{name}-run",
            rootfs=str(root),
            command=step.argv,
            env=(*env, *(one for one in ready.env if _name_of(one) not in map(_name_of, env))),
            cwd=step.cwd,
            user=step.user,
            mounts=(*mounts, *ready.mounts),
            limits=options.limits,
            rlimits=options.rlimits,
            privileged=step.is_insecure,
            log_path=str(self._work / f"{name}.log"),
        )
        try:
            made = await self._sandboxes.create_sandbox(sandbox)
            await self._add_gateway(made, step)
            await self._begin(name, container, step, tuple(ready.secret_env))
            await self._tell_output(container.id, tell)
            fact = await self._sandboxes.wait(container.id)
            if not fact.known:
                raise HostError(
                    f"nobody saw how {_command_of(step)!r} ended",
                    hint="is the disk full? df -h, then build again",
                )
            if fact.exit_code != 0:
                tail = await self._read_tail(container.id)
                if "No space left" not in tail and await asyncio.to_thread(_is_full, self._work):
                    tail += f"\n{FULL_LINE}\n"  # what it wrote of that found no room either
                system = await asyncio.to_thread(_system_of, root)
                raise CommandFailed(
                    fact.exit_code, _command_of(step), tail, oom=fact.oom_killed, system=system
                )
        except BaseException:
            await finished(self._remove(name))
            raise
        # Nothing that runs is left; the rest goes while the layer is made and the next step begins.
        removal = asyncio.create_task(self._remove(name), name=f"build/remove {name}")
        self._removals.append(removal)

    async def settle(self) -> None:
        """Wait until of the sandboxes nothing is left. Raises: HostError when something could not be removed."""
        done = await asyncio.gather(*self._removals, return_exceptions=True)
        for failure in filter(None, done):
            raise failure

    async def _remove(self, name: str) -> None:
        await self._sandboxes.remove_sandbox(name)
        await asyncio.to_thread(self._remove_files, name)

    async def _add_gateway(self, sandbox: Sandbox, step: Run) -> None:
        """Say where this machine is, if that was asked for: it is known only now."""
        names = tuple(host for host, ip in step.hosts if ip == HOST_GATEWAY)
        if names:
            ip = sandbox.address.gateway if sandbox.address is not None else "127.0.0.1"
            hosts = (*sandbox.spec.hosts, HostEntry(ip, names))
            await self._sandboxes.update_sandbox(replace(sandbox.spec, hosts=hosts))

    async def _begin(
        self, name: str, container: ContainerSpec, step: Run, secret_env: tuple[str, ...] = ()
    ) -> None:
        """Start the command. That it isn't there, or is no program, is what a shell tells with 127 and 126."""
        try:
            await self._sandboxes.create_container(name, container, secret_env=secret_env)
            await self._sandboxes.start(container.id)
        except HostError as error:
            code = next(
                (code for marks, code in NOT_STARTED if any(one in error.message for one in marks)), 0
            )
            if not code:
                raise
            system = await asyncio.to_thread(_system_of, Path(container.rootfs))
            raise CommandFailed(code, _command_of(step), error.message, system=system) from error

    async def _tell_output(self, container_id: str, tell: Callable[[str], None]) -> None:
        """Tell what a command writes, up to `OUTPUT_MAX_BYTES`: what is more stays in its log until it ends."""
        told = 0
        joiner = Joiner()
        options = LogOptions(follow=True, limit_bytes=OUTPUT_MAX_BYTES)
        async for chunk in self._sandboxes.logs(container_id, options):
            told += len(chunk.data)
            tell(joiner.feed(is_error=chunk.stream == "stderr", data=chunk.data))
        tell(joiner.finish())
        if told >= OUTPUT_MAX_BYTES:
            tell(f"\n[output clipped, log limit {OUTPUT_MAX_BYTES >> 20}MiB reached]\n")

    async def _read_tail(self, container_id: str) -> str:
        data = bytearray()
        async for chunk in self._sandboxes.logs(container_id, LogOptions(tail=TAIL_LINES)):
            data += chunk.data
        return data[-TAIL_BYTES:].decode(errors="replace")

    def _remove_files(self, name: str) -> None:
        for path in (self._work / f"{name}.log", self._work / f"{name}.script"):
            path.unlink(missing_ok=True)

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

    async def _copy_out(self, root: str, path: str, folder: Path) -> None:
        """Copy what a folder of a mounted stack holds, with its owners."""
        selection = Selection(
            root=root, sources=(escape_pattern(path) or "/",), keep_owner=True, what="the mount's source"
        )
        job = CopyJob(selections=(selection,), target_root=str(folder), target="/")
        await self._images.workers.call(copy_sources, job, lambda news: None)

    async def copy(
        self,
        step: Copy,
        below: Sequence[Layer],
        selections: Sequence[Selection],
        tell: Callable[[int], None],
    ) -> tuple[Layer, CopyFacts]:
        """Copy files onto the layers below; return the layer, and what was copied. Raises: UserError, HostError."""
        async with self._stack(below) as (name, root):
            uid, gid = await asyncio.to_thread(_owner, root, step.chown)
            job = CopyJob(
                selections=tuple(selections),
                target_root=str(root),
                target=step.target,
                uid=uid,
                gid=gid,
                chmod=step.chmod,
                inline=tuple((one.name, one.data) for one in step.inline),
            )
            facts = await self._images.workers.call(copy_sources, job, lambda news: tell(news.size))
            return await self._images.commit_stack(name, lease=self._lease, newest_s=self._epoch), facts

    async def find_owner(self, chown: str, below: Sequence[Layer]) -> tuple[int, int]:
        """Return the ids that an owner means in the files of these layers; -1 for those that stay. Raises: UserError."""
        if is_numeric(chown):
            return _owner(Path("/nonexistent"), chown)
        name = new_id(self._chance)
        try:
            rootfs = await self._images.mount_stack(below, name, read_only=True)
            return await asyncio.to_thread(_owner, rootfs.path, chown)
        finally:
            await finished(self._images.release(name))

    async def make_directory(self, step: MakeDirectory, below: Sequence[Layer]) -> Layer:
        """Make a folder, if it isn't there; return the layer, which may be empty."""
        async with self._stack(below) as (name, root):
            await self._make_folder(root, step.path, step.user)
            return await self._images.commit_stack(name, lease=self._lease, newest_s=self._epoch)

    @contextlib.asynccontextmanager
    async def _stack(
        self, below: Sequence[Layer], name: str = "", points: Path | None = None
    ) -> AsyncIterator[tuple[str, Path]]:
        """Mount the layers below, to be written on; whoever fails or is cancelled leaves nothing of it.

        `points` is a folder with mount points, which lies beneath the layers.
        """
        name = name or new_id(self._chance)
        try:
            rootfs = await self._images.mount_stack(below, name, below=points)
            yield name, rootfs.path
        except BaseException:
            await finished(self._images.release(name))
            raise

    async def _make_folder(self, root: Path, path: str, user: str) -> None:
        uid, gid = await asyncio.to_thread(_owner, root, user)
        job = MakeFolderJob(root=str(root), path=path, uid=max(uid, 0), gid=max(gid, 0))
        await self._images.workers.call(make_folder, job)


def _name_of(entry: str) -> str:
    return entry.partition("=")[0]


def _is_full(folder: Path) -> bool:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize < FULL_BYTES


def _command_of(step: Run) -> str:
    return take_flags(step.place.text.removeprefix("RUN "))[1]


def _system_of(root: Path) -> str:
    """Return the IDs of a root filesystem's system, nearest first. Source: os-release(5), ID and ID_LIKE."""
    text = _read(root, "/etc/os-release") or _read(root, "/usr/lib/os-release")
    fields = dict(line.partition("=")[::2] for line in text.splitlines())
    return " ".join(fields.get(name, "").strip("\"'") for name in ("ID", "ID_LIKE")).strip()


def _is_there(root: Path, path: str) -> bool:
    return os.path.isdir(resolve_inside(str(root), path))


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
