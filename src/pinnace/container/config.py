"""Renders a `ContainerPlan` as the OCI runtime's config.json. Pure: plan and facts about the daemon in, bytes out.

Called by the runtime's create and exec. Invariant: nothing is asked of the kernel that the daemon itself may not have
(capabilities, hard rlimits, a lower OOM score), so that the same plan runs with fewer rights and in a container.
Source: OCI runtime specification 1.0.2, config.md and config-linux.md.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from pinnace.base.errors import UserError
from pinnace.container.capabilities import ALL_CAPABILITIES, parse_mask
from pinnace.container.cgroup import SYSTEMD_ANNOTATIONS, CgroupHost, render_resources
from pinnace.container.plan import ContainerPlan, Device, Mount, ProcessPlan, Rlimit
from pinnace.container.seccomp import render_default_profile

# Source: moby, oci/defaults.go, MaskedPaths and ReadonlyPaths.
DEFAULT_MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
DEFAULT_READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

# Source: OCI runtime specification, config-linux.md, "Default Devices", plus ptmx and pts, and the tun device denied.
_DEVICE_RULES: tuple[tuple[str, int | None, int | None, str], ...] = (
    ("c", None, None, "m"),
    ("b", None, None, "m"),
    ("c", 1, 3, "rwm"),  # null
    ("c", 1, 5, "rwm"),  # zero
    ("c", 1, 7, "rwm"),  # full
    ("c", 1, 8, "rwm"),  # random
    ("c", 1, 9, "rwm"),  # urandom
    ("c", 5, 0, "rwm"),  # tty
    ("c", 5, 1, "rwm"),  # console
    ("c", 5, 2, "rwm"),  # ptmx
    ("c", 136, None, "rwm"),  # pts
)


@dataclass(frozen=True, slots=True)
class DaemonRights:
    """What the daemon may hand on. `hard_limits` maps "RLIMIT_NOFILE" to the hard limit; one that is missing is unlimited."""

    capabilities: frozenset[str] = frozenset(ALL_CAPABILITIES)
    hard_limits: Mapping[str, int] = field(default_factory=dict)
    oom_score_adj: int = -1000
    may_raise_limits: bool = True


def read_daemon_rights() -> DaemonRights:
    """Read them from /proc/self."""
    status = Path("/proc/self/status").read_text()
    masks = dict(line.split(":\t") for line in status.splitlines() if line.startswith("Cap"))
    held = parse_mask(masks["CapPrm"]) & parse_mask(masks["CapBnd"])
    limits = {
        name: hard
        for name in dir(resource)
        if name.startswith("RLIMIT_")
        and (hard := resource.getrlimit(getattr(resource, name))[1]) != resource.RLIM_INFINITY
    }
    score = int(Path("/proc/self/oom_score_adj").read_text())
    may_raise = "CAP_SYS_RESOURCE" in held and os.getuid() == 0
    return DaemonRights(held, limits, score, may_raise)


def render_config(plan: ContainerPlan, cgroups: CgroupHost, rights: DaemonRights) -> bytes:
    """Return the text of config.json."""
    return msgspec.json.format(msgspec.json.encode(_render_container(plan, cgroups, rights)), indent=1)


def render_process(process: ProcessPlan, rights: DaemonRights) -> dict[str, Any]:
    """Return the OCI `process` section, for config.json and for an exec."""
    capabilities = [name for name in process.capabilities if name in rights.capabilities]
    # Ambient and inheritable stay empty: a process of another user than root gets no capability (as with Docker).
    rendered: dict[str, Any] = {
        "terminal": process.tty,
        "user": {
            "uid": process.user.uid,
            "gid": process.user.gid,
            "additionalGids": list(process.user.groups),
        },
        "args": list(process.argv),
        "env": list(process.env),
        "cwd": process.cwd or "/",
        "capabilities": {
            "bounding": capabilities,
            "effective": capabilities,
            "permitted": capabilities,
        },
        "noNewPrivileges": process.no_new_privileges,
    }
    if process.rlimits:
        rendered["rlimits"] = [_render_rlimit(limit, rights) for limit in process.rlimits]
    if process.oom_score_adj is not None:
        floor = -1000 if rights.may_raise_limits else rights.oom_score_adj
        rendered["oomScoreAdj"] = max(process.oom_score_adj, floor)
    return rendered


def _render_rlimit(limit: Rlimit, rights: DaemonRights) -> dict[str, Any]:
    ceiling = None if rights.may_raise_limits else rights.hard_limits.get(limit.type)
    hard = _cap(limit.hard, ceiling)
    return {"type": limit.type, "hard": hard, "soft": _cap(limit.soft, hard)}


def _cap(value: int, ceiling: int | None) -> int:
    unlimited = 2**64 - 1  # how the specification, with its unsigned numbers, writes "unlimited"
    value = unlimited if value < 0 else value
    return value if ceiling is None else min(value, ceiling)


def _render_container(plan: ContainerPlan, cgroups: CgroupHost, rights: DaemonRights) -> dict[str, Any]:
    linux: dict[str, Any] = {
        "cgroupsPath": plan.cgroups_path,
        "namespaces": [
            {"type": kind, "path": path} if path else {"type": kind}
            for kind, path in sorted(plan.namespaces.items())
        ],
        "resources": {"devices": _render_device_rules(plan), **render_resources(plan.limits, cgroups)},
        "maskedPaths": list(plan.masked_paths),
        "readonlyPaths": list(plan.readonly_paths),
    }
    if plan.devices:
        linux["devices"] = [_render_device(device) for device in plan.devices]
    if plan.sysctls:
        linux["sysctl"] = plan.sysctls
    seccomp = _render_seccomp(plan)
    if seccomp is not None:
        linux["seccomp"] = seccomp
    shared = any("shared" in option or "slave" in option for mount in plan.mounts for option in mount.options)
    if shared:
        linux["rootfsPropagation"] = "rslave"
    config: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": render_process(plan.process, rights),
        "root": {"path": plan.rootfs, "readonly": plan.read_only_root},
        "mounts": [_render_mount(mount) for mount in (*_system_mounts(plan, cgroups), *plan.mounts)],
        "linux": linux,
    }
    if plan.hostname and "uts" in plan.namespaces:
        config["hostname"] = plan.hostname
    annotations = (
        {**plan.annotations, **SYSTEMD_ANNOTATIONS} if cgroups.driver == "systemd" else plan.annotations
    )
    if annotations:
        config["annotations"] = annotations
    return config


def _system_mounts(plan: ContainerPlan, cgroups: CgroupHost) -> list[Mount]:
    """Return what every container has below /proc, /dev and /sys, less what the plan mounts there itself."""
    mode = "rw" if plan.privileged else "ro"
    own_network = "network" in plan.namespaces
    secure = ("nosuid", "noexec", "nodev")
    mounts = [
        Mount("/proc", "proc", "proc", secure),
        Mount("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
        Mount(
            "/dev/pts",
            "devpts",
            "devpts",
            ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
        ),
        # A new sysfs shows the network namespace of who mounts it; for the host's, the host's own is bound.
        Mount("/sys", "sysfs", "sysfs", (*secure, mode))
        if own_network
        else Mount("/sys", "/sys", "bind", ("rbind", *secure, mode)),
        Mount("/dev/shm", "shm", "tmpfs", (*secure, "mode=1777", "size=65536k")),
    ]
    if "ipc" in plan.namespaces:
        mounts.append(Mount("/dev/mqueue", "mqueue", "mqueue", secure))
    if own_network or cgroups.version == 2:
        mounts.append(Mount("/sys/fs/cgroup", "cgroup", "cgroup", (*secure, "relatime", mode)))
    taken = {mount.target for mount in plan.mounts}
    return [mount for mount in mounts if mount.target not in taken]


def _render_mount(mount: Mount) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        "destination": mount.target,
        "type": mount.type,
        "source": mount.source or mount.type,
    }
    if mount.options:
        rendered["options"] = list(mount.options)
    return rendered


def _render_device(device: Device) -> dict[str, Any]:
    return {
        "path": device.path,
        "type": device.type,
        "major": device.major,
        "minor": device.minor,
        "fileMode": device.mode & 0o777,
        "uid": device.uid,
        "gid": device.gid,
    }


def _render_device_rules(plan: ContainerPlan) -> list[dict[str, Any]]:
    if plan.privileged:
        return [{"allow": True, "access": "rwm"}]
    rules: list[dict[str, Any]] = [{"allow": False, "access": "rwm"}]
    given = [(device.type, device.major, device.minor, device.access) for device in plan.devices]
    for kind, major, minor, access in (*_DEVICE_RULES, *given):
        rule: dict[str, Any] = {"allow": True, "type": kind, "access": access}
        if major is not None:
            rule["major"] = major
        if minor is not None:
            rule["minor"] = minor
        rules.append(rule)
    return rules


def _render_seccomp(plan: ContainerPlan) -> dict[str, Any] | None:
    if plan.privileged or plan.seccomp == "unconfined":
        return None
    if plan.seccomp == "default":
        return render_default_profile(plan.process.capabilities)
    return _read_profile(plan.seccomp)


def _read_profile(path: str) -> dict[str, Any]:
    """Return a filter in the runtime specification's own form. Raises: UserError."""
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(
            f"the seccomp profile {path} can't be read: {reason}",
            hint="it is the linux.seccomp section of an OCI configuration",
        ) from error
