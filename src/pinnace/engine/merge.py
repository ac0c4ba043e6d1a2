"""Decides what a container is: the flags of `run` and the image's configuration, put together. Pure.

Source: Docker's documentation, docker run; moby, daemon/commit.go (merge) and runconfig (which flags exclude each other).
"""

from __future__ import annotations

import posixpath
import signal
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from pinnace.base.errors import UserError
from pinnace.container.capabilities import ALL_CAPABILITIES, parse_capability
from pinnace.engine.amounts import parse_cpus, parse_memory, parse_memory_swap, parse_size, parse_ulimit
from pinnace.engine.health import merge_health
from pinnace.engine.mounts import join_mounts, parse_mount, parse_tmpfs, parse_volume
from pinnace.engine.ports import parse_exposed, parse_publish
from pinnace.engine.request import RunRequest
from pinnace.engine.restart import parse_restart
from pinnace.kube.objects.pinnace_v1 import ContainerLimits, ContainerSpec, PortBinding
from pinnace.oci.config import ContainerConfig

SHM_BYTES = 64 << 20  # Source: Docker's documentation, docker run, --shm-size
NETWORKS = ("bridge", "host", "none")


@dataclass(frozen=True, slots=True)
class Merged:
    """What was decided, and what the person should know about it."""

    spec: ContainerSpec
    warnings: tuple[str, ...] = ()


def merge(request: RunRequest, image_id: str, image: ContainerConfig, *, name: str, cpus: int) -> Merged:
    """Return the container's spec. `cpus` is how many the machine has. Raises: UserError, for the first flag that is wrong.

    Example: ENTRYPOINT ["serve"], CMD ["--help"] and the command ["-v"] run `serve -v`.
    """
    entrypoint, command = compute_command(request, image)
    network = _check_network(request)
    warnings: list[str] = []
    ports = _compute_ports(request, image)
    if ports and network != "bridge":
        warnings.append(f"Published ports are discarded when using {network} network mode")
        ports = ()
    restart = parse_restart(request.restart)
    if request.rm and restart.name != "no":
        raise UserError("Conflicting options: --restart and --rm", "leave one of them out")
    mounts = [
        *(parse_volume(text) for text in request.volumes),
        *(parse_mount(text) for text in request.mounts),
        *(parse_tmpfs(text) for text in request.tmpfs),
    ]
    spec = ContainerSpec(
        name=name,
        image=request.image,
        image_id=image_id,
        entrypoint=entrypoint,
        command=command,
        env=merge_pairs(image.env or (), request.env),
        working_dir=_check_workdir(request.workdir or image.working_dir),
        user=request.user or image.user,
        groups=request.groups,
        labels={**(image.labels or {}), **_parse_labels(request.labels)},
        hostname=request.hostname,
        tty=request.tty,
        stdin=request.stdin,
        stdin_once=request.stdin and request.attached,
        stop_signal=_check_signal(request.stop_signal or image.stop_signal),
        stop_timeout_s=image.stop_timeout if request.stop_timeout is None else request.stop_timeout,
        network=network,
        ports=ports,
        exposed=_compute_exposed(request, image),
        mounts=join_mounts(mounts, image.volumes or ()),
        hosts=tuple(_check_host(text) for text in request.add_host),
        dns=request.dns,
        limits=compute_limits(request, cpus),
        ulimits=tuple(text for text in request.ulimits if parse_ulimit(text)),
        sysctls=_parse_sysctls(request.sysctls),
        restart=restart,
        auto_remove=request.rm,
        privileged=request.privileged,
        capabilities_add=_check_capabilities(request.cap_add),
        capabilities_drop=_check_capabilities(request.cap_drop),
        security=tuple(_check_security(text) for text in request.security_opt),
        read_only=request.read_only,
        host_pid=_check_namespace(request.pid, "--pid"),
        host_ipc=_check_namespace(request.ipc, "--ipc"),
        health=merge_health(request, image),
    )
    return Merged(spec, tuple(warnings))


def compute_command(request: RunRequest, image: ContainerConfig) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return entrypoint and command. A given entrypoint drops the image's command. Raises: UserError when nothing is left."""
    if request.entrypoint is None:
        entrypoint, fallback = tuple(image.entrypoint or ()), tuple(image.cmd or ())
    else:
        entrypoint, fallback = ((request.entrypoint,) if request.entrypoint else ()), ()
    command = request.command or fallback
    if not entrypoint and not command:
        raise UserError(
            "no command specified", "the image has neither ENTRYPOINT nor CMD: pinnace run IMAGE COMMAND"
        )
    return entrypoint, command


def merge_pairs(*layers: Iterable[str]) -> tuple[str, ...]:
    """Return "NAME=value" texts in the order of first appearance; a later layer's value wins. Raises: UserError."""
    merged: dict[str, str] = {}
    for layer in layers:
        for item in layer:
            name = item.partition("=")[0]
            if not name:
                raise UserError(f"invalid environment variable: {item}", "-e NAME=value")
            merged[name] = item if "=" in item else f"{item}="
    return tuple(merged.values())


