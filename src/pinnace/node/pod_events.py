"""Writes the events of a node's pods: in order, with the container that they are about. A doer.

Called by the agent and its collaborators. It must never fail its caller, nor make it wait: an event is recorded beside
what happens. Invariant: the events of one pod are recorded in the order in which they were told.
"""

from __future__ import annotations

import logging

import msgspec

from pinnace.api.events import refer_to
from pinnace.api.facade import Api
from pinnace.base.errors import ApiError, PinnaceError, Reason
from pinnace.base.locks import KeyedLocks
from pinnace.base.tasks import Tasks
from pinnace.kube.objects.core_v1 import Container, ObjectReference, Pod
from pinnace.node.facts import is_ephemeral

log = logging.getLogger("pinnace.node")

COMPONENT = "kubelet"  # the name that Kubernetes' events carry


class PodEvents:
    """The events that one node tells of its pods."""

    def __init__(self, api: Api, tasks: Tasks, node_name: str) -> None:
        self._api = api
        self._tasks = tasks
        self._node_name = node_name
        self._recording = KeyedLocks()

    def tell(self, pod: Pod, type: str, reason: str, message: str, *, container: str = "") -> None:
        """Tell what happened to a pod, or to one of its containers; nothing if there is no message."""
        if not message:
            return
        about = msgspec.structs.replace(
            refer_to(pod), field_path=render_field(pod, container) if container else ""
        )
        self._tasks.spawn(self._record(about, type, reason, message), f"event {reason}")

    def tell_of(self, pod: Pod, container: Container, type: str, reason: str, message: str) -> None:
        """Tell what happened to a container."""
        self.tell(pod, type, reason, message, container=container.name)

    def tell_failure(self, uid: str, pod: Pod | None, error: PinnaceError) -> None:
        """Tell the log, and unless somebody else only was faster the pod, why a turn failed."""
        name = uid if pod is None else f"{pod.metadata.namespace}/{pod.metadata.name}"
        log.warning("pod %s: %s", name, error)
        raced = isinstance(error, ApiError) and error.reason is Reason.CONFLICT
        if pod is not None and not raced:
            self.tell(pod, "Warning", "FailedSync", f"error syncing pod: {error.message}")

    def tell_back_off(self, pod: Pod, container: Container) -> None:
        """Tell that a container which failed waits before it is started again."""
        name = f"{pod.metadata.name}_{pod.metadata.namespace}({pod.metadata.uid})"
        words = f"Back-off restarting failed container {container.name} in pod {name}"
        self.tell_of(pod, container, "Warning", "BackOff", words)

    async def _record(self, about: ObjectReference, type: str, reason: str, message: str) -> None:
        """Record an event after the pod's earlier ones, so that their order is kept and equal ones are counted."""
        async with self._recording.hold(about.uid):
            await self._api.record_event(
                about, type, reason, message, component=COMPONENT, host=self._node_name
            )


def render_field(pod: Pod, name: str) -> str:
    """Return where a container stands in its pod. Example: "spec.containers{web}"."""
    if is_ephemeral(pod, name):
        return f"spec.ephemeralContainers{{{name}}}"
    init = any(c.name == name for c in pod.spec.init_containers)
    return f"spec.{'initContainers' if init else 'containers'}{{{name}}}"
