"""Decides what sandbox and container a Container object means: specs for `sandbox/`. Pure; all paths are resolved facts.

Called by `engine` before each create. Source: moby, daemon/oci_linux.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pinnace.container.cgroup import Limits
from pinnace.container.plan import Mount, bind, tmpfs
from pinnace.engine.amounts import parse_ulimit
from pinnace.kube.objects.pinnace_v1 import Container, ContainerMount, ContainerSpec
from pinnace.sandbox.spec import ContainerSpec as SandboxContainer
from pinnace.sandbox.spec import HostEntry, SandboxSpec

SANDBOX_PREFIX = "ctr-"
_NETWORKS = {"bridge": "pod", "host": "host", "none": "none"}


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """Where containers on the bridge ask for names, and where they find the host."""

    dns_ip: str
    gateway: str
    host_resolv_conf: str


def sandbox_id(container_id: str) -> str:
    """Return the id of a container's sandbox."""
    return f"{SANDBOX_PREFIX}{container_id}"


def is_ours(sandbox: str) -> bool:
    """Say whether a sandbox is one of the engine's."""
    return sandbox.startswith(SANDBOX_PREFIX)


def compute_sandbox(container: Container, facts: NetworkFacts) -> SandboxSpec:
    """Return the container's surroundings."""
    spec, container_id = container.spec, container.metadata.name
    hostname, _, domain = spec.hostname.partition(".")
    return SandboxSpec(
        id=sandbox_id(container_id),
        hostname="" if spec.network == "host" else hostname or container_id[:12],
        domain=domain,
        network=_NETWORKS[spec.network],  # type: ignore[arg-type]
        resolv_conf=compute_resolv_conf(spec, facts),
        hosts=tuple(_parse_host(text, facts.gateway) for text in spec.hosts),
        labels={"pinnace.dev/name": spec.name},
        host_pid=spec.host_pid,
        host_ipc=spec.host_ipc,
        shm_bytes=spec.limits.shm_bytes,
        sysctls=spec.sysctls,
    )


def compute_resolv_conf(spec: ContainerSpec, facts: NetworkFacts) -> str | None:
    """Return the text of /etc/resolv.conf: our name server for the bridge, with the host's search domains; None is the host's."""
    if spec.network != "bridge" and not spec.dns:
        return None
    servers = spec.dns or (facts.dns_ip,)
    lines = [f"nameserver {server}" for server in servers]
    for line in facts.host_resolv_conf.splitlines():
        words = line.split()
        if words[:1] in (["search"], ["options"]):
            lines.append(" ".join(words))
    return "\n".join(lines) + "\n"


def _parse_host(text: str, gateway: str) -> HostEntry:
    name, _, ip = text.partition(":")
    return HostEntry(gateway if ip == "host-gateway" else ip, (name,))


def compute_container(container: Container, *, log_path: str, volumes: Mapping[str, str]) -> SandboxContainer:
    """Return what `sandbox/` shall create. `volumes` maps the targets of volumes to the folders that they are."""
    spec = container.spec
    security = dict(text.partition("=")[::2] for text in spec.security)
    return SandboxContainer(
        id=container.metadata.name,
        name=spec.name,
        image=spec.image_id,
        command=(*spec.entrypoint, *spec.command),
        env=spec.env,
        cwd=spec.working_dir,
        user=spec.user,
        groups=tuple(int(group) if group.isdecimal() else group for group in spec.groups),
        mounts=tuple(compute_mount(mount, volumes) for mount in spec.mounts),
        limits=compute_limits(spec),
        tty=spec.tty,
        stdin=spec.stdin,
        # Who leaves a terminal by its detach keys comes back to it.
        stdin_once=spec.stdin_once and not spec.tty,
        privileged=spec.privileged,
        capabilities_add=spec.capabilities_add,
        capabilities_drop=spec.capabilities_drop,
        no_new_privileges=security.get("no-new-privileges", "false") in ("", "true"),
        read_only_root=spec.read_only,
        seccomp="unconfined" if spec.privileged else security.get("seccomp", "default"),
        unmasked_proc="systempaths" in security,
        rlimits=tuple(parse_ulimit(text) for text in spec.ulimits),
        labels={"pinnace.dev/name": spec.name},
        log_path=log_path,
        stop_signal=spec.stop_signal,
    )


def compute_mount(mount: ContainerMount, volumes: Mapping[str, str]) -> Mount:
    """Return one mount. Raises: KeyError when a volume's folder is missing from `volumes`."""
    if mount.type == "tmpfs":
        return compute_tmpfs(mount)
    source = mount.source if mount.type == "bind" else volumes[mount.target]
    propagation = next((o for o in mount.options if o != "must-exist"), "rprivate")
    return bind(source, mount.target, read_only=mount.read_only, propagation=propagation)


def compute_tmpfs(mount: ContainerMount) -> Mount:
    """Return an empty file system in memory. Source: moby, volume/mounts (the default options noexec,nosuid,nodev)."""
    defaults = ["nosuid", "nodev"] if "exec" in mount.options else ["noexec", "nosuid", "nodev"]
    mode = next((o.removeprefix("mode=") for o in mount.options if o.startswith("mode=")), "1777")
    given = [o for o in mount.options if not o.startswith("mode=") and o != "exec"]
    return tmpfs(mount.target, mode=mode, options=(*defaults, *given, *(["ro"] if mount.read_only else [])))


def compute_limits(spec: ContainerSpec) -> Limits:
    """Return the cgroup limits."""
    limits = spec.limits
    return Limits(
        cpu_limit_milli=limits.cpu_milli or None,
        cpu_shares=limits.cpu_shares or None,
        cpuset_cpus=limits.cpuset_cpus,
        memory_bytes=limits.memory_bytes or None,
        memory_swap_bytes=limits.memory_swap_bytes or None,
        memory_reservation_bytes=limits.memory_reservation_bytes or None,
        pids=limits.pids or None,
    )
