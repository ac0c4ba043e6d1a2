"""Gets ready what the `--mount` flags of one RUN say, for as long as its command runs, and takes all of it away again. A doer.

Called by `execute`. What a mount means is in `mount_plan`.
Invariants: what a command writes into a bind is dropped; secrets are in memory only; nothing stays but the caches.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pinnace.base.errors import HostError, UserError
from pinnace.build import agents, secret_files
from pinnace.build.cache_mounts import CacheMountKey, CacheMounts
from pinnace.build.mount_plan import CONTENT_PATH
from pinnace.build.places import make_folders, resolve_inside
from pinnace.build.run_options import RunOptions
from pinnace.build.secret_files import SecretFile
from pinnace.build.steps import RunMount
from pinnace.build.stubs import Stub
from pinnace.container.plan import Mount, bind
from pinnace.image.layers import Layer
from pinnace.image.rootfs import Rootfs
from pinnace.image.store import ImageStore

AGENT_VARIABLE = "SSH_AUTH_SOCK"
AGENT_TARGET = "/run/buildkit/ssh_agent.{}"  # Source: BuildKit, client/llb/exec.go
SHARED_TMP_MODE = 0o1777  # what a new tmpfs has


@dataclass(frozen=True, slots=True)
class MountSource:
    """Where what a mount shows lies: these layers on top of each other, and a path in them. `key` names the content."""

    layers: tuple[Layer, ...]
    path: str
    key: str


Sources = Mapping[int, MountSource]  # by the mount's place among the flags
CopyOut = Callable[[str, str, Path], Awaitable[None]]  # copies a path of a root into a folder


@dataclass(slots=True)
class Ready:
    """What a command gets. `secret_env` is said to nobody but the runtime."""

    mounts: list[Mount] = field(default_factory=list)
    stubs: list[Stub] = field(default_factory=list)
    env: list[str] = field(default_factory=list)
    secret_env: list[str] = field(default_factory=list, repr=False)


def agent_targets(mounts: Sequence[RunMount]) -> dict[int, str]:
    """Return where the agents of the ssh mounts are reached, by the mounts' places."""
    places = [place for place, mount in enumerate(mounts) if mount.type == "ssh"]
    return {place: mounts[place].target or AGENT_TARGET.format(number) for number, place in enumerate(places)}


class RunMounts:
    """Makes the mounts of one build's commands. `new_id` names mounted stacks."""

    def __init__(
        self,
        images: ImageStore,
        caches: CacheMounts,
        options: RunOptions,
        work: Path,
        new_id: Callable[[], str],
        copy_out: CopyOut,
    ) -> None:
        self._images = images
        self._caches = caches
        self._options = options
        self._work = work
        self._new_id = new_id
        self._copy_out = copy_out

    @asynccontextmanager
    async def ready(self, name: str, mounts: Sequence[RunMount], sources: Sources) -> AsyncIterator[Ready]:
        """Make everything for the command `name`. Raises: UserError (a secret or agent that is needed), HostError."""
        ready = Ready()
        async with AsyncExitStack() as stack:
            await self._add_secrets(name, mounts, ready, stack)
            await self._add_agents(name, mounts, ready, stack)
            folders = await self._take_caches(mounts, sources, stack)
            for place, mount in enumerate(mounts):
                if mount.type == "cache":
                    ready.mounts.append(_cache(mount, folders[place]))
                elif mount.type == "bind":
                    has_inner = any(_is_inside(one.target, mount.target) for one in mounts)
                    ready.mounts.append(await self._bind(mount, sources[place], has_inner, stack))
                elif mount.type == "tmpfs":
                    ready.mounts.append(_tmpfs(mount))
            ready.stubs = await asyncio.to_thread(_make_all_points, ready.mounts)
            yield ready

    # --- files -------------------------------------------------------------------------------------------------------

    async def _bind(
        self, mount: RunMount, source: MountSource, has_inner: bool, stack: AsyncExitStack
    ) -> Mount:
        rootfs = await self._mount_stack(source, stack, read_only=mount.read_only and not has_inner)
        place = await asyncio.to_thread(_find, rootfs, source.path, mount)
        return bind(place, mount.target, read_only=mount.read_only)

    async def _mount_stack(self, source: MountSource, stack: AsyncExitStack, *, read_only: bool) -> Rootfs:
        name = self._new_id()
        stack.push_async_callback(self._images.release, name)
        return await self._images.mount_stack(source.layers, name, read_only=read_only)

    async def _take_caches(
        self, mounts: Sequence[RunMount], sources: Sources, stack: AsyncExitStack
    ) -> dict[int, Path]:
        """Return the folders of the caches, by the mounts' places; one that is mounted twice is taken once.

        All commands take theirs in one order, so that two that want the same two locked ones don't wait for each other.
        """
        keys = {
            place: _cache_key(mount, sources.get(place))
            for place, mount in enumerate(mounts)
            if mount.type == "cache"
        }
        taken: dict[CacheMountKey, Path] = {}
        for place, key in sorted(keys.items(), key=lambda item: (msgspec.json.encode(item[1]), item[0])):
            if key not in taken:
                taken[key] = await self._take_cache(key, mounts[place], sources.get(place), stack)
        return {place: taken[key] for place, key in keys.items()}

    async def _take_cache(
        self, key: CacheMountKey, mount: RunMount, source: MountSource | None, stack: AsyncExitStack
    ) -> Path:
        async def fill(folder: Path) -> None:
            assert source is not None
            async with AsyncExitStack() as inner:
                rootfs = await self._mount_stack(source, inner, read_only=True)
                place = await asyncio.to_thread(_find, rootfs, source.path, mount)
                if not os.path.isdir(place):
                    raise UserError(f"cache {mount.target}: its source is not a folder", "name a folder")
                await self._copy_out(str(rootfs.path), source.path, folder)

        return await stack.enter_async_context(
            self._caches.use(key, mount.sharing, None if source is None else fill)
        )

    # --- secrets and agents --------------------------------------------------------------------------------------------

    async def _add_secrets(
        self, name: str, mounts: Sequence[RunMount], ready: Ready, stack: AsyncExitStack
    ) -> None:
        files: list[tuple[RunMount, SecretFile]] = []
        for mount in mounts:
            if mount.type != "secret":
                continue
            value = self._options.secrets.get(mount.id)
            if value is None:
                if mount.required:
                    raise UserError(f"secret {mount.id}: not found", f"--secret id={mount.id},src=FILE")
                continue
            if mount.env:
                ready.secret_env.append(f"{mount.env}={_as_variable(mount, value)}")
            if mount.target:
                files.append((mount, SecretFile(value, mount.mode, mount.uid, mount.gid)))
        if not files:
            return
        folder = self._work / (name + secret_files.SUFFIX)
        stack.push_async_callback(asyncio.to_thread, secret_files.remove, folder)
        paths = await asyncio.to_thread(secret_files.write, folder, [file for _, file in files])
        for (mount, file), path in zip(files, paths, strict=True):
            runs = file.mode >= 0 and file.mode & 0o111
            options = ("nosuid", "nodev") if runs else ("nosuid", "nodev", "noexec")
            ready.mounts.append(bind(str(path), mount.target, read_only=True, options=options))

    async def _add_agents(
        self, name: str, mounts: Sequence[RunMount], ready: Ready, stack: AsyncExitStack
    ) -> None:
        targets = agent_targets(mounts)
        for place, target in targets.items():
            mount = mounts[place]
            agent = self._options.ssh.get(mount.id)
            if agent is None:
                if mount.required:
                    raise UserError(
                        f'no SSH key "{mount.id}" forwarded from the client',
                        f"pinnace build --ssh {mount.id} …",
                    )
                continue
            path = self._work / f"{name}.ssh{place}"
            await stack.enter_async_context(
                agents.offered(path, agent, mode=mount.mode, uid=mount.uid, gid=mount.gid)
            )
            ready.mounts.append(bind(str(path), target))
        if targets:
            ready.env.append(f"{AGENT_VARIABLE}={next(iter(targets.values()))}")


