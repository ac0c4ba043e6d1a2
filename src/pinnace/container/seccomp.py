"""The default system-call filter: what Docker's default profile is known for refusing, refused here too.

Pure. A deny list, not Docker's list of some 400 allowed calls: a call that is newer than this page is allowed. Every
entry of Docker's table "significant syscalls blocked by the default profile" is in it, except those that a capability
check or a namespace already guards completely; a capability that Docker ties to a call gives it back here too.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

EPERM = 1
ENOSYS = 38
_CLONE_NEW_FLAGS = 0x7E020000  # CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET

_ALWAYS = (
    "add_key get_kernel_syms keyctl request_key io_uring_enter io_uring_register io_uring_setup "
    "move_pages nfsservctl query_module sysfs _sysctl uselib userfaultfd ustat vm86 vm86old create_module"
)

# capability -> calls that need it. Source: Docker's documentation, "Seccomp security profiles for Docker".
_GUARDED: tuple[tuple[str, str], ...] = (
    (
        "CAP_SYS_ADMIN",
        "bpf fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree "
        "perf_event_open pivot_root quotactl quotactl_fd setdomainname sethostname setns swapoff swapon umount umount2 unshare",
    ),
    ("CAP_SYS_BOOT", "reboot kexec_load kexec_file_load"),
    ("CAP_SYS_MODULE", "delete_module init_module finit_module"),
    ("CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    ("CAP_SYS_PACCT", "acct"),
    ("CAP_SYS_PTRACE", "kcmp process_madvise"),
    ("CAP_SYS_RAWIO", "iopl ioperm"),
    ("CAP_SYS_TIME", "settimeofday stime clock_settime clock_settime64"),
    ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
)


def render_default_profile(capabilities: Collection[str]) -> dict[str, Any]:
    """Return the `linux.seccomp` section for a container with these capabilities."""
    refused = _ALWAYS.split()
    for capability, calls in _GUARDED:
        if capability not in capabilities:
            refused += calls.split()
    rules: list[dict[str, Any]] = [{"names": refused, "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM}]
    if "CAP_SYS_ADMIN" not in capabilities:
        # clone3 hides its flags behind a pointer; ENOSYS makes the C library fall back to clone.
        rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS})
        rules += [_refuse_clone_with(1 << bit) for bit in range(32) if _CLONE_NEW_FLAGS >> bit & 1]
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}


def _refuse_clone_with(flag: int) -> dict[str, Any]:
    return {
        "names": ["clone"],
        "action": "SCMP_ACT_ERRNO",
        "errnoRet": EPERM,
        "args": [{"index": 0, "value": flag, "valueTwo": flag, "op": "SCMP_CMP_MASKED_EQ"}],
    }
