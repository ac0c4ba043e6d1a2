"""Decides how far one step may go: minimum and maximum, stabilization windows, policies per period.

Pure: a wish, the rules and the history in, a size with reasons and the new history out. Called by `decide.py`.
Invariant: min <= result <= max wherever current is; no step is larger than the selected policy allows within its period.
Source: Kubernetes v1.36, pkg/controller/podautoscaler/horizontal.go (normalizeDesiredReplicas and ...WithBehaviors), and
the page "Horizontal Pod Autoscaling", section "Configurable scaling behavior".
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pinnace.kube.objects.autoscaling_v2 import (
    HorizontalPodAutoscalerBehavior,
    HPAScalingPolicy,
    HPAScalingRules,
)

DOWNSCALE_STABILIZATION_S = (
    300.0  # Source: kube-controller-manager --horizontal-pod-autoscaler-downscale-stabilization
)
LIMIT_FACTOR = 2.0  # Source: horizontal.go, scaleUpLimitFactor
LIMIT_MINIMUM = 4.0  # Source: horizontal.go, scaleUpLimitMinimum

# Source: Kubernetes v1.36, pkg/apis/autoscaling/v2/defaults.go.
DEFAULT_UP = HPAScalingRules(
    policies=(
        HPAScalingPolicy(type="Pods", value=4, period_seconds=15),
        HPAScalingPolicy(type="Percent", value=100, period_seconds=15),
    ),
    select_policy="Max",
    stabilization_window_seconds=0,
)
DEFAULT_DOWN = HPAScalingRules(
    policies=(HPAScalingPolicy(type="Percent", value=100, period_seconds=15),),
    select_policy="Max",
    stabilization_window_seconds=None,
)

READY = ("ReadyForNewScale", "recommended size matches current size")
UP_STABILIZED = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
)
DOWN_STABILIZED = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
)
WITHIN = ("DesiredWithinRange", "the desired count is within the acceptable range")
TOO_MANY = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
TOO_FEW = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
UP_LIMIT = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
DOWN_LIMIT = ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")

Reasoned = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """A number at a time: a recommendation, or a change of size (always positive)."""

    at: float
    count: int


@dataclass(frozen=True, slots=True)
class History:
    """What one autoscaler remembers. A restart forgets it, as Kubernetes' controller does."""

    recommendations: tuple[Entry, ...] = ()
    ups: tuple[Entry, ...] = ()
    downs: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """What the metrics call for, and between which bounds."""

    current: int
    desired: int
    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class Step:
    """Where to go now. `able` and `limited_by` are (reason, message) of the conditions AbleToScale and ScalingLimited."""

    replicas: int
    able: Reasoned
    limited: bool
    limited_by: Reasoned
    history: History


def normalize(
    wish: Wish, behavior: HorizontalPodAutoscalerBehavior | None, history: History, now: float
) -> Step:
    """Return the step for a wish. Without `behavior`, the older fixed rules hold: at most double (or 4), 5 minutes down.

    Example: 3 replicas, 10 wanted, no behavior: 6 (max(2 * 3, 4)), limited by ScaleUpLimit; 15 s later 10.
    """
    if behavior is None:
        stabilized, able, history = _stabilize_by_default(wish, history, now)
        replicas, limited_by = _limit_by_default(wish, stabilized)
    else:
        up = _with_defaults(behavior.scale_up, DEFAULT_UP)
        down = _with_defaults(behavior.scale_down, DEFAULT_DOWN)
        stabilized, able, history = _stabilize(wish, up, down, history, now)
        replicas, limited_by = _limit(wish, stabilized, up, down, history, now)
    return Step(replicas, able, replicas != stabilized, limited_by, history)


def remember_size(
    history: History, behavior: HorizontalPodAutoscalerBehavior | None, before: int, after: int, now: float
) -> History:
    """Return the history with a change of size that has been made. Without `behavior` nobody asks for it."""
    if behavior is None or before == after:
        return history
    rules = (_with_defaults(behavior.scale_up, DEFAULT_UP), _with_defaults(behavior.scale_down, DEFAULT_DOWN))
    longest = max((policy.period_seconds for rule in rules for policy in rule.policies), default=0)
    ups, downs = (_since(entries, now - longest) for entries in (history.ups, history.downs))
    entry = Entry(now, abs(after - before))
    return History(
        history.recommendations, *((*ups, entry), downs) if after > before else (ups, (*downs, entry))
    )