def _as_variable(mount: RunMount, value: bytes) -> str:
    text = value.decode(errors="surrogateescape")
    if "\0" in text:
        raise UserError(
            f"secret {mount.id}: a variable can't hold a zero byte", "mount it as a file: leave env= out"
        )
    return text


def _cache_key(mount: RunMount, source: MountSource | None) -> CacheMountKey:
    return CacheMountKey(
        id=mount.id,
        content="" if source is None else source.key,
        mode=mount.mode,
        uid=mount.uid,
        gid=mount.gid,
    )


def _cache(mount: RunMount, folder: Path) -> Mount:
    """Return the mount of a cache, or of a folder in it. Raises: UserError when that isn't there."""
    place = resolve_inside(str(folder), mount.folder)
    if not os.path.lexists(place):
        raise UserError(
            f"cache {mount.target}: {mount.folder!r} is not in it",
            "leave source out, or make it with a RUN that mounts the whole cache",
        )
    return bind(place, mount.target, read_only=mount.read_only)


def _tmpfs(mount: RunMount) -> Mount:
    size = (f"size={mount.size}",) if mount.size else ()
    mode = ("ro",) if mount.read_only else ()
    return Mount(target=mount.target, source="tmpfs", type="tmpfs", options=("nosuid", *mode, *size))


def _find(rootfs: Rootfs, path: str, mount: RunMount) -> str:
    """Return the real path of what is mounted. Raises: UserError."""
    place = resolve_inside(str(rootfs.path), path)
    if not os.path.lexists(place):
        shown = "" if path == CONTENT_PATH else f" {path!r}"
        raise UserError(
            f"mount {mount.target}: its source{shown} is not there", "source= is a path from the root"
        )
    return place


def _make_all_points(mounts: Sequence[Mount]) -> list[Stub]:
    """Make the mount points that lie in other mounts; return those of the root filesystem."""
    stubs = [_stub(mount) for mount in mounts]
    for mount in mounts:
        inner = [stub for stub in stubs if _is_inside(stub.target, mount.target)]
        if mount.type == "bind" and inner and os.path.isdir(mount.source):
            _make_points(mount, inner)
    return stubs


def _make_points(mount: Mount, inner: Sequence[Stub]) -> None:
    """Make them in the layer whose writes are dropped (or in the cache): what is mounted may be read-only."""
    for stub in inner:
        inside = stub.target[len(mount.target) :]
        try:
            if not stub.is_file:
                make_folders(mount.source, inside, 0, 0)
                continue
            make_folders(mount.source, os.path.dirname(inside), 0, 0)
            point = resolve_inside(mount.source, inside)
            if not os.path.lexists(point):
                os.close(os.open(point, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, stub.mode))
        except OSError as error:
            raise HostError(f"{stub.target} can't be mounted: {error.strerror}", errno=error.errno) from error


def _is_inside(target: str, folder: str) -> bool:
    return target.startswith(folder + "/")


def _stub(mount: Mount) -> Stub:
    """Return the mount point of a mount. A new tmpfs takes the mode of its mount point, so that is a /tmp's."""
    if mount.type == "tmpfs":
        return Stub(mount.target, mode=SHARED_TMP_MODE)
    is_file = not os.path.isdir(mount.source)
    return Stub(mount.target, is_file=is_file, mode=0o644 if is_file else 0o755)
