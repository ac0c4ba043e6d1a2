"""What is legal in a pod's spec, and yet most likely not meant. Pure.

Source: Kubernetes v1.36, pkg/api/pod/warnings.go.
"""

from collections.abc import Iterator

from pinnace.kube.objects.core_v1 import Container, PodSpec


def find_pod_warnings(spec: PodSpec, path: str) -> Iterator[str]:
    """Yield sentences for the person who wrote the spec; `path` is where it stands, like "spec"."""
    for name, containers in (("containers", spec.containers), ("initContainers", spec.init_containers)):
        for index, container in enumerate(containers):
            yield from _find_in_container(container, f"{path}.{name}[{index}]")


def _find_in_container(container: Container, path: str) -> Iterator[str]:
    names: set[str] = set()
    for index, variable in enumerate(container.env):
        if variable.name in names:
            yield (
                f'{path}.env[{index}]: hides previous definition of "{variable.name}", '
                "which may be dropped when using apply"
            )
        names.add(variable.name)
    ports: dict[tuple[int, str], int] = {}
    for index, port in enumerate(container.ports):
        first = ports.setdefault((port.container_port, port.protocol), index)
        if first != index:
            yield f"{path}.ports[{index}]: duplicate port definition with {path}.ports[{first}]"
