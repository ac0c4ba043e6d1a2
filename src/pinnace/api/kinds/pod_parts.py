"""The parts of a Pod that have an address of their own: `ephemeralcontainers` and `resize`. Pure; rows of the Pod's strategy.

Source: Kubernetes v1.36, pkg/registry/core/pod/strategy.go, podEphemeralContainersStrategy and podResizeStrategy: what else
a request holds is dropped.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from pinnace.api.strategy import Subpart
from pinnace.api.validation.ephemeral import validate_ephemeral_update
from pinnace.api.validation.resize import validate_resize
from pinnace.kube.objects.core_v1 import Container, Pod


def keep_ephemeral(new: Pod, old: Pod) -> Pod:
    """Return the old pod with the new one's ephemeral containers."""
    spec = replace(old.spec, ephemeral_containers=new.spec.ephemeral_containers)
    return replace(old, spec=spec)


def keep_resources(new: Pod, old: Pod) -> Pod:
    """Return the old pod with the resources, by container name, that the new one has."""
    spec = replace(
        old.spec,
        containers=_with_resources(new.spec.containers, old.spec.containers),
        init_containers=_with_resources(new.spec.init_containers, old.spec.init_containers),
    )
    return replace(old, spec=spec)


def _with_resources(new: tuple[Container, ...], old: tuple[Container, ...]) -> tuple[Container, ...]:
    wanted = {container.name: container for container in new}
    return tuple(
        replace(
            before,
            resources=wanted[before.name].resources,
            resize_policy=wanted[before.name].resize_policy,
        )
        if before.name in wanted
        else before
        for before in old
    )


SUBPARTS: Mapping[str, Subpart[Pod]] = {
    "ephemeralcontainers": Subpart(keep=keep_ephemeral, validate=validate_ephemeral_update),
    "resize": Subpart(keep=keep_resources, validate=validate_resize),
}
