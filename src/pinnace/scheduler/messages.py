"""Renders why a pod can't be scheduled, in Kubernetes' exact words. Pure.

Source: Kubernetes v1.36, pkg/scheduler/framework/types.go, FitError.Error; framework/preemption, Preempt
"""

from collections import Counter
from collections.abc import Collection, Iterable

from pinnace.scheduler.framework import Rejection

NO_NODES = "no nodes available to schedule pods"
GATED = "Scheduling is blocked due to non-empty scheduling gates"
NOT_HELPFUL = "Preemption is not helpful for scheduling"
NO_VICTIMS = "No preemption victims found for incoming pod"
NEVER = "preemption: not eligible due to preemptionPolicy=Never."


def render_unschedulable(rejections: Collection[Rejection], may_preempt: bool) -> str:
    """Return the message for a pod that each of the nodes turned down.

    Example: "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available:
    1 No preemption victims found for incoming pod."
    """
    if not rejections:
        return NO_NODES
    reasons = (reason for rejection in rejections for reason in rejection.reasons)
    preemption = (NO_VICTIMS if rejection.resolvable else NOT_HELPFUL for rejection in rejections)
    total = len(rejections)
    after = f"preemption: {_count(total, preemption)}" if may_preempt else NEVER
    return f"{_count(total, reasons)} {after}"


def _count(total: int, reasons: Iterable[str]) -> str:
    parts = sorted(f"{number} {reason}" for reason, number in Counter(reasons).items())
    return f"0/{total} nodes are available: {', '.join(parts)}."
