"""Checks a pod's spec, in a pod or in a template, and the annotations that mean something.

Pure. What may change in a pod that exists stands in `pod_updates.py`.
Source: Kubernetes v1.36, pkg/apis/core/validation, ValidatePodSpec and ValidatePodTemplateSpec.
"""

from pinnace.api.validation.containers import (
    Surroundings,
    validate_containers,
    validate_init_containers,
)
from pinnace.api.validation.ephemeral import validate_ephemeral_containers
from pinnace.api.validation.metadata import validate_annotations, validate_labels
from pinnace.api.validation.names import check_label_name, check_qualified_name, check_subdomain
from pinnace.api.validation.pod_annotations import validate_pod_annotations
from pinnace.api.validation.pod_names import validate_dns, validate_host_aliases
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.resize import validate_resize_policies
from pinnace.api.validation.resources import validate_overhead, validate_pod_resources
from pinnace.api.validation.scheduling import (
    validate_affinity,
    validate_spread,
    validate_tolerations,
)
from pinnace.api.validation.security import validate_os, validate_pod_security
from pinnace.api.validation.volumes import validate_volumes
from pinnace.kube.objects.core_v1 import PodResourceClaim, PodSchedulingGate, PodSpec, PodTemplateSpec

RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_INT32_MAX = 2**31 - 1
_HOSTNAME_MOST = 64


def validate_pod_spec(
    spec: PodSpec, path: str, problems: Problems, *, is_pod: bool = False, pod_name: str = ""
) -> None:
    """Check everything in a pod's spec; `is_pod` is False for a template's."""
    if spec.termination_grace_period_seconds is None:
        problems.required(f"{path}.terminationGracePeriodSeconds")
    volumes = validate_volumes(spec.volumes, f"{path}.volumes", problems, pod_name=pod_name)
    claims = frozenset(claim.name for claim in spec.resource_claims if claim.name)
    if spec.resource_claims:
        _validate_claims(spec.resource_claims, f"{path}.resourceClaims", problems)
    around = Surroundings(spec, volumes, claims, is_pod)
    validate_containers(around, f"{path}.containers", problems)
    validate_resize_policies(spec.containers, spec, f"{path}.containers", problems)
    if spec.init_containers:
        validate_init_containers(around, f"{path}.initContainers", problems)
        validate_resize_policies(spec.init_containers, spec, f"{path}.initContainers", problems)
    if spec.ephemeral_containers:
        validate_ephemeral_containers(around, f"{path}.ephemeralContainers", problems)
    validate_pod_resources(spec, path, problems)
    if spec.host_network:
        _validate_host_network(spec, path, problems, is_pod)
    problems.one_of(f"{path}.restartPolicy", spec.restart_policy, RESTART_POLICIES, required=True)
    problems.one_of(f"{path}.dnsPolicy", spec.dns_policy, DNS_POLICIES, required=True)
    if spec.node_selector:
        validate_labels(spec.node_selector, f"{path}.nodeSelector", problems)
    validate_pod_security(spec, path, problems)
    if spec.affinity is not None:
        validate_affinity(spec.affinity, f"{path}.affinity", problems)
    validate_dns(spec, f"{path}.dnsConfig", problems)
    for index, gate in enumerate(spec.readiness_gates):
        where = f"{path}.readinessGates[{index}].conditionType"
        problems.each(where, gate.condition_type, check_qualified_name(gate.condition_type))
    _validate_gates(spec.scheduling_gates, f"{path}.schedulingGates", problems)
    validate_spread(spec.topology_spread_constraints, f"{path}.topologySpreadConstraints", problems)
    if spec.host_users is False:
        _validate_host_users(spec, path, problems)
    _validate_names(spec, path, problems)
    validate_tolerations(spec.tolerations, f"{path}.tolerations", problems)
    validate_host_aliases(spec.host_aliases, f"{path}.hostAliases", problems)
    _validate_classes(spec, path, problems)
    if spec.overhead:
        validate_overhead(spec.overhead, f"{path}.overhead", problems)
    if spec.os is not None:
        validate_os(spec, path, problems)