def compute_limits(request: RunRequest, cpus: int) -> ContainerLimits:
    """Return the limits. Without --memory-swap as much swap as memory may be used on top, as with Docker."""
    memory = parse_memory(request.memory) if request.memory else 0
    swap = parse_memory_swap(request.memory_swap, memory) if request.memory_swap else memory * 2
    reservation = (
        parse_memory(request.memory_reservation, "--memory-reservation") if request.memory_reservation else 0
    )
    if memory and reservation > memory:
        raise UserError(
            "Minimum memory limit can not be less than memory reservation limit", "lower the reservation"
        )
    return ContainerLimits(
        memory_bytes=memory,
        memory_swap_bytes=swap,
        memory_reservation_bytes=reservation,
        shm_bytes=parse_size(request.shm_size, "--shm-size") if request.shm_size else SHM_BYTES,
        cpu_milli=parse_cpus(request.cpus, cpus) if request.cpus else 0,
        cpu_shares=request.cpu_shares,
        cpuset_cpus=request.cpuset_cpus,
        pids=max(request.pids_limit, 0),
    )


def _check_network(request: RunRequest) -> str:
    network = request.network or "bridge"
    network = "bridge" if network == "default" else network
    if network not in NETWORKS:
        raise UserError(
            f"network {network} not found", "bridge, host or none; other networks are not made yet"
        )
    if network == "host" and request.hostname:
        raise UserError(
            "conflicting options: hostname and the network mode",
            "with --network host the host's name is used",
        )
    return network


def _compute_ports(request: RunRequest, image: ContainerConfig) -> tuple[PortBinding, ...]:
    ports = [binding for text in request.publish for binding in parse_publish(text)]
    if request.publish_all:
        bound = {(binding.container_port, binding.protocol) for binding in ports}
        for port in _compute_exposed(request, image):
            number, _, protocol = port.partition("/")
            if (int(number), protocol) not in bound:
                ports.append(PortBinding(container_port=int(number), protocol=protocol))
    return tuple(ports)


def _compute_exposed(request: RunRequest, image: ContainerConfig) -> tuple[str, ...]:
    texts: Collection[str] = (*(image.exposed_ports or ()), *request.expose)
    exposed = [port for text in texts for port in parse_exposed(text)]
    exposed += [f"{b.container_port}/{b.protocol}" for text in request.publish for b in parse_publish(text)]
    return tuple(dict.fromkeys(exposed))


def _check_workdir(path: str) -> str:
    if path and not path.startswith("/"):
        raise UserError(
            f"the working directory '{path}' is invalid, it needs to be an absolute path", "-w /path"
        )
    return posixpath.normpath(path) if path else ""


def _parse_labels(texts: Iterable[str]) -> dict[str, str]:
    labels = {}
    for text in texts:
        key, _, value = text.partition("=")
        if not key:
            raise UserError(f"invalid label {text!r}", "--label KEY=VALUE")
        labels[key] = value
    return labels


def _parse_sysctls(texts: Iterable[str]) -> dict[str, str]:
    sysctls = {}
    for text in texts:
        name, equal, value = text.partition("=")
        if not equal or not name.startswith(("net.", "kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")):
            raise UserError(
                f"sysctl '{text}' is not allowed", "namespaced ones only, such as net.core.somaxconn=1024"
            )
        sysctls[name] = value
    return sysctls


def _check_signal(text: str) -> str:
    if text:
        parse_signal(text)
    return text


def parse_signal(text: str) -> int:
    """Return a signal's number. Example: "KILL", "SIGKILL" and "9" are 9. Raises: UserError."""
    if text.isdecimal():
        number = int(text)
        if 0 < number <= signal.SIGRTMAX:
            return number
    name = text.upper().removeprefix("SIG")
    found = signal.Signals.__members__.get(f"SIG{name}")
    if found is None:
        raise UserError(f"Invalid signal: {text}", "see kill -l for the names")
    return int(found)


def _check_host(text: str) -> str:
    name, _, ip = text.partition(":")
    if not name or not ip:
        raise UserError(f"bad format for add-host: {text!r}", "--add-host NAME:IP, or NAME:host-gateway")
    return text


def _check_capabilities(names: Iterable[str]) -> tuple[str, ...]:
    checked = tuple(parse_capability(name) for name in names)
    for name in checked:
        if name != "ALL" and name not in ALL_CAPABILITIES:
            raise UserError(
                f"invalid capability: {name!r}", "such as NET_ADMIN, SYS_PTRACE or ALL: man 7 capabilities"
            )
    return checked


def _check_security(text: str) -> str:
    text = text.replace(":", "=", 1) if "=" not in text else text
    name, _, value = text.partition("=")
    if name == "no-new-privileges" and value in ("", "true", "false"):
        return text
    if name == "seccomp" and (value == "unconfined" or value.startswith("/")):
        return text
    if (name, value) in (("systempaths", "unconfined"), ("apparmor", "unconfined"), ("label", "disable")):
        return text
    raise UserError(
        f"invalid --security-opt: {text!r}", "no-new-privileges, seccomp=unconfined or seccomp=/profile.json"
    )


def _check_namespace(text: str, flag: str) -> bool:
    if text not in ("", "host", "private", "shareable"):
        raise UserError(f"{flag} {text!r} can't be used", f"{flag} host, or leave it out")
    return text == "host"
