"""Checks containers: names, images, ports, environment, mounts, resources, probes, security.

Pure. Source: Kubernetes v1.36, pkg/apis/core/validation, validateContainers and validateInitContainers.
"""

from collections.abc import Mapping

from pinnace.api.validation.names import check_config_key, check_env_name, check_label_name, check_port_name
from pinnace.api.validation.probes import validate_lifecycle, validate_probe
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.resources import validate_resources
from pinnace.api.validation.volumes import validate_mounts
from pinnace.kube.objects.core_v1 import (
    Container,
    ContainerPort,
    EnvFromSource,
    EnvVar,
    EnvVarSource,
    SecurityContext,
    Volume,
)

PROTOCOLS = ("SCTP", "TCP", "UDP")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_ENV_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
_ENV_FIELD_MAPS = ("metadata.annotations", "metadata.labels")


def validate_containers(
    containers: tuple[Container, ...], volumes: Mapping[str, Volume], path: str, problems: Problems
) -> None:
    """Check the containers that run side by side."""
    if not containers:
        problems.required(path)
        return
    names: set[str] = set()
    for index, container in enumerate(containers):
        where = f"{path}[{index}]"
        _validate_container(container, volumes, where, problems)
        if container.name in names:
            problems.duplicate(f"{where}.name", container.name)
        names.add(container.name)
        _validate_probes(container, where, problems)
    _validate_host_ports(containers, path, problems)


def validate_init_containers(
    containers: tuple[Container, ...],
    others: tuple[Container, ...],
    volumes: Mapping[str, Volume],
    path: str,
    problems: Problems,
) -> None:
    """Check the containers that run before; only those that go on (restartPolicy Always) may have probes and hooks."""
    names = {container.name for container in others}
    for index, container in enumerate(containers):
        where = f"{path}[{index}]"
        _validate_container(container, volumes, where, problems)
        if container.name in names:
            problems.duplicate(f"{where}.name", container.name)
        names.add(container.name)
        if container.restart_policy == "Always":
            _validate_probes(container, where, problems)
            continue
        if container.restart_policy:
            problems.not_supported(f"{where}.restartPolicy", container.restart_policy, ("Always",))
        for name, present in (
            ("lifecycle", container.lifecycle),
            ("livenessProbe", container.liveness_probe),
            ("readinessProbe", container.readiness_probe),
            ("startupProbe", container.startup_probe),
        ):
            if present is not None:
                problems.forbidden(
                    f"{where}.{name}", "may not be set for init containers without restartPolicy=Always"
                )


def _validate_container(
    container: Container, volumes: Mapping[str, Volume], path: str, problems: Problems
) -> None:
    if not container.name:
        problems.required(f"{path}.name")
    else:
        problems.each(f"{path}.name", container.name, check_label_name(container.name))
    if not container.image:
        problems.required(f"{path}.image")
    elif container.image != container.image.strip():
        problems.invalid(f"{path}.image", container.image, "must not have leading or trailing whitespace")
    if container.termination_message_policy not in ("File", "FallbackToLogsOnError"):
        problems.not_supported(
            f"{path}.terminationMessagePolicy",
            container.termination_message_policy,
            ("File", "FallbackToLogsOnError"),
        )
    if container.ports:
        _validate_ports(container.ports, f"{path}.ports", problems)
    if container.env:
        _validate_env(container.env, f"{path}.env", problems)
    if container.env_from:
        _validate_env_from(container.env_from, f"{path}.envFrom", problems)
    if container.volume_mounts:
        validate_mounts(container.volume_mounts, volumes, f"{path}.volumeMounts", problems)
    problems.one_of(f"{path}.imagePullPolicy", container.image_pull_policy, _PULL_POLICIES, required=True)
    validate_resources(container.resources, f"{path}.resources", problems)
    if container.security_context is not None:
        _validate_security(container.security_context, f"{path}.securityContext", problems)


def _validate_probes(container: Container, path: str, problems: Problems) -> None:
    if container.lifecycle is not None:
        validate_lifecycle(container.lifecycle, f"{path}.lifecycle", problems)
    if container.liveness_probe is not None:
        validate_probe(container.liveness_probe, f"{path}.livenessProbe", problems, only_success_one=True)
    if container.readiness_probe is not None:
        validate_probe(container.readiness_probe, f"{path}.readinessProbe", problems, only_success_one=False)
    if container.startup_probe is not None:
        validate_probe(container.startup_probe, f"{path}.startupProbe", problems, only_success_one=True)