def _validate_names(spec: PodSpec, path: str, problems: Problems) -> None:
    for name, text in (("serviceAccountName", spec.service_account_name), ("nodeName", spec.node_name)):
        if text:
            problems.each(f"{path}.{name}", text, check_subdomain(text))
    problems.within(f"{path}.activeDeadlineSeconds", spec.active_deadline_seconds, 1, _INT32_MAX)
    for name, text in (("hostname", spec.hostname), ("subdomain", spec.subdomain)):
        if text:
            problems.each(f"{path}.{name}", text, check_label_name(text))
    override, where = spec.hostname_override, f"{path}.hostnameOverride"
    if not override:
        return
    problems.each(where, override, check_subdomain(override))
    if len(override) > _HOSTNAME_MOST:
        problems.too_long(where, _HOSTNAME_MOST)
    if spec.host_network:
        problems.forbidden(where, "may not be specified when hostNetwork is true")
    if spec.set_hostname_as_fqdn:
        problems.forbidden(where, "may not be specified when setHostnameAsFQDN is true")


def _validate_classes(spec: PodSpec, path: str, problems: Problems) -> None:
    for name, text in (
        ("priorityClassName", spec.priority_class_name),
        ("runtimeClassName", spec.runtime_class_name),
    ):
        if text:
            problems.each(f"{path}.{name}", text, check_subdomain(text))
    problems.one_of(f"{path}.preemptionPolicy", spec.preemption_policy, ("PreemptLowerPriority", "Never"))


def _validate_claims(claims: tuple[PodResourceClaim, ...], path: str, problems: Problems) -> None:
    names: set[str] = set()
    for index, claim in enumerate(claims):
        where = f"{path}[{index}]"
        if not claim.name:
            problems.required(f"{where}.name")
        elif claim.name in names:
            problems.duplicate(f"{where}.name", claim.name)
        else:
            problems.each(f"{where}.name", claim.name, check_label_name(claim.name))
            names.add(claim.name)
        both = bool(claim.resource_claim_name) + bool(claim.resource_claim_template_name)
        if both == 2:
            words = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            problems.invalid(where, claim, words)
        elif not both:
            words = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            problems.invalid(where, claim, words)
        for name, text in (
            ("resourceClaimName", claim.resource_claim_name),
            ("resourceClaimTemplateName", claim.resource_claim_template_name),
        ):
            if text:
                problems.each(f"{where}.{name}", text, check_subdomain(text))


def _validate_gates(gates: tuple[PodSchedulingGate, ...], path: str, problems: Problems) -> None:
    names: set[str] = set()
    for index, gate in enumerate(gates):
        problems.each(f"{path}[{index}]", gate.name, check_qualified_name(gate.name))
        if gate.name in names:
            problems.duplicate(f"{path}[{index}]", gate.name)
        names.add(gate.name)


def _validate_host_network(spec: PodSpec, path: str, problems: Problems, is_pod: bool) -> None:
    for index, container in enumerate(spec.containers):
        for at, port in enumerate(container.ports):
            if (is_pod or port.host_port) and (port.host_port or 0) != port.container_port:
                problems.invalid(
                    f"{path}.containers[{index}].ports[{at}].hostPort",
                    port.host_port or 0,
                    "must match `containerPort` when `hostNetwork` is true",
                )


def _validate_host_users(spec: PodSpec, path: str, problems: Problems) -> None:
    for name, wanted in (
        ("hostNetwork", spec.host_network),
        ("HostPID", spec.host_pid),
        ("HostIPC", spec.host_ipc),
    ):
        if wanted:
            problems.forbidden(f"{path}.{name}", "when `pod.Spec.HostUsers` is false")


def validate_pod_template(template: PodTemplateSpec, path: str, problems: Problems) -> None:
    """Check a template: labels, annotations, spec."""
    if template.metadata.labels:
        validate_labels(template.metadata.labels, f"{path}.labels", problems)
    if template.metadata.annotations:
        validate_annotations(template.metadata.annotations, f"{path}.annotations", problems)
        validate_pod_annotations(template.metadata, template.spec, path, f"{path}.annotations", problems)
    validate_pod_spec(template.spec, f"{path}.spec", problems)
    if template.spec.ephemeral_containers:
        problems.forbidden(
            f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template"
        )
