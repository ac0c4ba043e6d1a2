"""Facts about one pod that several controllers ask for: ready, available, active, ended.

Pure. Source for the definitions: Kubernetes v1.36, pkg/api/v1/pod/util.go and pkg/controller/controller_utils.go.
"""

from pinnace.base.times import parse_time
from pinnace.kube.objects.core_v1 import Pod, PodCondition


def find_condition(pod: Pod, type_: str) -> PodCondition | None:
    """Return the pod's condition of one type."""
    return next((condition for condition in pod.status.conditions if condition.type == type_), None)


def is_ready(pod: Pod) -> bool:
    """Say whether the pod's Ready condition is True."""
    condition = find_condition(pod, "Ready")
    return condition is not None and condition.status == "True"


def is_ended(pod: Pod) -> bool:
    """Say whether all of the pod's containers have ended for good."""
    return pod.status.phase in ("Succeeded", "Failed")


def is_terminating(pod: Pod) -> bool:
    """Say whether the pod has been told to go."""
    return bool(pod.metadata.deletion_timestamp)


def is_active(pod: Pod) -> bool:
    """Say whether the pod counts as a replica: it has neither ended nor been told to go."""
    return not is_ended(pod) and not is_terminating(pod)


def seconds_until_available(pod: Pod, min_ready_s: int, now: float) -> float | None:
    """Return 0 when the pod is available, the seconds until it will be when it stays ready, None when it is not ready.

    Example: ready for 4 s with `min_ready_s` 10 gives 6.
    """
    condition = find_condition(pod, "Ready")
    if condition is None or condition.status != "True":
        return None
    if min_ready_s == 0:
        return 0.0
    if not condition.last_transition_time:
        return None
    return max(0.0, parse_time(condition.last_transition_time) + min_ready_s - now)
