"""Decides which container of a pod a request means, and whether its log can be read yet. Pure.

Source: Kubernetes v1.36, pkg/registry/core/pod/strategy.go (validateContainer) and pkg/kubelet (validateContainerLogStatus),
for the words.
"""

from collections.abc import Iterable

from pinnace.base.errors import ApiError, Reason
from pinnace.kube.objects.core_v1 import ContainerStatus, Pod

_WAITING_WORDS = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
    "": "ContainerCreating",
}


def choose_container(pod: Pod, wished: str) -> str:
    """Return the container's name: the wished one, or the only one.

    Raises: ApiError BadRequest when there is no such container, or several and no wish.
    """
    if not wished:
        if len(pod.spec.containers) == 1:
            return pod.spec.containers[0].name
        raise ApiError(
            Reason.BAD_REQUEST,
            f"a container name must be specified for pod {pod.metadata.name}, choose one of: {_render_choice(pod)}",
        )
    spec = pod.spec
    known = {c.name for c in (*spec.containers, *spec.init_containers)}
    known.update(c.name for c in spec.ephemeral_containers)
    if wished not in known:
        raise ApiError(Reason.BAD_REQUEST, f"container {wished} is not valid for pod {pod.metadata.name}")
    return wished


def _render_choice(pod: Pod) -> str:
    text = _render_names(c.name for c in pod.spec.containers)
    if pod.spec.init_containers:
        text += f" or one of the init containers: {_render_names(c.name for c in pod.spec.init_containers)}"
    return text


def _render_names(names: Iterable[str]) -> str:
    return f"[{' '.join(names)}]"


def check_log_readable(pod: Pod, container: str, *, previous: bool) -> None:
    """Return if the container has written a log, or the previous one has if that is asked for.

    Raises: ApiError BadRequest, in Kubernetes' words.
    """
    status = _find_status(pod, container)
    name = pod.metadata.name
    if previous:
        if status is None or status.last_state.terminated is None:
            raise ApiError(
                Reason.BAD_REQUEST, f'previous terminated container "{container}" in pod "{name}" not found'
            )
        return
    if status is None:
        raise ApiError(Reason.BAD_REQUEST, _render_waiting(container, name, ""))
    waiting = status.state.waiting
    if waiting is not None and status.last_state.terminated is None:
        raise ApiError(Reason.BAD_REQUEST, _render_waiting(container, name, waiting.reason))


def _render_waiting(container: str, pod: str, reason: str) -> str:
    return f'container "{container}" in pod "{pod}" is waiting to start: {_WAITING_WORDS.get(reason, reason)}'


def _find_status(pod: Pod, container: str) -> ContainerStatus | None:
    status = pod.status
    statuses = (
        *status.container_statuses,
        *status.init_container_statuses,
        *status.ephemeral_container_statuses,
    )
    return next((s for s in statuses if s.name == container), None)
