"""Says what a pod's PodScheduled condition becomes. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from pinnace.base.times import render_time
from pinnace.kube.objects.core_v1 import Pod, PodCondition

POD_SCHEDULED = "PodScheduled"


def with_not_scheduled(pod: Pod, uid: str, reason: str, message: str, now: float) -> Pod:
    """Return the pod with PodScheduled=False, or unchanged when that is said already, or no longer true.

    Shape: the condition keeps its place and, while its status stays, its transition time.
    """
    if pod.metadata.uid != uid or pod.spec.node_name:
        return pod
    before = next((c for c in pod.status.conditions if c.type == POD_SCHEDULED), None)
    if before is not None and (before.status, before.reason, before.message) == ("False", reason, message):
        return pod
    since = (
        before.last_transition_time if before is not None and before.status == "False" else render_time(now)
    )
    condition = PodCondition(
        type=POD_SCHEDULED,
        status="False",
        reason=reason,
        message=message,
        last_transition_time=since,
        observed_generation=pod.metadata.generation,
    )
    if before is None:
        conditions = (*pod.status.conditions, condition)
    else:
        conditions = tuple(condition if c is before else c for c in pod.status.conditions)
    return replace(pod, status=replace(pod.status, conditions=conditions))
