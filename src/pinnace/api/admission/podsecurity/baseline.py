"""The checks of the level "baseline": what is known to let a pod out of its box.

Pure, one function each; `standards.py` says which counts since when. Source: Kubernetes v1.37, pod-security-admission,
policy/check_*.go. Invariant: a check that finds nothing returns None.
"""

from collections.abc import Iterator

from pinnace.api.admission.podsecurity.words import (
    AnyContainer,
    AnyContext,
    Check,
    Violation,
    containers_of,
    context_of,
    find_setters,
    has_user_namespace,
    name_containers,
    plural,
    pod_context_of,
    quote,
)
from pinnace.kube.objects.core_v1 import LifecycleHandler, PodSpec, Probe
from pinnace.kube.objects.meta_v1 import ObjectMeta

APPARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"
SECCOMP_ANNOTATION = "container.seccomp.security.alpha.kubernetes.io/"
SECCOMP_POD_ANNOTATION = "seccomp.security.alpha.kubernetes.io/pod"
PROFILES = ("RuntimeDefault", "Localhost")

DEFAULT_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)


def check_app_armor(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    """No profile but the runtime's own, or one of the host's."""
    values: set[str] = set()

    def is_bad(context: AnyContext) -> bool:
        profile = context.app_armor_profile
        if profile is None or profile.type in PROFILES:
            return False
        values.add(profile.type)
        return True

    setters = find_setters(spec, is_bad)
    annotations = [
        f'{key}="{value}"'
        for key, value in sorted(meta.annotations.items())
        if key.startswith(APPARMOR_ANNOTATION) and not _allows_annotation(value)
    ]
    who = [str(setters)] if setters else []
    if annotations:
        who.append(plural("annotation", "annotations", len(annotations)))
    if not who:
        return None
    listed = [*sorted(values), *annotations]
    return Violation(
        plural("forbidden AppArmor profile", "forbidden AppArmor profiles", len(listed)),
        f"{' and '.join(who)} must not set AppArmor profile type to {quote(listed)}",
    )


def _allows_annotation(value: str) -> bool:
    return value in ("", "runtime/default") or value.startswith("localhost/")


def check_capabilities(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    """No capability beyond those that containers have anyway."""
    added: set[str] = set()
    bad: list[str] = []
    for container in containers_of(spec):
        capabilities = context_of(container).capabilities
        beyond = set(capabilities.add) - DEFAULT_CAPABILITIES if capabilities is not None else set()
        if beyond:
            bad.append(container.name)
            added |= beyond
    if not bad:
        return None
    return Violation(
        "non-default capabilities",
        f"{name_containers(bad)} must not include {quote(sorted(added))} in securityContext.capabilities.add",
    )


def check_host_namespaces(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    """No network, processes or memory of the host."""
    shared = [
        f"{name}=true"
        for name, value in (
            ("hostNetwork", spec.host_network),
            ("hostPID", spec.host_pid),
            ("hostIPC", spec.host_ipc),
        )
        if value
    ]
    return Violation("host namespaces", ", ".join(shared)) if shared else None


def check_host_path(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    """No files of the host."""
    names = [volume.name for volume in spec.volumes if volume.host_path is not None]
    if not names:
        return None
    return Violation("hostPath volumes", f"{plural('volume', 'volumes', len(names))} {quote(names)}")


def check_host_ports(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    """No ports of the host."""
    ports: set[str] = set()
    bad: list[str] = []
    for container in containers_of(spec):
        used = {str(port.host_port) for port in container.ports if port.host_port}
        if used:
            bad.append(container.name)
            ports |= used
    if not bad:
        return None
    uses, words = plural("uses", "use", len(bad)), plural("hostPort", "hostPorts", len(ports))
    return Violation("hostPort", f"{name_containers(bad)} {uses} {words} {', '.join(sorted(ports))}")


def check_hosts(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    """No probe or hook that asks another host."""
    bad: set[str] = set()
    hosts: set[str] = set()
    for container in containers_of(spec):
        found = set(_asked_hosts(container))
        if found:
            bad.add(container.name)
            hosts |= found
    if not bad:
        return None
    uses = plural("uses", "use", len(bad))
    words = plural("probe or lifecycle host", "probe or lifecycle hosts", len(hosts))
    return Violation(
        "probe or lifecycle host", f"{name_containers(sorted(bad))} {uses} {words} {quote(sorted(hosts))}"
    )


def _asked_hosts(container: AnyContainer) -> Iterator[str]:
    hooks = container.lifecycle
    actions: list[Probe | LifecycleHandler | None] = [
        container.liveness_probe,
        container.readiness_probe,
        container.startup_probe,
    ]
    if hooks is not None:
        actions += [hooks.post_start, hooks.pre_stop]
    for action in actions:
        for asked in (action.http_get, action.tcp_socket) if action is not None else ():
            if asked is not None and asked.host:
                yield asked.host


def check_privileged(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    """No container that may do everything."""
    bad = [each.name for each in containers_of(spec) if context_of(each).privileged]
    if not bad:
        return None
    return Violation("privileged", f"{name_containers(bad)} must not set securityContext.privileged=true")


def check_proc_mount(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    """No /proc that shows what is hidden by default."""
    types: set[str] = set()
    bad: list[str] = []
    for container in containers_of(spec):
        given = context_of(container).proc_mount
        if given and given != "Default":
            bad.append(container.name)
            types.add(given)
    if not bad:
        return None
    return Violation(
        "procMount",
        f"{name_containers(bad)} must not set securityContext.procMount to {quote(sorted(types))}",
    )


def check_proc_mount_outside_user_namespaces(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    """As `check_proc_mount`, but a pod in a user namespace may."""
    return None if has_user_namespace(spec) else check_proc_mount(meta, spec)


def check_seccomp_annotations(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    """The annotations that were there before the field."""
    keys = [SECCOMP_POD_ANNOTATION, *(SECCOMP_ANNOTATION + each.name for each in containers_of(spec))]
    bad = sorted(
        {
            f'{key}="{meta.annotations[key]}"'
            for key in keys
            if key in meta.annotations and not _allows_seccomp(meta.annotations[key])
        }
    )
    if not bad:
        return None
    return Violation(
        "seccompProfile", f"forbidden {plural('annotation', 'annotations', len(bad))} {', '.join(bad)}"
    )


def _allows_seccomp(value: str) -> bool:
    return value in ("runtime/default", "docker/default") or value.startswith("localhost/")


def check_seccomp(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    """No seccomp profile switched off."""
    values: set[str] = set()

    def is_bad(context: AnyContext) -> bool:
        profile = context.seccomp_profile
        if profile is None or profile.type in PROFILES:
            return False
        values.add(profile.type)
        return True

    setters = find_setters(spec, is_bad)
    if not setters:
        return None
    words = f"{setters} must not set securityContext.seccompProfile.type to {quote(sorted(values))}"
    return Violation("seccompProfile", words)


def check_selinux(*types: str) -> Check:
    """No SELinux user or role of one's own, and only these types."""
    allowed = frozenset({"", "container_t", "container_init_t", "container_kvm_t", *types})

    def check(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
        bad_types: set[str] = set()
        sets: set[str] = set()

        def is_bad(context: AnyContext) -> bool:
            options = context.se_linux_options
            if options is None:
                return False
            if options.type not in allowed:
                bad_types.add(options.type)
            sets.update(word for word in ("user", "role") if getattr(options, word))
            return options.type not in allowed or bool(options.user or options.role)

        setters = find_setters(spec, is_bad)
        if not setters:
            return None
        parts = [f"{word} may not be set" for word in ("user", "role") if word in sets]
        if bad_types:
            parts.insert(0, f"{plural('type', 'types', len(bad_types))} {quote(sorted(bad_types))}")
        return Violation(
            "seLinuxOptions", f"{setters} set forbidden securityContext.seLinuxOptions: {'; '.join(parts)}"
        )

    return check


def check_sysctls(*names: str) -> Check:
    """No sysctls but these, which stay within the pod."""
    allowed = frozenset(names)

    def check(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
        bad = [each.name for each in pod_context_of(spec).sysctls if each.name not in allowed]
        return Violation("forbidden sysctls", ", ".join(bad)) if bad else None

    return check


def check_windows_host(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    """No process of a Windows host."""
    setters = find_setters(
        spec,
        lambda context: context.windows_options is not None and bool(context.windows_options.host_process),
    )
    if not setters:
        return None
    return Violation("hostProcess", f"{setters} must not set securityContext.windowsOptions.hostProcess=true")
