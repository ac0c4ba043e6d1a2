"""Decides the size of an autoscaler's target, and what its status, conditions and events say.

Pure: facts, the history and `now` in, a plan out. Never reads a clock, a store or a log.
Invariant: the size is between minReplicas and maxReplicas, and 0 stays 0 unless minReplicas is 0.
Source: Kubernetes v1.36, pkg/controller/podautoscaler/horizontal.go, reconcileAutoscaler.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from pinnace.api.world import ContainerUsage
from pinnace.base.times import render_time
from pinnace.controllers.hpa.behavior import Entry, History, Wish, normalize, remember_size
from pinnace.controllers.hpa.metrics import Outcome, compute_for_metrics
from pinnace.kube.objects.autoscaling_v2 import (
    HorizontalPodAutoscaler,
    HorizontalPodAutoscalerCondition,
    HorizontalPodAutoscalerStatus,
    MetricStatus,
)
from pinnace.kube.objects.core_v1 import Pod

ABLE, ACTIVE, LIMITED = "AbleToScale", "ScalingActive", "ScalingLimited"


@dataclass(frozen=True, slots=True)
class TargetScale:
    """The target's size as its `scale` says. `selector` is the text of the label selector."""

    replicas: int
    selector: str


@dataclass(frozen=True, slots=True)
class HpaFacts:
    """One autoscaler and its world. `scale`: the target's, or the words of why it can't be read.

    `pods`: those that the target's selector finds. `usage`: by pod and container, empty for a pod not yet measured.
    `rivals`: other autoscalers ("namespace/name") that count some of the same pods.
    """

    hpa: HorizontalPodAutoscaler
    scale: TargetScale | str
    pods: tuple[Pod, ...] = ()
    usage: Mapping[str, Mapping[str, ContainerUsage]] = field(default_factory=dict)
    rivals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """An event about the autoscaler."""

    type: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class HpaPlan:
    """`resize_to`: the target's new size, None to leave it. `status`, `events` and `history` hold once that is done."""

    resize_to: int | None
    why: str
    status: HorizontalPodAutoscalerStatus
    events: tuple[Told, ...]
    history: History

    def describe(self) -> str:
        """Return the plan as lines of text."""
        head = "keep the size" if self.resize_to is None else f"resize to {self.resize_to}: {self.why}"
        return "\n".join([head, *(f"{event.type} {event.reason}: {event.message}" for event in self.events)])


def reconcile_hpa(facts: HpaFacts, history: History, now: float) -> HpaPlan:
    """Return what one round of an autoscaler does."""
    return _Round(facts, history, now).decide()


