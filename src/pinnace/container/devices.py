"""Reads device nodes of the host for containers that are given some, or all of them (privileged). A doer, read-only."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pinnace.container.plan import Device

# Folders of /dev that the container has of its own. Source: moby, oci/devices_linux.go, and libcontainer/devices.
_OWN = frozenset({"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"})
_OWN_NODES = frozenset({"console", "ptmx", "tty", "null", "zero", "full", "random", "urandom"})


def find_all_devices() -> tuple[Device, ...]:
    """Return all devices of the host, for a privileged container."""
    devices: list[Device] = []
    for base, folders, names in os.walk("/dev"):
        if base == "/dev":
            folders[:] = [name for name in folders if name not in _OWN]
            names = [name for name in names if name not in _OWN_NODES]
        devices += [
            device for name in sorted(names) if (device := _read(Path(base, name), f"{base}/{name}", "rwm"))
        ]
    return tuple(devices)


def _read(path: Path, target: str, access: str) -> Device | None:
    try:
        facts = path.lstat()
    except OSError:
        return None
    kind = "c" if stat.S_ISCHR(facts.st_mode) else "b" if stat.S_ISBLK(facts.st_mode) else None
    if kind is None:
        return None
    return Device(
        path=target,
        type=kind,
        major=os.major(facts.st_rdev),
        minor=os.minor(facts.st_rdev),
        access=access,
        mode=stat.S_IMODE(facts.st_mode),
        uid=facts.st_uid,
        gid=facts.st_gid,
    )
