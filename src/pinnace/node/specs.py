"""Decides what sandbox and containers a pod means: specs for `sandbox/`, from the pod's object and resolved facts.

Pure. Called by `host` before each create. Source: Kubernetes, pkg/kubelet/kuberuntime (generateContainerConfig) and
pkg/kubelet/network/dns (behaviour).
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pinnace.api.defaults.qos import compute_qos_class
from pinnace.base.errors import UserError
from pinnace.container.cgroup import Limits
from pinnace.container.plan import Mount, bind
from pinnace.kube.objects.core_v1 import Container, Pod, PodSecurityContext, SecurityContext, VolumeMount
from pinnace.kube.quantity import cpu_milli, to_bytes
from pinnace.node.environment import expand
from pinnace.sandbox.spec import ContainerSpec, HostEntry, SandboxSpec

MESSAGE_POLICY_LABEL = (
    "io.kubernetes.container.terminationMessagePolicy"  # Source: pkg/kubelet/kuberuntime/labels.go
)
TERMINATION_PATH = "/dev/termination-log"  # Source: core/v1, TerminationMessagePathDefault
MAX_NAMESERVERS = 3  # what libc reads
OOM_GUARANTEED, OOM_BEST_EFFORT = -997, 1000  # Source: pkg/kubelet/qos/policy.go


@dataclass(frozen=True, slots=True)
class DnsFacts:
    """Where pods ask for names. `host_resolv_conf` is the host's own file."""

    cluster_ip: str
    domain: str
    host_resolv_conf: str


def sandbox_id(uid: str) -> str:
    """Return the id of a pod's sandbox."""
    return f"pod-{uid}"


def container_id(uid: str, name: str, attempt: int) -> str:
    """Return the id of one attempt of a container. Example: "pod-4f…-app-0"."""
    return f"pod-{uid}-{name}-{attempt}"


def compute_sandbox_spec(pod: Pod, dns: DnsFacts) -> SandboxSpec:
    """Return the surroundings that the pod's containers share."""
    spec = pod.spec
    hostname = spec.hostname or pod.metadata.name
    domain = f"{spec.subdomain}.{pod.metadata.namespace}.svc.{dns.domain}" if spec.subdomain else ""
    sysctls = {s.name: s.value for s in spec.security_context.sysctls} if spec.security_context else {}
    return SandboxSpec(
        id=sandbox_id(pod.metadata.uid),
        hostname=hostname[:63].rstrip("-."),
        domain=domain,
        network="host" if spec.host_network else "pod",
        resolv_conf=compute_resolv_conf(pod, dns),
        hosts=tuple(HostEntry(alias.ip, alias.hostnames) for alias in spec.host_aliases),
        labels={
            "io.kubernetes.pod.name": pod.metadata.name,
            "io.kubernetes.pod.namespace": pod.metadata.namespace,
            "io.kubernetes.pod.uid": pod.metadata.uid,
        },
        limits=compute_pod_limits(pod),
        share_processes=bool(spec.share_process_namespace),
        host_pid=bool(spec.host_pid),
        host_ipc=bool(spec.host_ipc),
        sysctls=sysctls,
    )


def compute_pod_limits(pod: Pod) -> Limits:
    """Return the limits of the pod's own cgroup: the sum of its containers' requests, and of limits if all have one.

    Source: Kubernetes, pkg/kubelet/cm/helpers_linux.go, ResourceConfigForPod.
    """
    each = [compute_limits(c) for c in pod.spec.containers]
    cpu = [limits.cpu_limit_milli for limits in each]
    memory = [limits.memory_bytes for limits in each]
    return Limits(
        cpu_request_milli=sum(limits.cpu_request_milli or 0 for limits in each),
        cpu_limit_milli=None if None in cpu or pod.spec.init_containers else sum(c for c in cpu if c),
        memory_bytes=None if None in memory or pod.spec.init_containers else sum(m for m in memory if m),
    )


