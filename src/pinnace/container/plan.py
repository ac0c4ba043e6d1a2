"""What one container shall be, as data: the facts that `config.py` turns into an OCI runtime configuration.

Built by `sandbox/` (and by tests); everything in it is resolved: ids are numbers, paths exist on the host or in the
rootfs, limits are numbers. Invariant: a plan is a value; it can be written to disk, compared and described.
"""

from __future__ import annotations

import msgspec

from pinnace.container.cgroup import Limits


class Mount(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One mount inside the container. `type` "bind" takes `source` from the host; other types are file systems."""

    target: str
    source: str = ""
    type: str = "bind"
    options: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return one readable line. Example: "bind /srv/data -> /data (rbind, ro)"."""
        options = f" ({', '.join(self.options)})" if self.options else ""
        return f"{self.type} {self.source or self.type} -> {self.target}{options}"


def bind(
    source: str,
    target: str,
    *,
    read_only: bool = False,
    propagation: str = "rprivate",
    options: tuple[str, ...] = (),
) -> Mount:
    """Return a bind mount of a file or folder of the host, with all that is mounted below it."""
    mode = "ro" if read_only else "rw"
    return Mount(target=target, source=source, type="bind", options=("rbind", propagation, mode, *options))


def tmpfs(
    target: str,
    *,
    size_bytes: int | None = None,
    mode: str = "1777",
    options: tuple[str, ...] = ("nosuid", "nodev"),
) -> Mount:
    """Return an empty file system in memory."""
    size = () if size_bytes is None else (f"size={size_bytes}",)
    return Mount(target=target, source="tmpfs", type="tmpfs", options=(*options, f"mode={mode}", *size))


class Device(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A device node that the container gets. `type` is "c" or "b"; `access` a subset of "rwm"."""

    path: str
    type: str
    major: int
    minor: int
    access: str = "rwm"
    mode: int = 0o666
    uid: int = 0
    gid: int = 0


class Rlimit(msgspec.Struct, frozen=True, gc=False):
    """A resource limit; `type` is a name like "RLIMIT_NOFILE"."""

    type: str
    soft: int
    hard: int


class User(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Who the process is: numbers, resolved against the rootfs's own passwd and group files."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


class ProcessPlan(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A process in a container: its main one, or one that `exec` adds."""

    argv: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: User = User()
    tty: bool = False
    capabilities: tuple[str, ...] = ()
    no_new_privileges: bool = False
    rlimits: tuple[Rlimit, ...] = ()
    oom_score_adj: int | None = None


class ContainerPlan(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One container. `namespaces` maps a kind ("pid", "network", …) to a path to join, or to "" for a new one;

    a kind that is missing stays the host's. `seccomp` is "default", "unconfined" or the path of a profile.
    """

    rootfs: str
    process: ProcessPlan
    cgroups_path: str
    namespaces: dict[str, str]
    mounts: tuple[Mount, ...] = ()
    hostname: str = ""
    read_only_root: bool = False
    privileged: bool = False
    limits: Limits = Limits()
    devices: tuple[Device, ...] = ()
    sysctls: dict[str, str] = {}
    seccomp: str = "default"
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    annotations: dict[str, str] = {}

    def describe(self) -> list[str]:
        """Return the plan as lines that a person can read."""
        joined = [f"{kind} {path or 'new'}" for kind, path in sorted(self.namespaces.items())]
        return [
            f"run {' '.join(self.process.argv)} as {self.process.user.uid}:{self.process.user.gid} in {self.process.cwd}",
            f"root {self.rootfs}{' (read-only)' if self.read_only_root else ''}",
            f"namespaces: {', '.join(joined)}",
            f"cgroup {self.cgroups_path}: {self.limits.describe()}",
            *(mount.describe() for mount in self.mounts),
        ]
