"""Decides which capabilities a container has. Pure.

Invariant: never more than the daemon itself holds, or the runtime would refuse to start the container.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence


def _names(text: str) -> tuple[str, ...]:
    return tuple(f"CAP_{name}" for name in text.split())


# In the kernel's order, so that a name's position is its bit. Source: Linux, include/uapi/linux/capability.h.
ALL_CAPABILITIES = _names(
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)

# Source: Docker's documentation, "Runtime privilege and Linux capabilities", the table of those granted by default.
DEFAULT_CAPABILITIES = _names(
    "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP"
)


def parse_capability(name: str) -> str:
    """Return the kernel's name. Example: "net_admin" and "CAP_NET_ADMIN" are both CAP_NET_ADMIN."""
    upper = name.upper()
    return upper if upper == "ALL" or upper.startswith("CAP_") else f"CAP_{upper}"


def compute_capabilities(
    *,
    add: Sequence[str] = (),
    drop: Sequence[str] = (),
    privileged: bool = False,
    held: Collection[str] = ALL_CAPABILITIES,
) -> tuple[str, ...]:
    """Return the set for a container, in the kernel's order. `held` is what the daemon has.

    Example: drop ALL, add NET_ADMIN leaves (CAP_NET_ADMIN,).
    """
    added, dropped = {parse_capability(name) for name in add}, {parse_capability(name) for name in drop}
    chosen = set(ALL_CAPABILITIES) if privileged or "ALL" in added else set(DEFAULT_CAPABILITIES)
    if privileged:
        return tuple(name for name in ALL_CAPABILITIES if name in held)
    if "ALL" in dropped:
        chosen = set(ALL_CAPABILITIES) if "ALL" in added else set()
    chosen = (chosen | added) - dropped
    return tuple(name for name in ALL_CAPABILITIES if name in chosen and name in held)


def parse_mask(mask: str) -> frozenset[str]:
    """Return the names in a hexadecimal mask, as /proc/PID/status prints it."""
    bits = int(mask, 16)
    return frozenset(name for bit, name in enumerate(ALL_CAPABILITIES) if bits >> bit & 1)
