"""Reads an autoscaler's target, pods and usage, carries out what `decide.py` says, every SYNC_S. Run by the runner.

Invariant: an autoscaler is looked at once per period, and at once when its spec changes; never because its status did.
"""

from collections.abc import Iterator
from typing import Any

from pinnace.api.facade import Api, ObjectChange
from pinnace.api.patches import Patch
from pinnace.api.world import Usage
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError
from pinnace.controllers.apply import apply_status
from pinnace.controllers.hpa.behavior import History
from pinnace.controllers.hpa.decide import HpaFacts, HpaPlan, TargetScale, reconcile_hpa, tell_failed_resize
from pinnace.controllers.runner import ObjectKey, Requeue, Source
from pinnace.kube.kinds import HORIZONTAL_POD_AUTOSCALER, POD, Kind
from pinnace.kube.objects.autoscaling_v1 import Scale
from pinnace.kube.objects.autoscaling_v2 import HorizontalPodAutoscaler
from pinnace.kube.objects.core_v1 import Pod
from pinnace.kube.patch import MERGE
from pinnace.kube.selectors import parse_labels

COMPONENT = "horizontal-pod-autoscaler"
SYNC_S = 15.0  # Source: kube-controller-manager --horizontal-pod-autoscaler-sync-period


class HpaController:
    """Sizes targets by usage."""

    name = "hpa"
    kind = HORIZONTAL_POD_AUTOSCALER

    def __init__(self, api: Api, clock: Clock, usage: Usage) -> None:
        self._api = api
        self._clock = clock
        self._usage = usage
        self._histories: dict[str, History] = {}  # by uid
        self.sources = (Source(HORIZONTAL_POD_AUTOSCALER, self._keys),)

    def _keys(self, change: ObjectChange[HorizontalPodAutoscaler]) -> Iterator[ObjectKey]:
        meta = change.object.metadata
        if change.type == "DELETED":
            self._histories.pop(meta.uid, None)
        elif change.previous is None or change.previous.spec != change.object.spec:
            yield ObjectKey(meta.namespace, meta.name)

    async def reconcile(self, key: ObjectKey) -> Requeue | None:
        hpa = self._api.find(HORIZONTAL_POD_AUTOSCALER, key.namespace, key.name)
        if hpa is None:
            return None
        facts, scale, kind = self._read_facts(hpa)
        history = self._histories.get(hpa.metadata.uid, History())
        plan = reconcile_hpa(facts, history, self._clock.now())
        if plan.resize_to is not None and scale is not None and kind is not None:
            plan = await self._resize(kind, scale, facts, plan, history)
        self._histories[hpa.metadata.uid] = plan.history
        for event in plan.events:
            await self._api.record_event(hpa, event.type, event.reason, event.message, component=COMPONENT)
        if plan.status != hpa.status:
            await apply_status(self._api, hpa, plan.status)
        return Requeue(SYNC_S)

    # ------------------------------------------------------------------ facts

    def _read_facts(self, hpa: HorizontalPodAutoscaler) -> tuple[HpaFacts, Scale | None, Kind[Any] | None]:
        ref, namespace = hpa.spec.scale_target_ref, hpa.metadata.namespace
        kind = self._api.kinds.by_api_version(ref.api_version or "v1", ref.kind)
        if kind is None or kind.subresource("scale") is None:
            group, _, version = ref.api_version.rpartition("/")
            return (
                HpaFacts(
                    hpa, f'no matches for kind "{ref.kind}" in version "{group}/{version}"'.replace('"/', '"')
                ),
                None,
                None,
            )
        kind = self._api.kinds.by_resource(kind.resource) or kind
        try:
            scale = self._api.get_scale(kind, namespace, ref.name)
        except ApiError as error:
            return HpaFacts(hpa, str(error)), None, None
        selector = (scale.status.selector if scale.status is not None else "") or ""
        target = TargetScale((scale.spec.replicas if scale.spec is not None else 0) or 0, selector)
        pods = self._pods_of(namespace, selector)
        usage = {pod.metadata.name: self._usage.pod_usage(namespace, pod.metadata.name) for pod in pods}
        facts = HpaFacts(
            hpa, target, pods, {name: used for name, used in usage.items() if used}, self._rivals(hpa, pods)
        )
        return facts, scale, kind

    def _pods_of(self, namespace: str, selector: str) -> tuple[Pod, ...]:
        return self._api.list(POD, namespace, labels=parse_labels(selector).matches) if selector else ()

    def _rivals(self, hpa: HorizontalPodAutoscaler, pods: tuple[Pod, ...]) -> tuple[str, ...]:
        """Return the other autoscalers that count some of these pods. Most namespaces have one, and this is short."""
        found = []
        for other in self._api.list(HORIZONTAL_POD_AUTOSCALER, hpa.metadata.namespace):
            if other.metadata.uid == hpa.metadata.uid:
                continue
            matches = parse_labels(self._selector_of(other)).matches
            if self._selector_of(other) and any(matches(pod.metadata.labels) for pod in pods):
                found.append(f"{other.metadata.namespace}/{other.metadata.name}")
        return tuple(found)

    def _selector_of(self, hpa: HorizontalPodAutoscaler) -> str:
        ref = hpa.spec.scale_target_ref
        kind = self._api.kinds.by_api_version(ref.api_version or "v1", ref.kind)
        if kind is None or kind.subresource("scale") is None:
            return ""
        try:
            stored = self._api.kinds.by_resource(kind.resource) or kind
            scale = self._api.get_scale(stored, hpa.metadata.namespace, ref.name)
        except ApiError:
            return ""
        return (scale.status.selector if scale.status is not None else "") or ""

    # ------------------------------------------------------------------ the deed

    async def _resize(
        self, kind: Kind[Any], scale: Scale, facts: HpaFacts, plan: HpaPlan, history: History
    ) -> HpaPlan:
        try:
            wanted = Patch(MERGE, b'{"spec":{"replicas":%d}}' % (plan.resize_to or 0))
            await self._api.patch_scale(kind, facts.hpa.metadata.namespace, scale.metadata.name, wanted)
        except ApiError as error:
            return tell_failed_resize(facts, plan, history, str(error), self._clock.now())
        return plan
