"""Checks security contexts, of pods and of containers. Pure.

Source: Kubernetes v1.36, pkg/apis/core/validation, ValidateSecurityContext, validatePodSpecSecurityContext and the checks
of profiles, sysctls and operating systems.
"""

import re
from collections.abc import Iterator
from typing import Any

from msgspec.structs import fields

from pinnace.api.validation.paths import validate_local_path
from pinnace.api.validation.problems import Problems
from pinnace.kube.objects.core_v1 import (
    AppArmorProfile,
    PodSecurityContext,
    PodSpec,
    SeccompProfile,
    SecurityContext,
    WindowsSecurityContextOptions,
)

_ID_MOST = 2**31 - 1
_TYPES = ("Localhost", "RuntimeDefault", "Unconfined")
_PROFILE_BYTES = 4095
_SYSCTL = r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL_RE = re.compile(_SYSCTL)
_SYSCTL_MOST = 253
_NETBIOS_RE = re.compile(r'[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}')
_DOMAIN_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_DOMAIN_RE = re.compile(rf"{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})*")
_NET_SYSCTLS = ("net.",)
_IPC_SYSCTLS = ("kernel.sem", "kernel.msg", "kernel.shm", "fs.mqueue.")
_NOT_ON_WINDOWS = "cannot be set for a windows pod"
_NOT_ON_LINUX = "windows options cannot be set for a linux pod"


def validate_security(context: SecurityContext, path: str, problems: Problems, *, host_users: bool) -> None:
    """Check a container's context."""
    problems.within(f"{path}.runAsUser", context.run_as_user, 0, _ID_MOST)
    problems.within(f"{path}.runAsGroup", context.run_as_group, 0, _ID_MOST)
    problems.one_of(f"{path}.procMount", context.proc_mount, ("Default", "Unmasked"))
    if host_users and context.proc_mount == "Unmasked":
        words = "`hostUsers` must be false to use `Unmasked`"
        problems.invalid(f"{path}.procMount", context.proc_mount, words)
    _validate_seccomp(context.seccomp_profile, f"{path}.seccompProfile", problems)
    if context.allow_privilege_escalation is False:
        if context.privileged:
            words = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            problems.invalid(path, context, words)
        if context.capabilities is not None and "CAP_SYS_ADMIN" in context.capabilities.add:
            words = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            problems.invalid(path, context, words)
    _validate_windows_options(context.windows_options, f"{path}.windowsOptions", problems)
    _validate_apparmor(context.app_armor_profile, f"{path}.appArmorProfile", problems)


def validate_pod_security(spec: PodSpec, path: str, problems: Problems) -> None:
    """Check a pod's context; `path` is the spec's."""
    context = spec.security_context
    if context is None:
        return
    where = f"{path}.securityContext"
    problems.within(f"{where}.fsGroup", context.fs_group, 0, _ID_MOST)
    problems.within(f"{where}.runAsUser", context.run_as_user, 0, _ID_MOST)
    problems.within(f"{where}.runAsGroup", context.run_as_group, 0, _ID_MOST)
    for index, group in enumerate(context.supplemental_groups):
        problems.within(f"{where}.supplementalGroups[{index}]", group, 0, _ID_MOST)
    if spec.share_process_namespace and spec.host_pid:
        words = "ShareProcessNamespace and HostPID cannot both be enabled"
        problems.invalid(f"{where}.shareProcessNamespace", True, words)
    _validate_sysctls(context, spec, f"{where}.sysctls", problems)
    problems.one_of(
        f"{where}.fsGroupChangePolicy", context.fs_group_change_policy, ("Always", "OnRootMismatch")
    )
    _validate_seccomp(context.seccomp_profile, f"{where}.seccompProfile", problems)
    _validate_windows_options(context.windows_options, f"{where}.windowsOptions", problems)
    _validate_apparmor(context.app_armor_profile, f"{where}.appArmorProfile", problems)
    problems.one_of(
        f"{where}.supplementalGroupsPolicy", context.supplemental_groups_policy, ("Merge", "Strict")
    )
    problems.one_of(
        f"{where}.seLinuxChangePolicy", context.se_linux_change_policy, ("MountOption", "Recursive")
    )


def _validate_sysctls(context: PodSecurityContext, spec: PodSpec, path: str, problems: Problems) -> None:
    names: set[str] = set()
    for index, sysctl in enumerate(context.sysctls):
        where, name = f"{path}[{index}].name", sysctl.name
        if not name:
            problems.required(where)
        elif len(name) > _SYSCTL_MOST or not _SYSCTL_RE.fullmatch(name):
            words = f"must have at most {_SYSCTL_MOST} characters and match regex ^{_SYSCTL}$"
            problems.invalid(where, name, words)
        elif name in names:
            problems.duplicate(where, name)
        names.add(name)
        dotted = name.replace("/", ".")
        if spec.host_network and dotted.startswith(_NET_SYSCTLS):
            problems.invalid(where, name, "may not be specified when 'hostNetwork' is true")
        elif spec.host_ipc and dotted.startswith(_IPC_SYSCTLS):
            problems.invalid(where, name, "may not be specified when 'hostIPC' is true")


