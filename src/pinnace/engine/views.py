"""Containers as people and Docker's clients see them: Docker's inspect document, rows of `ps`. Pure.

Source: Docker Engine API v1.47, ContainerInspect and ContainerSummary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pinnace.base.times import render_micro_time
from pinnace.engine.health import Health
from pinnace.engine.names import is_anonymous
from pinnace.engine.ports import render_ports
from pinnace.engine.status import RUNNING, is_running
from pinnace.kube.objects.pinnace_v1 import Container, ContainerMount, HealthProbe, PortBinding

NEVER = "0001-01-01T00:00:00Z"  # Go's zero time, which Docker shows for what has not happened


def list_row(container: Container) -> dict[str, Any]:
    """Return what `ps` shows of a container; times are texts, "" for what has not happened."""
    spec, status = container.spec, container.status
    return {
        "id": container.metadata.name,
        "name": spec.name,
        "image": spec.image,
        "image_id": spec.image_id,
        "command": [*spec.entrypoint, *spec.command],
        "created": container.metadata.creation_timestamp,
        "state": status.state,
        "exit_code": status.exit_code,
        "started_at": status.started_at,
        "finished_at": status.finished_at,
        "ports": render_ports(status.ports, spec.exposed if status.state == RUNNING else ()),
        "labels": spec.labels,
        "mounts": [mount.source for mount in spec.mounts if mount.type != "tmpfs"],
        "networks": spec.network,
        "health": status.health,
    }


def inspect_document(
    container: Container,
    *,
    volumes: Mapping[str, str],
    log_path: str,
    rootfs: str,
    health: Health | None = None,
) -> dict[str, Any]:
    """Return Docker's inspect document. `volumes` maps a volume's target to its folder on the host."""
    spec, status = container.spec, container.status
    argv = (*spec.entrypoint, *spec.command)
    return {
        "Id": container.metadata.name,
        "Created": container.metadata.creation_timestamp,
        "Path": argv[0] if argv else "",
        "Args": list(argv[1:]),
        "State": {**_state(container), **_health(container, health)},
        "Image": spec.image_id,
        "ResolvConfPath": "",
        "HostnamePath": "",
        "HostsPath": "",
        "LogPath": log_path,
        "Name": f"/{spec.name}",
        "RestartCount": status.restart_count,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": None,
        "HostConfig": _host_config(container),
        "GraphDriver": {"Name": "overlay2", "Data": {"MergedDir": rootfs} if rootfs else {}},
        "Mounts": [_mount(mount, volumes) for mount in spec.mounts if mount.type != "tmpfs"],
        "Config": _config(container),
        "NetworkSettings": _network(container),
    }


def _state(container: Container) -> dict[str, Any]:
    status = container.status
    return {
        "Status": status.state,
        "Running": is_running(status),
        "Paused": False,
        "Restarting": status.state == "restarting",
        "OOMKilled": status.oom_killed,
        "Dead": False,
        "Pid": status.pid,
        "ExitCode": status.exit_code,
        "Error": status.error,
        "StartedAt": status.started_at or NEVER,
        "FinishedAt": status.finished_at or NEVER,
    }


def _health(container: Container, health: Health | None) -> dict[str, Any]:
    """Return the section of a container whose health is checked."""
    status = container.status
    if not status.health:
        return {}
    log = [
        {
            "Start": render_micro_time(one.start),
            "End": render_micro_time(one.end),
            "ExitCode": one.exit_code,
            "Output": one.output,
        }
        for one in (health.log if health is not None else ())
    ]
    return {"Health": {"Status": status.health, "FailingStreak": status.failed_checks, "Log": log}}


def _health_config(probe: HealthProbe) -> dict[str, Any]:
    values = {
        "Test": list(probe.test),
        "Interval": probe.interval_ns,
        "Timeout": probe.timeout_ns,
        "StartPeriod": probe.start_period_ns,
        "StartInterval": probe.start_interval_ns,
        "Retries": probe.retries,
    }
    return {name: value for name, value in values.items() if value}


def _config(container: Container) -> dict[str, Any]:
    spec = container.spec
    hostname, _, domain = spec.hostname.partition(".")
    return {
        "Hostname": hostname or container.metadata.name[:12],
        "Domainname": domain,
        "User": spec.user,
        "AttachStdin": spec.stdin_once,
        "AttachStdout": True,
        "AttachStderr": True,
        **({"ExposedPorts": {port: {} for port in spec.exposed}} if spec.exposed else {}),
        "Tty": spec.tty,
        "OpenStdin": spec.stdin,
        "StdinOnce": spec.stdin_once,
        "Env": list(spec.env),
        "Cmd": list(spec.command) or None,
        "Image": spec.image,
        "Volumes": {mount.target: {} for mount in spec.mounts if is_anonymous(mount.source)} or None,
        "WorkingDir": spec.working_dir,
        "Entrypoint": list(spec.entrypoint) or None,
        "OnBuild": None,
        "Labels": spec.labels,
        **({"Healthcheck": _health_config(spec.health)} if spec.health is not None else {}),
        **({"StopSignal": spec.stop_signal} if spec.stop_signal else {}),
        **({"StopTimeout": spec.stop_timeout_s} if spec.stop_timeout_s is not None else {}),
    }


def _host_config(container: Container) -> dict[str, Any]:
    spec, limits = container.spec, container.spec.limits
    return {
        "Binds": [
            _bind_text(mount)
            for mount in spec.mounts
            if mount.type != "tmpfs" and not is_anonymous(mount.source)
        ]
        or None,
        "NetworkMode": spec.network,
        "PortBindings": _bindings(spec.ports, chosen=False),
        "RestartPolicy": {
            "Name": spec.restart.name,
            "MaximumRetryCount": spec.restart.maximum_retry_count,
        },
        "AutoRemove": spec.auto_remove,
        "CapAdd": list(spec.capabilities_add) or None,
        "CapDrop": list(spec.capabilities_drop) or None,
        "Dns": list(spec.dns),
        "ExtraHosts": list(spec.hosts) or None,
        "GroupAdd": list(spec.groups) or None,
        "IpcMode": "host" if spec.host_ipc else "private",
        "PidMode": "host" if spec.host_pid else "",
        "Privileged": spec.privileged,
        "ReadonlyRootfs": spec.read_only,
        "SecurityOpt": list(spec.security) or None,
        "ShmSize": limits.shm_bytes,
        "Sysctls": spec.sysctls or None,
        "Tmpfs": {m.target: ",".join(m.options) for m in spec.mounts if m.type == "tmpfs"} or None,
        "Runtime": "runc",
        "CpuShares": limits.cpu_shares,
        "Memory": limits.memory_bytes,
        "NanoCpus": limits.cpu_milli * 1_000_000,
        "CpusetCpus": limits.cpuset_cpus,
        "MemoryReservation": limits.memory_reservation_bytes,
        "MemorySwap": limits.memory_swap_bytes,
        "PidsLimit": limits.pids or None,
        "Ulimits": [_ulimit(text) for text in spec.ulimits] or None,
    }


def _ulimit(text: str) -> dict[str, Any]:
    name, _, values = text.partition("=")
    soft, _, hard = values.partition(":")
    return {"Name": name, "Soft": int(soft), "Hard": int(hard or soft)}


def _bind_text(mount: ContainerMount) -> str:
    return f"{mount.source}:{mount.target}" + (":ro" if mount.read_only else "")


def _mount(mount: ContainerMount, volumes: Mapping[str, str]) -> dict[str, Any]:
    propagation = next((o for o in mount.options if o != "must-exist"), "rprivate")
    document: dict[str, Any] = {"Type": mount.type}
    if mount.type == "volume":
        source = volumes.get(mount.target, "")
        document |= {"Name": mount.source, "Source": source, "Destination": mount.target, "Driver": "local"}
        propagation = ""
    else:
        document |= {"Source": mount.source, "Destination": mount.target}
    return document | {
        "Mode": "ro" if mount.read_only else "",
        "RW": not mount.read_only,
        "Propagation": propagation,
    }


def _bindings(ports: tuple[PortBinding, ...], *, chosen: bool) -> dict[str, Any]:
    document: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        host_ip = (port.host_ip or "0.0.0.0") if chosen else port.host_ip
        host_port = str(port.host_port) if port.host_port else ""
        document.setdefault(f"{port.container_port}/{port.protocol}", []).append(
            {"HostIp": host_ip, "HostPort": host_port}
        )
    return document


def _network(container: Container) -> dict[str, Any]:
    spec, status = container.spec, container.status
    ports: dict[str, Any] = {}
    if status.state == RUNNING:
        ports = dict.fromkeys(spec.exposed) | _bindings(status.ports, chosen=True)
    one = {
        "IPAddress": status.ip,
        "IPPrefixLen": 32 if status.ip else 0,
        "Gateway": status.gateway,
        "MacAddress": status.mac,
    }
    return {"Ports": ports, **one, "Networks": {spec.network: one}}