class _Round:
    """One decision: collects conditions and events on the way."""

    def __init__(self, facts: HpaFacts, history: History, now: float) -> None:
        self.facts = facts
        self.hpa = facts.hpa
        self.history = history
        self.now = now
        self.conditions = facts.hpa.status.conditions
        self.events: list[Told] = []
        self.metrics: tuple[MetricStatus, ...] = ()

    def decide(self) -> HpaPlan:
        scale = self.facts.scale
        if isinstance(scale, str):
            self._warn("FailedGetScale", scale)
            self._set(
                ABLE,
                False,
                "FailedGetScale",
                f"the HPA controller was unable to get the target's current scale: {scale}",
            )
            status = msgspec.structs.replace(self.hpa.status, conditions=self.conditions)
            return HpaPlan(None, "", status, tuple(self.events), self.history)
        self._set(
            ABLE, True, "SucceededGetScale", "the HPA controller was able to get the target's current scale"
        )
        if not self.history.recommendations:
            self.history = replace(self.history, recommendations=(Entry(self.now, scale.replicas),))
        return self._decide_size(scale)

    def _decide_size(self, scale: TargetScale) -> HpaPlan:
        spec, current = self.hpa.spec, scale.replicas
        minimum = 1 if spec.min_replicas is None else spec.min_replicas
        if current == 0 and minimum != 0:
            self._set(
                ACTIVE,
                False,
                "ScalingDisabled",
                "scaling is disabled since the replica count of the target is zero",
            )
            return self._finish(current, current, "")
        if current > spec.max_replicas:
            return self._finish(
                current, spec.max_replicas, "Current number of replicas above Spec.MaxReplicas"
            )
        if current < minimum:
            return self._finish(current, minimum, "Current number of replicas below Spec.MinReplicas")
        if not self._selects_clearly(scale):
            return self._stay(current)
        outcome = compute_for_metrics(self.hpa, current, self.facts.pods, self.facts.usage, self.now)
        for failure in outcome.failures:
            self._warn(failure.reason, failure.why)
        self.metrics = outcome.statuses
        if outcome.replicas is None:
            return self._nothing_concluded(outcome, current)
        self._set(
            ACTIVE,
            True,
            "ValidMetricFound",
            f"the HPA was able to successfully calculate a replica count from {outcome.name}",
        )
        step = normalize(
            Wish(current, outcome.replicas, minimum, spec.max_replicas), spec.behavior, self.history, self.now
        )
        self.history = step.history
        self._set(ABLE, True, *step.able)
        self._set(LIMITED, step.limited, *step.limited_by)
        return self._finish(current, step.replicas, _why(outcome, current))

    def _selects_clearly(self, scale: TargetScale) -> bool:
        if not scale.selector:
            self._warn("SelectorRequired", "selector is required")
            self._set(ACTIVE, False, "InvalidSelector", "the HPA target's scale is missing a selector")
            return False
        if self.facts.rivals:
            mine = f"{self.hpa.metadata.namespace}/{self.hpa.metadata.name}"
            all_of_them = " ".join(sorted((mine, *self.facts.rivals)))
            text = f"pods by selector {scale.selector} are controlled by multiple HPAs: [{all_of_them}]"
            self._warn("AmbiguousSelector", text)
            self._set(ACTIVE, False, "AmbiguousSelector", text)
            return False
        return True

    def _nothing_concluded(self, outcome: Outcome, current: int) -> HpaPlan:
        if outcome.failures:
            first = outcome.failures[0]
            self._set(
                ACTIVE, False, first.reason, f"the HPA was unable to compute the replica count: {first.why}"
            )
            self._warn("FailedComputeMetricsReplicas", outcome.error)
        return self._stay(current)

    def _stay(self, current: int) -> HpaPlan:
        """Leave the size and, not knowing better, the wish as it was."""
        return self._plan(None, "", current, self.hpa.status.desired_replicas)

    def _finish(self, current: int, desired: int, why: str) -> HpaPlan:
        if desired == current:
            return self._plan(None, "", current, current)
        self._set(
            ABLE,
            True,
            "SucceededRescale",
            f"the HPA controller was able to update the target scale to {desired}",
        )
        self.events.append(Told("Normal", "SuccessfulRescale", f"New size: {desired}; reason: {why}"))
        self.history = remember_size(self.history, self.hpa.spec.behavior, current, desired, self.now)
        return self._plan(desired, why, current, desired)

    def _plan(self, resize_to: int | None, why: str, current: int, desired: int) -> HpaPlan:
        scaled_at = self.hpa.status.last_scale_time if resize_to is None else render_time(self.now)
        status = HorizontalPodAutoscalerStatus(
            conditions=self.conditions,
            current_metrics=self.metrics,
            current_replicas=current,
            desired_replicas=desired,
            last_scale_time=scaled_at,
            observed_generation=self.hpa.metadata.generation,
        )
        return HpaPlan(resize_to, why, status, tuple(self.events), self.history)

    def _warn(self, reason: str, message: str) -> None:
        self.events.append(Told("Warning", reason, message))

    def _set(self, type_: str, true: bool, reason: str, message: str) -> None:
        self.conditions = set_condition(
            self.conditions, type_, "True" if true else "False", reason, message, self.now
        )


def _why(outcome: Outcome, current: int) -> str:
    """Return what Kubernetes gives as the reason of a step: nothing where only an older recommendation calls for it."""
    wanted = outcome.replicas or 0
    if wanted > current:
        return f"{outcome.name} above target"
    return "All metrics below target" if wanted < current else ""


def set_condition(
    conditions: tuple[HorizontalPodAutoscalerCondition, ...],
    type_: str,
    status: str,
    reason: str,
    message: str,
    now: float,
) -> tuple[HorizontalPodAutoscalerCondition, ...]:
    """Return the conditions with one set in its place; its time moves only when its status does."""
    before = next((one for one in conditions if one.type == type_), None)
    unmoved = before is not None and before.status == status
    after = HorizontalPodAutoscalerCondition(
        type=type_,
        status=status,
        reason=reason,
        message=message,
        last_transition_time=before.last_transition_time
        if before is not None and unmoved
        else render_time(now),
    )
    if before is None:
        return (*conditions, after)
    return tuple(after if one is before else one for one in conditions)


def tell_failed_resize(facts: HpaFacts, plan: HpaPlan, history: History, error: str, now: float) -> HpaPlan:
    """Return what holds instead of `plan` when the target refused its new size. `history`: as it was before."""
    text = f"the HPA controller was unable to update the target scale: {error}"
    scale = facts.scale
    status = msgspec.structs.replace(
        plan.status,
        conditions=set_condition(plan.status.conditions, ABLE, "False", "FailedUpdateScale", text, now),
        desired_replicas=facts.hpa.status.desired_replicas,
        current_replicas=scale.replicas if isinstance(scale, TargetScale) else None,
        last_scale_time=facts.hpa.status.last_scale_time,
    )
    told = Told("Warning", "FailedRescale", f"New size: {plan.resize_to}; reason: {plan.why}; error: {error}")
    events = tuple(event for event in plan.events if event.reason != "SuccessfulRescale")
    kept = History(plan.history.recommendations, history.ups, history.downs)
    return HpaPlan(None, "", status, (*events, told), kept)
