"""The table of checks: which counts at which level, since which version, and what it takes the place of.

Pure. Source: Kubernetes v1.37, pod-security-admission/policy/registry.go and check_*.go. A new check is a function in
`baseline.py` or `restricted.py` and a row here. Invariant: violations come in the order of the rows' ids, baseline first.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from pinnace.api.admission.podsecurity import baseline, restricted
from pinnace.api.admission.podsecurity.policy import BASELINE, PRIVILEGED, RESTRICTED, Standard
from pinnace.api.admission.podsecurity.words import Check, Violation
from pinnace.kube.objects.core_v1 import PodSpec
from pinnace.kube.objects.meta_v1 import ObjectMeta

_SYSCTLS = (
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
)
_SYSCTLS_27 = (*_SYSCTLS, "net.ipv4.ip_local_reserved_ports")
_SYSCTLS_29 = (
    *_SYSCTLS_27,
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
)
_SYSCTLS_32 = (*_SYSCTLS_29, "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem")
_SYSCTLS_37 = (*_SYSCTLS_32, "net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_notsent_lowat")


@dataclass(frozen=True, slots=True)
class Row:
    """One check. Shape: `versions` are (minor, check), oldest first; each counts until the next one does."""

    id: str
    level: str
    versions: tuple[tuple[int, Check], ...]
    replaces: str = ""

    def at(self, minor: int) -> Check | None:
        """Return the check as it was in a version; None before there was one."""
        return next((check for since, check in reversed(self.versions) if since <= minor), None)


ROWS = (
    Row("appArmorProfile", BASELINE, ((0, baseline.check_app_armor),)),
    Row("capabilities_baseline", BASELINE, ((0, baseline.check_capabilities),)),
    Row("hostNamespaces", BASELINE, ((0, baseline.check_host_namespaces),)),
    Row("hostPathVolumes", BASELINE, ((0, baseline.check_host_path),)),
    Row("hostPorts", BASELINE, ((0, baseline.check_host_ports),)),
    Row("hostProbesAndHostLifecycle", BASELINE, ((34, baseline.check_hosts),)),
    Row("privileged", BASELINE, ((0, baseline.check_privileged),)),
    Row(
        "procMount",
        BASELINE,
        ((0, baseline.check_proc_mount), (35, baseline.check_proc_mount_outside_user_namespaces)),
    ),
    Row(
        "seLinuxOptions",
        BASELINE,
        ((0, baseline.check_selinux()), (31, baseline.check_selinux("container_engine_t"))),
    ),
    Row(
        "seccompProfile_baseline",
        BASELINE,
        ((0, baseline.check_seccomp_annotations), (19, baseline.check_seccomp)),
    ),
    Row(
        "sysctls",
        BASELINE,
        (
            (0, baseline.check_sysctls(*_SYSCTLS)),
            (27, baseline.check_sysctls(*_SYSCTLS_27)),
            (29, baseline.check_sysctls(*_SYSCTLS_29)),
            (32, baseline.check_sysctls(*_SYSCTLS_32)),
            (37, baseline.check_sysctls(*_SYSCTLS_37)),
        ),
    ),
    Row("windowsHostProcess", BASELINE, ((0, baseline.check_windows_host),)),
    Row(
        "allowPrivilegeEscalation",
        RESTRICTED,
        ((8, restricted.check_escalation), (25, restricted.unless_windows(restricted.check_escalation))),
    ),
    Row(
        "capabilities_restricted",
        RESTRICTED,
        (
            (22, restricted.check_dropped_capabilities),
            (25, restricted.unless_windows(restricted.check_dropped_capabilities)),
        ),
        replaces="capabilities_baseline",
    ),
    Row("procMount_restricted", RESTRICTED, ((35, baseline.check_proc_mount),), replaces="procMount"),
    Row("restrictedVolumes", RESTRICTED, ((0, restricted.check_volumes),), replaces="hostPathVolumes"),
    Row(
        "runAsNonRoot",
        RESTRICTED,
        (
            (0, restricted.check_not_root),
            (35, restricted.unless_user_namespace(restricted.check_not_root)),
        ),
    ),
    Row(
        "runAsUser",
        RESTRICTED,
        ((23, restricted.check_user), (35, restricted.unless_user_namespace(restricted.check_user))),
    ),
    Row(
        "seccompProfile_restricted",
        RESTRICTED,
        ((19, restricted.check_seccomp_set), (25, restricted.unless_windows(restricted.check_seccomp_set))),
        replaces="seccompProfile_baseline",
    ),
)


@cache
def checks_of(standard: Standard) -> tuple[Check, ...]:
    """Return what a standard checks, in order."""
    return tuple(_find_checks(standard))


def _find_checks(standard: Standard) -> Iterator[Check]:
    if standard.level == PRIVILEGED:
        return
    levels = (BASELINE,) if standard.level == BASELINE else (BASELINE, RESTRICTED)
    counting = [row for row in ROWS if row.level in levels and row.at(standard.minor) is not None]
    replaced = {row.replaces for row in counting}
    for row in counting:
        check = row.at(standard.minor)
        if check is not None and row.id not in replaced:
            yield check


def find_violations(standard: Standard, meta: ObjectMeta, spec: PodSpec) -> tuple[Violation, ...]:
    """Return everything in a pod that a standard forbids."""
    found = (check(meta, spec) for check in checks_of(standard))
    return tuple([violation for violation in found if violation is not None])
