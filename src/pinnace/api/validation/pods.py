"""Checks a pod's spec, in a pod or in a template, and what may change in a pod that exists.

Pure. Source: Kubernetes v1.36, pkg/apis/core/validation, ValidatePodSpec and ValidatePodUpdate.
"""

from msgspec.structs import replace

from pinnace.api.validation.containers import validate_containers, validate_init_containers
from pinnace.api.validation.metadata import validate_annotations, validate_labels
from pinnace.api.validation.names import check_label_name, check_subdomain
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.scheduling import validate_scheduling
from pinnace.api.validation.volumes import validate_secret_name, validate_volumes
from pinnace.kube.objects.core_v1 import Container, Pod, PodSpec, PodTemplateSpec, Toleration

_RESTART_POLICIES = ("Always", "Never", "OnFailure")
_DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_INT32_MAX = 2**31 - 1
_FIXED = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def validate_pod_spec(spec: PodSpec, path: str, problems: Problems) -> None:
    """Check everything in a pod's spec."""
    volumes = validate_volumes(spec.volumes, f"{path}.volumes", problems)
    validate_containers(spec.containers, volumes, f"{path}.containers", problems)
    if spec.init_containers:
        validate_init_containers(
            spec.init_containers, spec.containers, volumes, f"{path}.initContainers", problems
        )
    problems.one_of(f"{path}.restartPolicy", spec.restart_policy, _RESTART_POLICIES, required=True)
    problems.one_of(f"{path}.dnsPolicy", spec.dns_policy, _DNS_POLICIES, required=True)
    validate_scheduling(spec, path, problems)
    for index, secret in enumerate(spec.image_pull_secrets):
        validate_secret_name(secret.name, f"{path}.imagePullSecrets[{index}]", problems)
    if spec.dns_policy == "None" and (spec.dns_config is None or not spec.dns_config.nameservers):
        problems.required(
            f"{path}.dnsConfig", "must provide at least one DNS nameserver when `dnsPolicy` is None"
        )
    for name, text, rule in (
        ("serviceAccountName", spec.service_account_name, check_subdomain),
        ("nodeName", spec.node_name, check_subdomain),
        ("hostname", spec.hostname, check_label_name),
        ("subdomain", spec.subdomain, check_label_name),
        ("priorityClassName", spec.priority_class_name, check_subdomain),
    ):
        if text:
            problems.each(f"{path}.{name}", text, rule(text))
    if spec.active_deadline_seconds is not None:
        problems.within(f"{path}.activeDeadlineSeconds", spec.active_deadline_seconds, 1, _INT32_MAX)
    problems.not_negative(f"{path}.terminationGracePeriodSeconds", spec.termination_grace_period_seconds)
    for alias in spec.host_aliases:
        for hostname in alias.hostnames:
            problems.each(f"{path}.hostAliases.hostnames", hostname, check_subdomain(hostname))
    if spec.host_network:
        _validate_host_network(spec, path, problems)


def _validate_host_network(spec: PodSpec, path: str, problems: Problems) -> None:
    for index, container in enumerate(spec.containers):
        for at, port in enumerate(container.ports):
            if port.host_port != port.container_port:
                problems.invalid(
                    f"{path}.containers[{index}].ports[{at}].hostPort",
                    port.host_port or 0,
                    "must match `containerPort` when `hostNetwork` is true",
                )


def validate_pod_template(template: PodTemplateSpec, path: str, problems: Problems) -> None:
    """Check a template: labels, annotations, spec."""
    if template.metadata.labels:
        validate_labels(template.metadata.labels, f"{path}.labels", problems)
    if template.metadata.annotations:
        validate_annotations(template.metadata.annotations, f"{path}.annotations", problems)
    validate_pod_spec(template.spec, f"{path}.spec", problems)


def validate_pod_update(new: Pod, old: Pod, problems: Problems) -> None:
    """Check that only images, deadline, tolerations (more of them) and scheduling gates changed in the spec."""
    if new.spec == old.spec:
        return
    path = "spec"
    for name, now, before in (
        ("containers", new.spec.containers, old.spec.containers),
        ("initContainers", new.spec.init_containers, old.spec.init_containers),
    ):
        if len(now) != len(before):
            problems.forbidden(f"{path}.{name}", "pod updates may not add or remove containers")
            return
    _validate_deadline(new.spec.active_deadline_seconds, old.spec.active_deadline_seconds, problems)
    _validate_tolerations(new.spec.tolerations, old.spec.tolerations, problems)
    if replace_allowed(new.spec, old.spec) != old.spec:
        problems.forbidden(path, _FIXED)


def replace_allowed(new: PodSpec, old: PodSpec) -> PodSpec:
    """Return the new spec with every field that may change set back to what it was."""
    grace = new.termination_grace_period_seconds
    if grace == 1 and (old.termination_grace_period_seconds or 0) < 0:
        grace = old.termination_grace_period_seconds
    gates = new.scheduling_gates
    if {gate.name for gate in gates} <= {gate.name for gate in old.scheduling_gates}:
        gates = old.scheduling_gates
    return replace(
        new,
        containers=_with_old_images(new.containers, old.containers),
        init_containers=_with_old_images(new.init_containers, old.init_containers),
        active_deadline_seconds=old.active_deadline_seconds,
        tolerations=old.tolerations,
        termination_grace_period_seconds=grace,
        scheduling_gates=gates,
    )


def _with_old_images(new: tuple[Container, ...], old: tuple[Container, ...]) -> tuple[Container, ...]:
    return tuple(replace(now, image=before.image) for now, before in zip(new, old, strict=True))


def _validate_deadline(new: int | None, old: int | None, problems: Problems) -> None:
    path = "spec.activeDeadlineSeconds"
    if new is None:
        if old is not None:
            problems.invalid(path, None, "must not update from a positive integer to nil value")
    elif old is not None and new > old:
        problems.invalid(path, new, "must be less than or equal to previous value")


def _validate_tolerations(
    new: tuple[Toleration, ...], old: tuple[Toleration, ...], problems: Problems
) -> None:
    def strip(tolerations: tuple[Toleration, ...]) -> list[Toleration]:
        return [replace(toleration, toleration_seconds=None) for toleration in tolerations]

    kept = strip(new)
    if any(toleration not in kept for toleration in strip(old)):
        problems.forbidden(
            "spec.tolerations", "existing toleration can not be modified except its tolerationSeconds"
        )