def _validate_seccomp(profile: SeccompProfile | None, path: str, problems: Problems) -> None:
    if profile is None:
        return
    if not profile.type:
        problems.required(f"{path}.type", "type is required when seccompProfile is set")
    elif profile.type not in _TYPES:
        problems.not_supported(f"{path}.type", profile.type, _TYPES)
    where = f"{path}.localhostProfile"
    if profile.type == "Localhost":
        if not profile.localhost_profile:
            problems.required(where, "must be set when seccomp type is Localhost")
        else:
            validate_local_path(profile.localhost_profile, where, problems)
    elif profile.localhost_profile:
        problems.invalid(where, profile, "can only be set when seccomp type is Localhost")


def _validate_apparmor(profile: AppArmorProfile | None, path: str, problems: Problems) -> None:
    if profile is None:
        return
    name, where = profile.localhost_profile, f"{path}.localhostProfile"
    if profile.type == "Localhost":
        if not name.strip():
            problems.required(where, "must be set when AppArmor type is Localhost")
        elif name != name.strip():
            problems.invalid(where, name, "must not be padded with whitespace")
        if len(name) > _PROFILE_BYTES:
            problems.too_long(where, _PROFILE_BYTES)
    elif profile.type in ("RuntimeDefault", "Unconfined"):
        if name:
            problems.invalid(where, name, "can only be set when AppArmor type is Localhost")
    elif not profile.type:
        problems.required(f"{path}.type", "type is required when appArmorProfile is set")
    else:
        problems.not_supported(f"{path}.type", profile.type, _TYPES)


_SPEC_BYTES = 64 * 1024


def _validate_windows_options(
    options: WindowsSecurityContextOptions | None, path: str, problems: Problems
) -> None:
    if options is None:
        return
    if len(options.gmsa_credential_spec.encode()) > _SPEC_BYTES:
        words = "gmsaCredentialSpec size must be under 64 KiB"
        problems.invalid(f"{path}.gmsaCredentialSpec", options.gmsa_credential_spec, words)
    where, name = f"{path}.runAsUserName", options.run_as_user_name
    if not name:
        return
    parts = name.split("\\")
    if any(ord(c) < 32 or ord(c) == 127 for c in name):
        problems.invalid(where, name, "runAsUserName cannot contain control characters")
    elif len(parts) > 2:
        problems.invalid(where, name, "runAsUserName cannot contain more than one backslash")
    else:
        domain, user = parts if len(parts) == 2 else ("", parts[0])
        if len(domain) >= 256:
            problems.invalid(where, name, "runAsUserName's Domain length must be under 256 characters")
        if len(parts) == 2 and not (_NETBIOS_RE.fullmatch(domain) or _DOMAIN_RE.fullmatch(domain)):
            words = "runAsUserName's Domain doesn't match the NetBios nor the DNS format"
            problems.invalid(where, name, words)
        if not user:
            problems.invalid(where, name, "runAsUserName's User cannot be empty")
        elif len(user) > 104:
            problems.invalid(
                where, name, "runAsUserName's User length must not be longer than 104 characters"
            )
        if user and re.fullmatch(r"[. ]+", user):
            problems.invalid(where, name, "runAsUserName's User cannot contain only periods or spaces")
        if re.search(r'["/\\:;|=,+*?<>@\[\]]', user):
            words = "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"
            problems.invalid(where, name, words)


def contexts_of(spec: PodSpec, path: str) -> Iterator[tuple[str, SecurityContext]]:
    """Yield the security contexts of all containers with their paths."""
    lists: tuple[tuple[str, tuple[Any, ...]], ...] = (
        ("initContainers", spec.init_containers),
        ("containers", spec.containers),
        ("ephemeralContainers", spec.ephemeral_containers),
    )
    for name, containers in lists:
        for index, container in enumerate(containers):
            if container.security_context is not None:
                yield f"{path}.{name}[{index}].securityContext", container.security_context


def validate_os(spec: PodSpec, path: str, problems: Problems) -> None:
    """Check that a pod that names its operating system asks for nothing that the system hasn't."""
    assert spec.os is not None
    if not spec.os.name:
        problems.required(f"{path}.os.name", "cannot be empty")
    elif spec.os.name == "linux":
        pod = spec.security_context
        if pod is not None and pod.windows_options is not None:
            problems.forbidden(f"{path}.securityContext.windowsOptions", _NOT_ON_LINUX)
        for where, context in contexts_of(spec, path):
            if context.windows_options is not None:
                problems.forbidden(f"{where}.windowsOptions", _NOT_ON_LINUX)
    elif spec.os.name == "windows":
        _validate_windows(spec, path, problems)
    else:
        problems.not_supported(f"{path}.os", spec.os.name, ("linux", "windows"))


def _validate_windows(spec: PodSpec, path: str, problems: Problems) -> None:
    for wire, value in (
        ("hostUsers", spec.host_users),
        ("hostPID", spec.host_pid or None),
        ("hostIPC", spec.host_ipc or None),
        ("shareProcessNamespace", spec.share_process_namespace),
    ):
        if value is not None:
            problems.forbidden(f"{path}.{wire}", _NOT_ON_WINDOWS)
    if spec.security_context is not None:
        _forbid_all_but(spec.security_context, f"{path}.securityContext", problems)
    for where, context in contexts_of(spec, path):
        _forbid_all_but(context, where, problems)


_FOR_ALL = ("run_as_non_root", "windows_options", "se_linux_change_policy")


def _forbid_all_but(context: Any, path: str, problems: Problems) -> None:
    """Forbid every field that has no meaning on Windows."""
    for field in fields(context):
        value = getattr(context, field.name)
        if field.name not in _FOR_ALL and value not in (None, "", ()):
            problems.forbidden(f"{path}.{field.encode_name}", _NOT_ON_WINDOWS)
