"""An ephemeral container seen as a container: the fields that both have. Pure; used by defaults, validation and the node.

Source: Kubernetes v1, EphemeralContainer: all but `targetContainerName` is a Container's.
"""

from pinnace.kube.objects.core_v1 import Container, EphemeralContainer, Pod

_FIELDS = tuple(name for name in Container.__struct_fields__)


def as_container(one: EphemeralContainer) -> Container:
    """Return the container that an ephemeral one is, but for its target."""
    return Container(**{name: getattr(one, name) for name in _FIELDS})


def ephemeral_containers(pod: Pod) -> tuple[Container, ...]:
    """Return a pod's ephemeral containers as containers."""
    spec = pod.spec
    return tuple(as_container(one) for one in spec.ephemeral_containers) if spec.ephemeral_containers else ()


def target_of(pod: Pod, name: str) -> str:
    """Return the container whose processes an ephemeral one sees; "" for none."""
    return next((one.target_container_name for one in pod.spec.ephemeral_containers if one.name == name), "")
