"""Decides whom a change of a ConfigMap, a Secret, a service account or an image concerns. Pure; called by the agent for every change."""

from __future__ import annotations

from collections.abc import Iterator

from pinnace.base.errors import UserError
from pinnace.kube.objects.core_v1 import Container, Pod
from pinnace.node.facts import Problem
from pinnace.oci.reference import parse_reference

IMAGE_REASONS = frozenset(("ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff"))


def mounts_source(pod: Pod, kind: str, name: str) -> bool:
    """Say whether a volume of the pod is made of the ConfigMap or Secret `name`, or holds a token of the account `name`."""
    return (kind, name) in _volume_sources(pod)


def reads_source(container: Container, kind: str, name: str) -> bool:
    """Say whether a container's environment reads the ConfigMap or Secret `name`."""
    return (kind, name) in _environment_sources(container)


def lacks_image(problem: Problem | None) -> bool:
    """Say whether a container can't start for want of its image."""
    return problem is not None and problem.reason in IMAGE_REASONS


def wants_image(container: Container, reference: str) -> bool:
    """Say whether a container's image is the one of this whole name."""
    try:
        return str(parse_reference(container.image)) == reference
    except UserError:
        return False


def pulls_with(pod: Pod, secret: str) -> bool:
    """Say whether the pod's images are pulled with the credentials of a Secret."""
    return any(one.name == secret for one in pod.spec.image_pull_secrets)


def _volume_sources(pod: Pod) -> Iterator[tuple[str, str]]:
    for volume in pod.spec.volumes:
        if volume.config_map is not None:
            yield "ConfigMap", volume.config_map.name
        if volume.secret is not None:
            yield "Secret", volume.secret.secret_name
        for part in volume.projected.sources if volume.projected is not None else ():
            if part.config_map is not None:
                yield "ConfigMap", part.config_map.name
            if part.secret is not None:
                yield "Secret", part.secret.name
            if part.service_account_token is not None:
                yield "ServiceAccount", pod.spec.service_account_name


def _environment_sources(container: Container) -> Iterator[tuple[str, str]]:
    for whole in container.env_from:
        if whole.config_map_ref is not None:
            yield "ConfigMap", whole.config_map_ref.name
        if whole.secret_ref is not None:
            yield "Secret", whole.secret_ref.name
    for variable in container.env:
        source = variable.value_from
        if source is not None and source.config_map_key_ref is not None:
            yield "ConfigMap", source.config_map_key_ref.name
        if source is not None and source.secret_key_ref is not None:
            yield "Secret", source.secret_key_ref.name
