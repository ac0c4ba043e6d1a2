"""Checks ephemeral containers: what they may say, and that they are only added. Pure.

Source: Kubernetes v1.36, pkg/apis/core/validation, validateEphemeralContainers, ValidatePodEphemeralContainersUpdate.
"""

from pinnace.api.ephemeral import as_container
from pinnace.api.validation.containers import Surroundings, validate_container
from pinnace.api.validation.problems import Problems
from pinnace.kube.objects.core_v1 import EphemeralContainer, Pod, ResourceRequirements

_NOT_HERE = "cannot be set for an Ephemeral Container"
_NO_RESOURCES = ResourceRequirements()


def validate_ephemeral_containers(around: Surroundings, path: str, problems: Problems) -> None:
    """Check each of them as a container, and for what an ephemeral one may not have."""
    spec = around.spec
    others = {container.name for container in (*spec.containers, *spec.init_containers)}
    names = set(others)
    for index, one in enumerate(spec.ephemeral_containers):
        where = f"{path}[{index}]"
        validate_container(as_container(one), around, where, problems)
        if one.name in names:
            problems.duplicate(f"{where}.name", one.name)
        names.add(one.name)
        if one.target_container_name and one.target_container_name not in others:
            problems.not_found(f"{where}.targetContainerName", one.target_container_name)
        _validate_fields(one, where, problems)


def _validate_fields(one: EphemeralContainer, path: str, problems: Problems) -> None:
    for name, present in (
        ("ports", bool(one.ports)),
        ("livenessProbe", one.liveness_probe is not None),
        ("readinessProbe", one.readiness_probe is not None),
        ("startupProbe", one.startup_probe is not None),
        ("lifecycle", one.lifecycle is not None),
        ("resources", one.resources != _NO_RESOURCES),
        ("resizePolicy", bool(one.resize_policy)),
        ("restartPolicy", bool(one.restart_policy)),
        ("restartPolicyRules", bool(one.restart_policy_rules)),
    ):
        if present:
            problems.forbidden(f"{path}.{name}", _NOT_HERE)
    for index, mount in enumerate(one.volume_mounts):
        for name, text in (("subPath", mount.sub_path), ("subPathExpr", mount.sub_path_expr)):
            if text:
                problems.forbidden(f"{path}.volumeMounts[{index}].{name}", _NOT_HERE)


def validate_ephemeral_update(new: Pod, old: Pod, problems: Problems) -> None:
    """Check that those that were there are there, as they were; their order means nothing."""
    present = {one.name: one for one in new.spec.ephemeral_containers}
    for before in old.spec.ephemeral_containers:
        now = present.get(before.name)
        if now is None:
            problems.forbidden(
                "spec.ephemeralContainers",
                f'existing ephemeral containers "{before.name}" may not be removed\n',
            )
        elif now != before:
            problems.forbidden(
                "spec.ephemeralContainers",
                f'existing ephemeral containers "{before.name}" may not be changed\n',
            )
