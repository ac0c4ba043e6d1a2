"""Decides what a container's process and mounts are: the spec, the image's defaults and the sandbox, merged. Pure.

Source: Kubernetes, "Define a Command and Arguments for a Container" (the table of command, args, ENTRYPOINT and CMD);
Docker's documentation, docker run (HOME, HOSTNAME, PATH, TERM).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from pinnace.base.errors import UserError
from pinnace.container.capabilities import compute_capabilities
from pinnace.container.config import DEFAULT_MASKED_PATHS, DEFAULT_READONLY_PATHS
from pinnace.container.plan import ContainerPlan, Device, Mount, ProcessPlan, User, bind
from pinnace.sandbox.spec import ContainerSpec, HostEntry, ImageDefaults, SandboxSpec

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The facts of a sandbox that its containers need. `namespaces` as in `ContainerPlan`; paths are the host's."""

    spec: SandboxSpec
    namespaces: dict[str, str]
    hosts: str = ""
    hostname_file: str = ""
    resolv_conf: str = ""
    shm: str = ""
    cgroup_namespace: bool = False


def replace_namespace(around: Surroundings, kind: str, path: str) -> Surroundings:
    """Return the surroundings with another namespace of one kind."""
    return replace(around, namespaces={**around.namespaces, kind: path})


def compute_argv(spec: ContainerSpec, image: ImageDefaults) -> tuple[str, ...]:
    """Return the command line. Raises: UserError when neither the spec nor the image has one.

    Example: entrypoint (/ep-1), cmd (foo bar), command None, args (zoo boo) is (/ep-1 zoo boo).
    """
    if spec.command:
        argv = spec.command + (spec.args or ())
    elif spec.args:
        argv = (image.entrypoint if spec.command is None else ()) + spec.args
    else:
        argv = (image.entrypoint if spec.command is None else ()) + image.cmd
    if not argv:
        raise UserError(
            f"container {spec.name or spec.id}: no command specified",
            hint="the image has neither ENTRYPOINT nor CMD: give the command",
        )
    return argv


def merge_env(*layers: Iterable[str]) -> tuple[str, ...]:
    """Return the environment, in the order of first appearance; a later layer's value wins.

    Example: ("A=1", "B=2"), ("A=3",) is ("A=3", "B=2").
    """
    merged: dict[str, str] = {}
    for layer in layers:
        for item in layer:
            merged[item.partition("=")[0]] = item
    return tuple(merged.values())


def compute_env(
    spec: ContainerSpec, image: ImageDefaults, sandbox: SandboxSpec, home: str, hostname: str
) -> tuple[str, ...]:
    """Return the container's environment: defaults, then the image's, then the spec's."""
    defaults = [DEFAULT_PATH, f"HOSTNAME={hostname}"]
    if spec.tty:
        defaults.append("TERM=xterm")
    merged = merge_env(defaults, image.env, spec.env)
    return merged if any(item.startswith("HOME=") for item in merged) else (*merged, f"HOME={home}")


def sort_mounts(mounts: Iterable[Mount]) -> tuple[Mount, ...]:
    """Return the mounts with parents before what is mounted below them; of two on one target, the last."""
    by_target = {mount.target.rstrip("/") or "/": mount for mount in mounts}
    return tuple(sorted(by_target.values(), key=lambda mount: mount.target.rstrip("/").count("/")))


def compute_hostname(spec: SandboxSpec) -> str:
    """Return the name that a sandbox has of its own. Example: an id of 64 digits gives its first 12."""
    return spec.hostname or spec.id[:12]


def render_hosts(spec: SandboxSpec, hostname: str, ip: str) -> str:
    """Return the text of /etc/hosts. Source: what kubelet writes, pkg/kubelet/kubelet_pods.go, managedHostsFileContent."""
    lines = [
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "fe00::0\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
    ]
    if ip:
        full = f"{hostname}.{spec.domain}\t{hostname}" if spec.domain else hostname
        lines.append(f"{ip}\t{full}")
    lines += [_render_entry(entry) for entry in spec.hosts]
    return "\n".join(lines) + "\n"


def _render_entry(entry: HostEntry) -> str:
    return "\t".join((entry.ip, *entry.names))


def compose_mounts(spec: ContainerSpec, around: Surroundings) -> tuple[Mount, ...]:
    """Return all mounts beyond the runtime's own: the sandbox's /etc files and /dev/shm, then the spec's, which win."""
    mounts: list[Mount] = []
    if around.shm:
        mounts.append(
            Mount(
                target="/dev/shm",
                source=around.shm,
                type="bind",
                options=("rbind", "rprivate", "nosuid", "nodev"),
            )
        )
    if spec.etc_files:
        for source, target in (
            (around.hosts, "/etc/hosts"),
            (around.hostname_file, "/etc/hostname"),
            (around.resolv_conf, "/etc/resolv.conf"),
        ):
            if source:
                mounts.append(bind(source, target))
    return sort_mounts((*mounts, *spec.mounts))


def compose_container(
    spec: ContainerSpec,
    image: ImageDefaults,
    around: Surroundings,
    *,
    rootfs: str,
    user: User,
    cgroups_path: str,
    devices: tuple[Device, ...] = (),
    held: Collection[str],
) -> ContainerPlan:
    """Return the plan for one container. `held` are the daemon's own capabilities. Raises: UserError."""
    hostname = compute_hostname(around.spec)
    process = ProcessPlan(
        argv=compute_argv(spec, image),
        env=compute_env(spec, image, around.spec, user.home, hostname),
        cwd=spec.cwd or image.cwd or "/",
        user=user,
        tty=spec.tty,
        capabilities=compute_capabilities(
            add=spec.capabilities_add, drop=spec.capabilities_drop, privileged=spec.privileged, held=held
        ),
        no_new_privileges=spec.no_new_privileges and not spec.privileged,
        rlimits=spec.rlimits,
        oom_score_adj=spec.oom_score_adj,
    )
    open_proc = spec.privileged or spec.unmasked_proc
    namespaces = dict(around.namespaces)
    if around.cgroup_namespace and not spec.privileged:
        namespaces["cgroup"] = ""
    return ContainerPlan(
        rootfs=rootfs,
        process=process,
        cgroups_path=cgroups_path,
        namespaces=namespaces,
        mounts=compose_mounts(spec, around),
        read_only_root=spec.read_only_root,
        privileged=spec.privileged,
        limits=spec.limits,
        devices=(*devices, *spec.devices),
        sysctls=spec.sysctls,
        seccomp=spec.seccomp,
        masked_paths=() if open_proc else DEFAULT_MASKED_PATHS,
        readonly_paths=() if open_proc else DEFAULT_READONLY_PATHS,
        annotations={"pinnace.sandbox": around.spec.id, "pinnace.container": spec.name or spec.id},
    )
