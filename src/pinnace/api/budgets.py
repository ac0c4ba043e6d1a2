"""Decides whether a pod may be evicted, given the disruption budgets of its namespace.

Used by `eviction.py`; the disruption controller shares the words of the condition. Pure.
Source: Kubernetes v1.36, pkg/registry/core/pod/storage/eviction.go and component-helpers/apps/poddisruptionbudget.
Invariant: what is counted here is never more than the controller has allowed.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from pinnace.api.errors import forbidden
from pinnace.base.errors import ApiError, Cause, Reason
from pinnace.base.times import render_time
from pinnace.kube.kinds import POD_DISRUPTION_BUDGET
from pinnace.kube.objects.core_v1 import Pod
from pinnace.kube.objects.meta_v1 import Condition
from pinnace.kube.objects.policy_v1 import PodDisruptionBudget, PodDisruptionBudgetStatus
from pinnace.kube.selectors import selector_of

ALLOWED = "DisruptionAllowed"
MOST_DISRUPTED = 2000  # Source: eviction.go, MaxDisruptedPodSize
REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."
_SEVERAL = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
_CAUSE = "DisruptionBudget"
_RETRY_S = 10  # Source: eviction.go, createTooManyRequestsError


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an eviction goes on: which budget it is counted in, and whether the pod must still be the one that was seen."""

    budget: PodDisruptionBudget | None = None
    unchanged: bool = False


def judge_eviction(pod: Pod, budgets: Iterable[PodDisruptionBudget]) -> Verdict:
    """Return how the eviction of a pod goes on.

    Raises: ApiError InternalError when several budgets are about the pod.
    """
    if pod.metadata.deletion_timestamp or pod.status.phase in ("Succeeded", "Failed"):
        return Verdict()
    if pod.status.phase == "Pending":
        return Verdict(unchanged=True)
    matching = find_budgets(pod, budgets)
    if len(matching) > 1:
        raise ApiError(Reason.INTERNAL_ERROR, _SEVERAL)
    if not matching:
        return Verdict()
    budget = matching[0]
    if not _is_ready(pod) and _spares_unhealthy(budget):
        return Verdict(unchanged=True)
    return Verdict(budget)


def find_budgets(pod: Pod, budgets: Iterable[PodDisruptionBudget]) -> tuple[PodDisruptionBudget, ...]:
    """Return the budgets that are about a pod; one whose selector can't be read is about none."""
    return tuple(budget for budget in budgets if is_about(budget, pod))


def is_about(budget: PodDisruptionBudget, pod: Pod) -> bool:
    """Say whether a budget selects a pod of its namespace."""
    try:
        return selector_of(budget.spec.selector).matches(pod.metadata.labels)
    except ValueError:
        return False


def _is_ready(pod: Pod) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions)


def _spares_unhealthy(budget: PodDisruptionBudget) -> bool:
    """Say whether a pod that is not ready may go without being counted."""
    if budget.spec.unhealthy_pod_eviction_policy == "AlwaysAllow":
        return True
    desired = budget.status.desired_healthy or 0
    return desired > 0 and (budget.status.current_healthy or 0) >= desired


def count_disruption(budget: PodDisruptionBudget, pod_name: str, now: float) -> PodDisruptionBudget:
    """Return the budget with one disruption less, and the pod noted as about to go.

    Raises: ApiError TooManyRequests when there is none left, or the controller has not seen the budget yet; Forbidden.
    """
    status, name = budget.status, budget.metadata.name
    if (status.observed_generation or 0) < (budget.metadata.generation or 0):
        raise still_processing(name)
    allowed = status.disruptions_allowed or 0
    if allowed < 0:
        raise forbidden(POD_DISRUPTION_BUDGET, name, "pdb disruptions allowed is negative")
    if len(status.disrupted_pods) > MOST_DISRUPTED:
        why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise forbidden(POD_DISRUPTION_BUDGET, name, why)
    if allowed == 0:
        why = (
            f"The disruption budget {name} needs {status.desired_healthy or 0} healthy pods and has"
            f" {status.current_healthy or 0} currently"
        )
        raise _too_many(why)
    counted = replace(
        status,
        disruptions_allowed=allowed - 1,
        disrupted_pods={**status.disrupted_pods, pod_name: render_time(now)},
    )
    return replace(budget, status=set_allowed(counted, now) if allowed == 1 else counted)


def still_processing(name: str) -> ApiError:
    """The budget's status is not up to date, or the pod has changed meanwhile."""
    return _too_many(
        f"The disruption budget {name} is still being processed by the server.", retry_after_s=_RETRY_S
    )


def _too_many(why: str, *, retry_after_s: int | None = None) -> ApiError:
    return ApiError(
        Reason.TOO_MANY_REQUESTS, REFUSED, causes=(Cause(_CAUSE, why),), retry_after_s=retry_after_s
    )


def set_allowed(status: PodDisruptionBudgetStatus, now: float) -> PodDisruptionBudgetStatus:
    """Return the status with the condition that says whether pods may be evicted now."""
    if (status.disruptions_allowed or 0) > 0:
        return set_condition(status, "True", "SufficientPods", "", now)
    return set_condition(status, "False", "InsufficientPods", "", now)


def set_condition(
    status: PodDisruptionBudgetStatus, value: str, reason: str, message: str, now: float
) -> PodDisruptionBudgetStatus:
    """Return the status with the condition `DisruptionAllowed`; its time moves only with its value."""
    before = next((each for each in status.conditions if each.type == ALLOWED), None)
    kept = before is not None and before.status == value
    condition = Condition(
        type=ALLOWED,
        status=value,
        reason=reason,
        message=message,
        observed_generation=status.observed_generation,
        last_transition_time=before.last_transition_time if kept and before is not None else render_time(now),
    )
    if before is None:
        return replace(status, conditions=(*status.conditions, condition))
    return replace(
        status, conditions=tuple(condition if each.type == ALLOWED else each for each in status.conditions)
    )
