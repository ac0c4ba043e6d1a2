"""Checks containers: names, images, ports, environment, mounts, resources, probes, security.

Pure. Source: Kubernetes v1.36, pkg/apis/core/validation, validateContainers and validateInitContainers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pinnace.api.validation.environment import validate_env, validate_env_from
from pinnace.api.validation.mounts import validate_devices, validate_mounts
from pinnace.api.validation.names import check_label_name, check_port_name
from pinnace.api.validation.probes import validate_lifecycle, validate_probe
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.resources import validate_resources
from pinnace.api.validation.security import validate_security
from pinnace.api.validation.volume_sources import PULL_POLICIES
from pinnace.kube.objects.core_v1 import (
    Container,
    ContainerPort,
    PodSpec,
    Volume,
)

PROTOCOLS = ("SCTP", "TCP", "UDP")
_MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
_RESTART_POLICIES = ("Always", "Never", "OnFailure")
_RULES_MOST = 20
_EXIT_CODES_MOST = 255
_ONLY_SIDECARS = "may not be set for init containers without restartPolicy=Always"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container is checked against: the pod's spec, its volumes by name, and the names of its claims.

    `is_pod` is False for a template.
    """

    spec: PodSpec
    volumes: Mapping[str, Volume]
    claims: frozenset[str]
    is_pod: bool


def validate_containers(around: Surroundings, path: str, problems: Problems) -> None:
    """Check the containers that run side by side."""
    containers = around.spec.containers
    if not containers:
        problems.required(path)
        return
    names: set[str] = set()
    for index, container in enumerate(containers):
        where = f"{path}[{index}]"
        validate_container(container, around, where, problems)
        if container.name in names:
            problems.duplicate(f"{where}.name", container.name)
        names.add(container.name)
        _validate_probes(container, around.spec, where, problems)
        _validate_restart(container, where, problems)
    _validate_host_ports(enumerate(containers), path, problems)


def validate_init_containers(around: Surroundings, path: str, problems: Problems) -> None:
    """Check the containers that run before; only those that go on (restartPolicy Always) may have probes and hooks."""
    names = {container.name for container in around.spec.containers}
    for index, container in enumerate(around.spec.init_containers):
        where = f"{path}[{index}]"
        validate_container(container, around, where, problems)
        _validate_restart(container, where, problems)
        if container.name in names:
            problems.duplicate(f"{where}.name", container.name)
        elif container.name:
            names.add(container.name)
        _validate_host_ports([(index, container)], path, problems)
        if container.restart_policy == "Always":
            _validate_probes(container, around.spec, where, problems)
            continue
        for name, present in (
            ("lifecycle", container.lifecycle),
            ("livenessProbe", container.liveness_probe),
            ("readinessProbe", container.readiness_probe),
            ("startupProbe", container.startup_probe),
        ):
            if present is not None:
                problems.forbidden(f"{where}.{name}", _ONLY_SIDECARS)
        if container.resize_policy:
            words = "must not be set for init containers"
            problems.invalid(f"{where}.resizePolicy", container.resize_policy, words)


def validate_container(container: Container, around: Surroundings, path: str, problems: Problems) -> None:
    """Check what holds for containers of every kind."""
    if not container.name:
        problems.required(f"{path}.name")
    else:
        problems.each(f"{path}.name", container.name, check_label_name(container.name))
    if not container.image:
        problems.required(f"{path}.image")
    elif around.is_pod and container.image != container.image.strip():
        problems.invalid(f"{path}.image", container.image, "must not have leading or trailing whitespace")
    problems.one_of(
        f"{path}.terminationMessagePolicy",
        container.termination_message_policy,
        _MESSAGE_POLICIES,
        required=True,
    )
    if container.ports:
        _validate_ports(container.ports, f"{path}.ports", problems)
    if container.env:
        validate_env(container.env, f"{path}.env", problems)
    if container.env_from:
        validate_env_from(container.env_from, f"{path}.envFrom", problems)
    if container.volume_mounts:
        validate_mounts(container, around.volumes, path, problems)
    if container.volume_devices:
        validate_devices(container, around.volumes, path, problems)
    problems.one_of(f"{path}.imagePullPolicy", container.image_pull_policy, PULL_POLICIES, required=True)
    validate_resources(container.resources, f"{path}.resources", problems, claims=around.claims)
    if container.security_context is not None:
        validate_security(
            container.security_context,
            f"{path}.securityContext",
            problems,
            host_users=around.spec.host_users is not False,
        )


def _validate_probes(container: Container, spec: PodSpec, path: str, problems: Problems) -> None:
    if container.lifecycle is not None:
        validate_lifecycle(container.lifecycle, spec, f"{path}.lifecycle", problems)
    if container.liveness_probe is not None:
        validate_probe(container.liveness_probe, f"{path}.livenessProbe", problems, only_success_one=True)
    if container.readiness_probe is not None:
        validate_probe(container.readiness_probe, f"{path}.readinessProbe", problems, only_success_one=False)
    if container.startup_probe is not None:
        validate_probe(container.startup_probe, f"{path}.startupProbe", problems, only_success_one=True)


def _validate_restart(container: Container, path: str, problems: Problems) -> None:
    """Check a container's own policy. Source: Kubernetes v1.36, validateContainerRestartPolicy."""
    policy, rules = container.restart_policy, container.restart_policy_rules
    problems.one_of(f"{path}.restartPolicy", policy, _RESTART_POLICIES)
    if not rules:
        return
    if not policy:
        words = "must specify restartPolicy when restart rules are used"
        problems.required(f"{path}.restartPolicy", words)
    where = f"{path}.restartPolicyRules"
    if len(rules) > _RULES_MOST:
        problems.too_many(where, len(rules), _RULES_MOST)
    for index, rule in enumerate(rules):
        at = f"{where}[{index}]"
        problems.one_of(f"{at}.action", rule.action, ("Restart", "RestartAllContainers"), required=True)
        if rule.exit_codes is None:
            problems.required(f"{at}.exitCodes", "must be specified")
            continue
        problems.one_of(f"{at}.exitCodes.operator", rule.exit_codes.operator, ("In", "NotIn"), required=True)
        if len(rule.exit_codes.values) > _EXIT_CODES_MOST:
            problems.too_many(f"{at}.exitCodes.values", len(rule.exit_codes.values), _EXIT_CODES_MOST)


def _validate_ports(ports: tuple[ContainerPort, ...], path: str, problems: Problems) -> None:
    names: set[str] = set()
    for index, port in enumerate(ports):
        where = f"{path}[{index}]"
        if port.name:
            wrong = check_port_name(port.name)
            problems.each(f"{where}.name", port.name, wrong)
            if port.name in names:
                problems.duplicate(f"{where}.name", port.name)
            elif not wrong:
                names.add(port.name)
        if not port.container_port:
            problems.required(f"{where}.containerPort")
        else:
            problems.port(f"{where}.containerPort", port.container_port)
        if port.host_port:
            problems.port(f"{where}.hostPort", port.host_port)
        problems.one_of(f"{where}.protocol", port.protocol, PROTOCOLS, required=True)


def _validate_host_ports(containers: Iterable[tuple[int, Container]], path: str, problems: Problems) -> None:
    taken: set[str] = set()
    for index, container in containers:
        for at, port in enumerate(container.ports):
            if not port.host_port:
                continue
            place = f"{port.protocol}/{port.host_ip}/{port.host_port}"
            if place in taken:
                problems.duplicate(f"{path}[{index}].ports[{at}].hostPort", place)
            taken.add(place)