def widest(one: Limits, other: Limits) -> Limits:
    """Return the larger of each limit; none is larger than any."""

    def larger(a: int | None, b: int | None) -> int | None:
        return None if a is None or b is None else max(a, b)

    return Limits(
        cpu_request_milli=larger(one.cpu_request_milli, other.cpu_request_milli),
        cpu_limit_milli=larger(one.cpu_limit_milli, other.cpu_limit_milli),
        memory_bytes=larger(one.memory_bytes, other.memory_bytes),
    )


def compute_limits(container: Container) -> Limits:
    """Return the cgroup limits of one container."""
    requests, limits = container.resources.requests, container.resources.limits
    request = requests.get("cpu", limits.get("cpu"))
    return Limits(
        cpu_request_milli=cpu_milli(request) if request is not None else 0,
        cpu_limit_milli=cpu_milli(limits["cpu"]) if "cpu" in limits else None,
        memory_bytes=to_bytes(limits["memory"]) if "memory" in limits else None,
        oom_group=True,
    )


def compute_resolv_conf(pod: Pod, dns: DnsFacts) -> str:
    """Return the pod's /etc/resolv.conf. Source: Kubernetes, "DNS for Services and Pods", pod's DNS policy."""
    spec = pod.spec
    host_servers, host_searches, host_options = parse_resolv_conf(dns.host_resolv_conf)
    policy = spec.dns_policy or "ClusterFirst"
    if policy == "None":
        servers, searches, options = [], [], []
    elif policy == "Default" or (policy == "ClusterFirst" and spec.host_network):
        servers, searches, options = host_servers, host_searches, host_options
    else:
        cluster = dns.domain
        servers = [dns.cluster_ip]
        searches = [f"{pod.metadata.namespace}.svc.{cluster}", f"svc.{cluster}", cluster, *host_searches]
        options = ["ndots:5"]
    if spec.dns_config is not None:
        servers = [*servers, *spec.dns_config.nameservers]
        searches = [*searches, *spec.dns_config.searches]
        named = [o.name if not o.value else f"{o.name}:{o.value}" for o in spec.dns_config.options]
        replaced = {option.partition(":")[0] for option in named}
        options = [o for o in options if o.partition(":")[0] not in replaced] + named
    lines = [f"nameserver {server}" for server in dict.fromkeys(servers[:MAX_NAMESERVERS])]
    if searches:
        lines.append(f"search {' '.join(dict.fromkeys(searches))}")
    if options:
        lines.append(f"options {' '.join(options)}")
    return "\n".join(lines) + "\n"


def parse_resolv_conf(text: str) -> tuple[list[str], list[str], list[str]]:
    """Return the name servers, search domains and options of a resolv.conf."""
    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        words = line.split("#")[0].split()
        match words:
            case ["nameserver", server, *_]:
                servers.append(server)
            case ["search" | "domain", *domains]:
                searches = domains
            case ["options", *more]:
                options += more
            case _:
                pass
    return servers, searches, options