def _validate_ports(ports: tuple[ContainerPort, ...], path: str, problems: Problems) -> None:
    names: set[str] = set()
    for index, port in enumerate(ports):
        where = f"{path}[{index}]"
        if port.name:
            wrong = check_port_name(port.name)
            problems.each(f"{where}.name", port.name, wrong)
            if port.name in names:
                problems.duplicate(f"{where}.name", port.name)
            names.add(port.name)
        if not port.container_port:
            problems.required(f"{where}.containerPort")
        else:
            problems.port(f"{where}.containerPort", port.container_port)
        if port.host_port:
            problems.port(f"{where}.hostPort", port.host_port)
        problems.one_of(f"{where}.protocol", port.protocol, PROTOCOLS, required=True)


def _validate_host_ports(containers: tuple[Container, ...], path: str, problems: Problems) -> None:
    taken: set[str] = set()
    for index, container in enumerate(containers):
        for at, port in enumerate(container.ports):
            if not port.host_port:
                continue
            place = f"{port.protocol}/{port.host_ip}/{port.host_port}"
            if place in taken:
                problems.duplicate(f"{path}[{index}].ports[{at}].hostPort", place)
            taken.add(place)


def _validate_env(variables: tuple[EnvVar, ...], path: str, problems: Problems) -> None:
    for index, variable in enumerate(variables):
        where = f"{path}[{index}]"
        if not variable.name:
            problems.required(f"{where}.name")
        else:
            problems.each(f"{where}.name", variable.name, check_env_name(variable.name))
        if variable.value_from is not None:
            _validate_value_from(variable, variable.value_from, f"{where}.valueFrom", problems)


def _validate_value_from(variable: EnvVar, source: EnvVarSource, path: str, problems: Problems) -> None:
    count = 0
    if source.field_ref is not None:
        count += 1
        _validate_env_field(source.field_ref.field_path, f"{path}.fieldRef", problems)
    if source.resource_field_ref is not None:
        count += 1
        if not source.resource_field_ref.resource:
            problems.required(f"{path}.resourceFieldRef.resource")
    for name, reference in (
        ("configMapKeyRef", source.config_map_key_ref),
        ("secretKeyRef", source.secret_key_ref),
    ):
        if reference is None:
            continue
        count += 1
        if not reference.name:
            problems.required(f"{path}.{name}.name")
        if not reference.key:
            problems.required(f"{path}.{name}.key")
        else:
            problems.each(f"{path}.{name}.key", reference.key, check_config_key(reference.key))
    if count == 0:
        problems.invalid(
            path,
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        )
    elif variable.value:
        problems.invalid(path, "", "may not be specified when `value` is not empty")
    elif count > 1:
        problems.invalid(path, "", "may not have more than one field specified at a time")


def _validate_env_field(field_path: str, path: str, problems: Problems) -> None:
    if not field_path:
        problems.required(f"{path}.fieldPath")
        return
    name, bracket, _ = field_path.partition("[")
    if bracket and name in _ENV_FIELD_MAPS:
        return
    if field_path not in _ENV_FIELDS:
        problems.not_supported(f"{path}.fieldPath", field_path, _ENV_FIELDS)


def _validate_env_from(sources: tuple[EnvFromSource, ...], path: str, problems: Problems) -> None:
    for index, source in enumerate(sources):
        where = f"{path}[{index}]"
        if source.prefix:
            problems.each(f"{where}.prefix", source.prefix, check_env_name(source.prefix))
        present = [
            (name, reference)
            for name, reference in (("configMapRef", source.config_map_ref), ("secretRef", source.secret_ref))
            if reference is not None
        ]
        for name, reference in present:
            if not reference.name:
                problems.required(f"{where}.{name}.name")
        if not present:
            problems.invalid(where, "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(present) > 1:
            problems.invalid(where, "", "may not have more than one field specified at a time")


def _validate_security(context: SecurityContext, path: str, problems: Problems) -> None:
    problems.not_negative(f"{path}.runAsUser", context.run_as_user)
    problems.not_negative(f"{path}.runAsGroup", context.run_as_group)
    problems.one_of(f"{path}.procMount", context.proc_mount, ("Default", "Unmasked"))
    if context.allow_privilege_escalation is False and context.privileged:
        problems.invalid(
            path, context, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        )