def _since(entries: Iterable[Entry], cutoff: float) -> tuple[Entry, ...]:
    return tuple(entry for entry in entries if entry.at >= cutoff)


def _with_defaults(rules: HPAScalingRules | None, defaults: HPAScalingRules) -> HPAScalingRules:
    if rules is None:
        return defaults
    window = rules.stabilization_window_seconds
    return HPAScalingRules(
        policies=rules.policies or defaults.policies,
        select_policy=rules.select_policy or defaults.select_policy,
        stabilization_window_seconds=defaults.stabilization_window_seconds if window is None else window,
    )


# ---------------------------------------------------------------------- the fixed rules


def _stabilize_by_default(wish: Wish, history: History, now: float) -> tuple[int, Reasoned, History]:
    recent = _since(history.recommendations, now - DOWNSCALE_STABILIZATION_S)
    highest = max((entry.count for entry in recent), default=wish.desired)
    stabilized = max(highest, wish.desired)
    able = READY if stabilized == wish.desired else DOWN_STABILIZED
    kept = (*recent, Entry(now, wish.desired))
    return stabilized, able, History(kept, history.ups, history.downs)


def _limit_by_default(wish: Wish, desired: int) -> tuple[int, Reasoned]:
    limit = int(max(LIMIT_FACTOR * wish.current, LIMIT_MINIMUM))
    ceiling, reason = (limit, UP_LIMIT) if wish.maximum > limit else (wish.maximum, TOO_MANY)
    if desired < wish.minimum:
        return wish.minimum, TOO_FEW
    return (ceiling, reason) if desired > ceiling else (desired, WITHIN)


# ---------------------------------------------------------------------- the rules of `behavior`


def _stabilize(
    wish: Wish, up: HPAScalingRules, down: HPAScalingRules, history: History, now: float
) -> tuple[int, Reasoned, History]:
    up_cutoff = now - (up.stabilization_window_seconds or 0)
    down_window = down.stabilization_window_seconds
    down_cutoff = now - (DOWNSCALE_STABILIZATION_S if down_window is None else down_window)
    lowest = highest = wish.desired
    for entry in history.recommendations:
        lowest = min(lowest, entry.count) if entry.at > up_cutoff else lowest
        highest = max(highest, entry.count) if entry.at > down_cutoff else highest
    stabilized = min(max(wish.current, lowest), highest)
    stable = UP_STABILIZED if wish.desired >= wish.current else DOWN_STABILIZED
    able = READY if stabilized == wish.desired else stable
    kept = (*_since(history.recommendations, min(up_cutoff, down_cutoff)), Entry(now, wish.desired))
    return stabilized, able, History(kept, history.ups, history.downs)


def _limit(
    wish: Wish, desired: int, up: HPAScalingRules, down: HPAScalingRules, history: History, now: float
) -> tuple[int, Reasoned]:
    if desired > wish.current:
        limit = max(wish.current, _select(up, wish.current, history, now, grow=True))
        ceiling, reason = (limit, UP_LIMIT) if wish.maximum > limit else (wish.maximum, TOO_MANY)
        return (ceiling, reason) if desired > ceiling else (desired, WITHIN)
    if desired < wish.current:
        limit = min(wish.current, _select(down, wish.current, history, now, grow=False))
        floor, reason = (limit, DOWN_LIMIT) if wish.minimum < limit else (wish.minimum, TOO_FEW)
        return (floor, reason) if desired < floor else (desired, WITHIN)
    return desired, WITHIN


def _select(rules: HPAScalingRules, current: int, history: History, now: float, *, grow: bool) -> int:
    """Return the size that the policies allow, counted from the size at the start of each one's period."""
    if rules.select_policy == "Disabled":
        return current
    limits = [_apply_policy(policy, current, history, now, grow=grow) for policy in rules.policies]
    if not limits:
        return current
    widest = (rules.select_policy != "Min") == grow  # the greatest change is the highest size when growing
    return max(limits) if widest else min(limits)


def _apply_policy(policy: HPAScalingPolicy, current: int, history: History, now: float, *, grow: bool) -> int:
    cutoff = now - policy.period_seconds
    added = sum(entry.count for entry in history.ups if entry.at > cutoff)
    removed = sum(entry.count for entry in history.downs if entry.at > cutoff)
    start = current - added + removed
    if policy.type == "Pods":
        return start + policy.value if grow else start - policy.value
    if grow:
        return math.ceil(start * (1 + policy.value / 100))  # rounded up, else a small set would never grow
    return int(start * (1 - policy.value / 100))
