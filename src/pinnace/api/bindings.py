"""Decides whether a pod may be bound to a node. Pure. Source: Kubernetes v1.36, pkg/registry/core/pod/storage, assignPod."""

from msgspec.structs import replace

from pinnace.api.errors import conflict
from pinnace.api.validation.problems import Problems
from pinnace.base.times import render_time
from pinnace.kube.kinds import POD
from pinnace.kube.objects.core_v1 import Pod, PodCondition


def bind_pod(pod: Pod, node_name: str, uid: str, now: float) -> Pod:
    """Return the pod as bound to the node.

    Raises: ApiError Conflict when it has a node, is being deleted or is another pod, Invalid without a node's name.
    """
    name = pod.metadata.name
    if not node_name:
        problems = Problems()
        problems.required("target.name")
        raise problems.to_error("Binding", "", name)
    if uid and uid != pod.metadata.uid:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {pod.metadata.uid}"
        raise conflict(POD, name, why, subresource="binding")
    if pod.metadata.deletion_timestamp:
        why = f"pod {name} is being deleted, cannot be assigned to a host"
        raise conflict(POD, name, why, subresource="binding")
    if pod.spec.node_name:
        why = f'pod {name} is already assigned to node "{pod.spec.node_name}"'
        raise conflict(POD, name, why, subresource="binding")
    if pod.spec.scheduling_gates:
        why = f"pod {name} has non-empty .spec.schedulingGates"
        raise conflict(POD, name, why, subresource="binding")
    scheduled = PodCondition(type="PodScheduled", status="True", last_transition_time=render_time(now))
    others = tuple(condition for condition in pod.status.conditions if condition.type != "PodScheduled")
    return replace(
        pod,
        spec=replace(pod.spec, node_name=node_name),
        status=replace(pod.status, conditions=(*others, scheduled)),
    )
