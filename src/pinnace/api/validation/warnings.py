"""What is legal in a pod or a pod template, and yet most likely not meant. Pure.

Source: Kubernetes v1.36, pkg/api/pod/warnings.go and pkg/api/node/util.go.
"""

from collections.abc import Iterator, Mapping

from pinnace.api.validation.mapped_paths import find_overlaps
from pinnace.api.validation.names import check_label_name
from pinnace.kube.objects.core_v1 import (
    Affinity,
    Container,
    ContainerPort,
    NodeSelectorTerm,
    Pod,
    PodAffinityTerm,
    PodSpec,
    PodTemplateSpec,
)
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.kube.quantity import NANO, canonical, parse_quantity

DEPRECATED_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
}
_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": 'non-functional in v1.16+; use the "priorityClassName" field instead',
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
}
DEPRECATED_VOLUMES = {
    "photon_persistent_disk": ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    "git_repo": ("gitRepo", "deprecated in v1.11"),
    "scale_io": ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    "flocker": ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    "storageos": ("storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    "quobyte": ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    "glusterfs": ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    "cephfs": ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    "rbd": ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
}
_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_USE_SECCOMP = 'non-functional in v1.27+; use the "seccompProfile" field instead'
_NULL_SELECTOR = "a null labelSelector results in matching no pod"
_WHOLE_BYTES = ("memory", "ephemeral-storage")


def find_pod_warnings(pod: Pod) -> Iterator[str]:
    """Yield sentences for the person who wrote the pod."""
    wrong = check_label_name(pod.metadata.name) if pod.metadata.name else ()
    if wrong:
        yield (
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; "
            f"a DNS label is recommended: [{' '.join(wrong)}]"
        )
    yield from _find(pod.spec, pod.metadata, "", is_template=False)


def find_template_warnings(template: PodTemplateSpec, path: str) -> Iterator[str]:
    """Yield sentences for the person who wrote the template; `path` is where it stands, like "spec.template"."""
    yield from _find(template.spec, template.metadata, f"{path}.", is_template=True)


def _find(spec: PodSpec, meta: ObjectMeta, at: str, *, is_template: bool) -> Iterator[str]:
    path = f"{at}spec"
    annotations = f"{at}metadata.annotations"
    for key in spec.node_selector:
        if key in DEPRECATED_LABELS:
            yield f"{path}.nodeSelector[{key}]: {DEPRECATED_LABELS[key]}"
    if spec.affinity is not None:
        yield from _find_in_node_affinity(spec.affinity, f"{path}.affinity.nodeAffinity")
    for index, constraint in enumerate(spec.topology_spread_constraints):
        where = f"{path}.topologySpreadConstraints[{index}]"
        if constraint.topology_key in DEPRECATED_LABELS:
            yield f"{where}.topologyKey: {constraint.topology_key} is {DEPRECATED_LABELS[constraint.topology_key]}"
        if constraint.label_selector is None:
            yield f"{where}.labelSelector: {_NULL_SELECTOR}"
    for key, sentence in _ANNOTATIONS.items():
        if key in meta.annotations:
            yield f"{annotations}[{key}]: {sentence}"
    for index, volume in enumerate(spec.volumes):
        for attribute, (wire, sentence) in DEPRECATED_VOLUMES.items():
            if getattr(volume, attribute) is not None:
                yield f"{path}.volumes[{index}].{wire}: {sentence}"
    yield from find_overlaps(spec.volumes)
    yield from _find_in_lists(spec, path)
    yield from _find_fractions(spec.overhead, f"{path}.overhead")
    if meta.annotations:
        yield from _find_profiles(spec, meta, annotations, is_template)
    for where, container in _containers(spec, path):
        yield from _find_in_container(container, where)
    yield from _find_in_ports(spec, path)
    if (spec.termination_grace_period_seconds or 0) < 0:
        yield (
            f"{path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
        )
    if spec.affinity is not None:
        yield from _find_in_pod_affinity(spec.affinity, f"{path}.affinity")


def _containers(spec: PodSpec, path: str) -> Iterator[tuple[str, Container]]:
    for name, containers in (("initContainers", spec.init_containers), ("containers", spec.containers)):
        for index, container in enumerate(containers):
            yield f"{path}.{name}[{index}]", container


def _find_in_node_affinity(affinity: Affinity, path: str) -> Iterator[str]:
    node = affinity.node_affinity
    if node is None:
        return
    required = node.required_during_scheduling_ignored_during_execution
    for index, term in enumerate(required.node_selector_terms if required is not None else ()):
        where = f"{path}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[{index}]"
        yield from _find_in_term(term, where)
    for index, preferred in enumerate(node.preferred_during_scheduling_ignored_during_execution):
        if preferred.preference is not None:
            where = f"{path}.preferredDuringSchedulingIgnoredDuringExecution[{index}].preference"
            yield from _find_in_term(preferred.preference, where)


def _find_in_term(term: NodeSelectorTerm, path: str) -> Iterator[str]:
    for index, expression in enumerate(term.match_expressions):
        if expression.key in DEPRECATED_LABELS:
            yield f"{path}.matchExpressions[{index}].key: {expression.key} is {DEPRECATED_LABELS[expression.key]}"


def _find_in_pod_affinity(affinity: Affinity, path: str) -> Iterator[str]:
    for name, pods in (
        ("podAffinity", affinity.pod_affinity),
        ("podAntiAffinity", affinity.pod_anti_affinity),
    ):
        if pods is None:
            continue
        for index, term in enumerate(pods.required_during_scheduling_ignored_during_execution):
            where = f"{path}.{name}.requiredDuringSchedulingIgnoredDuringExecution[{index}]"
            yield from _find_in_pod_term(term, where)
        for index, weighted in enumerate(pods.preferred_during_scheduling_ignored_during_execution):
            where = f"{path}.{name}.preferredDuringSchedulingIgnoredDuringExecution[{index}].podAffinityTerm"
            yield from _find_in_pod_term(weighted.pod_affinity_term, where)


def _find_in_pod_term(term: PodAffinityTerm | None, path: str) -> Iterator[str]:
    if term is None or term.label_selector is None:
        yield f"{path}.labelSelector: {_NULL_SELECTOR}"


def _find_in_lists(spec: PodSpec, path: str) -> Iterator[str]:
    for name, field, values in (
        ("hostAliases", "ip", [alias.ip for alias in spec.host_aliases]),
        ("imagePullSecrets", "name", [secret.name for secret in spec.image_pull_secrets]),
    ):
        for index, value in enumerate(values):
            if value in values[:index]:
                yield f'{path}.{name}[{index}].{field}: duplicate {field} "{value}"'
    for index, secret in enumerate(spec.image_pull_secrets):
        if not secret.name:
            yield f'{path}.imagePullSecrets[{index}].name: invalid empty name ""'


def _find_fractions(quantities: Mapping[str, str | int | float], path: str) -> Iterator[str]:
    for name in _WHOLE_BYTES:
        if name in quantities and parse_quantity(quantities[name]).nano % NANO:
            shown = canonical(quantities[name])
            yield f'{path}[{name}]: fractional byte value "{shown}" is invalid, must be an integer'


def _find_profiles(spec: PodSpec, meta: ObjectMeta, path: str, is_template: bool) -> Iterator[str]:
    """Find the annotations that seccomp and AppArmor were once asked for with."""
    pod = spec.security_context
    if _SECCOMP_POD in meta.annotations and (pod is None or pod.seccomp_profile is None):
        yield f"{path}[{_SECCOMP_POD}]: {_USE_SECCOMP}"
    for _, container in _containers(spec, ""):
        own = container.security_context
        key = _SECCOMP_CONTAINER + container.name
        if key in meta.annotations and (own is None or own.seccomp_profile is None):
            yield f"{path}[{key}]: {_USE_SECCOMP}"
        key = _APPARMOR + container.name
        asked = (pod is not None and pod.app_armor_profile is not None) or (
            own is not None and own.app_armor_profile is not None
        )
        if is_template and key in meta.annotations and not asked:
            yield f'{path}[{key}]: deprecated since v1.30; use the "appArmorProfile" field instead'


def _find_in_container(container: Container, path: str) -> Iterator[str]:
    for name, quantities in (
        ("limits", container.resources.limits),
        ("requests", container.resources.requests),
    ):
        if quantities:
            yield from _find_fractions(quantities, f"{path}.resources.{name}")
    names: set[str] = set()
    for index, variable in enumerate(container.env):
        reference = f"$({variable.name})"
        extends = reference in variable.value and variable.value != reference and variable.value_from is None
        if variable.name in names and not extends:
            yield (
                f'{path}.env[{index}]: hides previous definition of "{variable.name}", '
                "which may be dropped when using apply"
            )
        names.add(variable.name)


def _find_in_ports(spec: PodSpec, path: str) -> Iterator[str]:
    seen: dict[tuple[int, str], list[tuple[str, ContainerPort]]] = {}
    for where, container in _containers(spec, path):
        for index, port in enumerate(container.ports):
            own = f"{where}.ports[{index}]"
            if port.host_ip and not port.host_port:
                yield f"{own}: hostIP set without hostPort: {_render_port(port)}"
            others = seen.setdefault((port.container_port, port.protocol), [])
            for other_path, other in others:
                clash = _compare(port, other)
                if clash:
                    yield f"{own}: {clash} port definition with {other_path}"
            others.append((own, port))


def _compare(port: ContainerPort, other: ContainerPort) -> str:
    """Say how two definitions of one container port clash; "" when they don't."""
    if (port.host_ip, port.host_port or 0) == (other.host_ip, other.host_port or 0):
        return "duplicate"
    if not port.host_port or not other.host_port:
        return "overlapping"
    if port.host_port == other.host_port and bool(port.host_ip) != bool(other.host_ip):
        return "dangerously ambiguous"
    return ""


def _render_port(port: ContainerPort) -> str:
    return (
        f"{{Name:{port.name} HostPort:{port.host_port or 0} ContainerPort:{port.container_port} "
        f"Protocol:{port.protocol} HostIP:{port.host_ip}}}"
    )