def compute_container_spec(
    pod: Pod,
    container: Container,
    attempt: int,
    *,
    image_id: str,
    image_user: str,
    env: Mapping[str, str],
    volumes: Mapping[str, Path],
    termination_file: Path,
    log_path: Path,
    node_memory_bytes: int,
) -> ContainerSpec:
    """Return what `sandbox/` shall create. Raises: UserError for what the pod may not do (CreateContainerConfigError)."""
    security = container.security_context or SecurityContext()
    shared = pod.spec.security_context or PodSecurityContext()
    uid = security.run_as_user if security.run_as_user is not None else shared.run_as_user
    gid = security.run_as_group if security.run_as_group is not None else shared.run_as_group
    _check_user(security, shared, uid, image_user)
    groups: tuple[int, ...] = shared.supplemental_groups
    if shared.fs_group is not None:
        groups = (*groups, shared.fs_group)
    capabilities = security.capabilities
    mounts = [compute_mount(pod, mount, volumes, env) for mount in container.volume_mounts]
    mounts.append(bind(str(termination_file), container.termination_message_path or TERMINATION_PATH))
    profile = security.seccomp_profile or shared.seccomp_profile
    return ContainerSpec(
        id=container_id(pod.metadata.uid, container.name, attempt),
        name=container.name,
        image=image_id,
        command=tuple(expand(word, env) for word in container.command) or None,
        args=tuple(expand(word, env) for word in container.args) or None,
        env=tuple(f"{name}={value}" for name, value in env.items()),
        cwd=container.working_dir,
        uid=uid,
        gid=gid,
        groups=groups,
        mounts=tuple(mounts),
        limits=compute_limits(container),
        tty=bool(container.tty),
        stdin=bool(container.stdin),
        stdin_once=bool(container.stdin_once),
        privileged=bool(security.privileged),
        capabilities_add=capabilities.add if capabilities else (),
        capabilities_drop=capabilities.drop if capabilities else (),
        no_new_privileges=security.allow_privilege_escalation is False,
        read_only_root=bool(security.read_only_root_filesystem),
        seccomp="default" if profile is not None and profile.type == "RuntimeDefault" else "unconfined",
        unmasked_proc=security.proc_mount == "Unmasked",
        oom_score_adj=compute_oom_score(pod, container, node_memory_bytes),
        labels={
            "io.kubernetes.container.name": container.name,
            "io.kubernetes.container.attempt": str(attempt),
            MESSAGE_POLICY_LABEL: container.termination_message_policy,
        },
        log_path=str(log_path),
        volatile=True,  # after a crash of the machine a pod's container is made anew
    )


def compute_mount(pod: Pod, mount: VolumeMount, volumes: Mapping[str, Path], env: Mapping[str, str]) -> Mount:
    """Return the bind mount that a volume mount means."""
    source = volumes[mount.name]
    sub_path = expand(mount.sub_path_expr, env) if mount.sub_path_expr else mount.sub_path
    if sub_path:
        clean = posixpath.normpath(sub_path)
        if clean.startswith(("/", "..")):
            raise UserError(f"subPath {sub_path!r} of volume {mount.name} leaves the volume")
        source = source / clean
    volume = next(v for v in pod.spec.volumes if v.name == mount.name)
    from_objects = any((volume.config_map, volume.secret, volume.downward_api, volume.projected))
    propagation = {"Bidirectional": "rshared", "HostToContainer": "rslave"}.get(
        mount.mount_propagation, "rprivate"
    )
    return bind(
        str(source),
        mount.mount_path,
        read_only=bool(mount.read_only) or from_objects,
        propagation=propagation,
    )


def compute_oom_score(pod: Pod, container: Container, node_memory_bytes: int) -> int:
    """Return how readily the kernel ends the container when the machine's memory is full.

    Source: Kubernetes, pkg/kubelet/qos/policy.go. Example: a Burstable request of half of the memory gives 500.
    """
    qos = pod.status.qos_class or compute_qos_class(pod.spec)
    if qos == "Guaranteed":
        return OOM_GUARANTEED
    if qos == "BestEffort":
        return OOM_BEST_EFFORT
    request = container.resources.requests.get("memory", container.resources.limits.get("memory", 0))
    score = 1000 - (1000 * to_bytes(request)) // max(1, node_memory_bytes)
    return int(min(max(score, 1000 + OOM_GUARANTEED), OOM_BEST_EFFORT - 1))


def _check_user(
    security: SecurityContext,
    shared: PodSecurityContext,
    uid: int | None,
    image_user: str,
) -> None:
    wanted = security.run_as_non_root if security.run_as_non_root is not None else shared.run_as_non_root
    if not wanted:
        return
    name = image_user.partition(":")[0]
    if uid == 0:
        raise UserError("container's runAsUser breaks non-root policy")
    if uid is None and name in ("", "0", "root"):
        raise UserError(
            "container has runAsNonRoot and image will run as root",
            "set runAsUser, or USER in the Dockerfile",
        )
    if uid is None and not name.isdigit():
        raise UserError(
            f"container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root",
            "set runAsUser, or a numeric USER in the Dockerfile",
        )
