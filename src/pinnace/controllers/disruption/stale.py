"""Takes back the condition that says a pod is about to go, when it did not go. Run by the runner.

An eviction marks its pod before it deletes it; if the deletion fails, nobody else takes the mark away.
Source: Kubernetes v1.36, pkg/controller/disruption/disruption.go, syncStalePodDisruption.
Invariant: a pod that is on its way out, or has ended, is left alone.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from pinnace.api.eviction import DISRUPTED
from pinnace.api.facade import Api, ObjectChange
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, Reason
from pinnace.base.times import parse_time, render_time
from pinnace.controllers.pods import find_condition, is_active
from pinnace.controllers.runner import ObjectKey, Requeue, Source
from pinnace.kube.kinds import POD
from pinnace.kube.objects.core_v1 import Pod, PodCondition

STALE_S = 120.0  # Source: the same file, stalePodDisruptionTimeout
BY_NODE = "TerminationByKubelet"  # which may take as long as it likes


def seconds_until_stale(pod: Pod, now: float) -> float | None:
    """Return how long the mark may still stand; 0 when it is stale, None when there is none to take away.

    Example: marked 100 s ago gives 20.
    """
    found = find_condition(pod, DISRUPTED)
    if found is None or found.status != "True" or found.reason == BY_NODE or not is_active(pod):
        return None
    if not found.last_transition_time:
        return 0.0
    return max(0.0, parse_time(found.last_transition_time) + STALE_S - now)


class StaleDisruptionController:
    """Takes back marks of evictions that came to nothing."""

    name = "stale-disruption"
    kind = POD

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self.sources = (Source(POD, self._keys),)

    def _keys(self, change: ObjectChange[Pod]) -> Iterator[ObjectKey]:
        if change.type != "DELETED" and seconds_until_stale(change.object, self._clock.now()) is not None:
            yield ObjectKey(change.object.metadata.namespace, change.object.metadata.name)

    async def reconcile(self, key: ObjectKey) -> Requeue | None:
        pod = self._api.find(POD, key.namespace, key.name)
        left_s = None if pod is None else seconds_until_stale(pod, self._clock.now())
        if left_s is None:
            return None
        if left_s > 0:
            return Requeue(left_s)
        try:
            await self._api.change(POD, key.namespace, key.name, self._take_back, subresource="status")
        except ApiError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise
        return None

    def _take_back(self, pod: Pod) -> Pod:
        now = self._clock.now()
        if seconds_until_stale(pod, now) != 0.0:
            return pod
        lifted = PodCondition(type=DISRUPTED, status="False", last_transition_time=render_time(now))
        conditions = tuple(lifted if each.type == DISRUPTED else each for each in pod.status.conditions)
        return replace(pod, status=replace(pod.status, conditions=conditions))
