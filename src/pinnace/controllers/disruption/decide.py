"""Decides what a disruption budget's status says, and when to look at it again.

Pure. Source: Kubernetes v1.36, pkg/controller/disruption/disruption.go.
Invariant: `disruptionsAllowed` is 0 when no pod is expected, when facts are missing, and when too few are healthy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from pinnace.api.budgets import set_allowed, set_condition
from pinnace.base.times import parse_time
from pinnace.controllers.plan import Plan, Record, SetStatus, Step, earliest
from pinnace.controllers.pods import is_ready, is_terminating
from pinnace.kube.int_or_percent import resolve_int_or_percent
from pinnace.kube.objects.core_v1 import Pod
from pinnace.kube.objects.policy_v1 import PodDisruptionBudget, PodDisruptionBudgetStatus

# Source: the same file, DeletionTimeout: an evicted pod that is still there then will not go.
DELETION_TIMEOUT_S = 120.0
_UNMANAGED = (
    "Pods selected by this PodDisruptionBudget (selector: {}) were found to be unmanaged. As a result, the status of the"
    " PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set"
    ' ".spec.minAvailable" field of the PDB to an integer value.'
)


@dataclass(frozen=True, slots=True)
class BudgetFacts:
    """What is known of one budget.

    Shape: `scales` maps the uid of each controller of the pods to the number of pods that it wants; `trouble` says why
    some could not be read, "" if all could; `unmanaged` are pods without a controller.
    """

    budget: PodDisruptionBudget
    pods: tuple[Pod, ...] = ()
    scales: Mapping[str, int] = field(default_factory=dict)
    unmanaged: tuple[str, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Expectation:
    """How many pods there should be, and how many of them healthy."""

    expected: int
    desired: int


def asks_controllers(budget: PodDisruptionBudget) -> bool:
    """Say whether the number of expected pods is what their controllers want, not how many there are."""
    spec = budget.spec
    return spec.max_unavailable is not None or isinstance(spec.min_available, str)


def compute_expectation(facts: BudgetFacts) -> Expectation:
    """Return what the budget expects.

    Example: maxUnavailable "25%" of 10 expected pods lets 3 go, so 7 must be healthy; minAvailable "50%" of 7 wants 4.
    """
    spec = facts.budget.spec
    wanted = sum(facts.scales.values())
    if spec.max_unavailable is not None:
        missing = resolve_int_or_percent(spec.max_unavailable, wanted, round_up=True)
        return Expectation(wanted, max(0, wanted - missing))
    if isinstance(spec.min_available, str):
        return Expectation(wanted, resolve_int_or_percent(spec.min_available, wanted, round_up=True))
    if spec.min_available is not None:
        return Expectation(len(facts.pods), spec.min_available)
    return Expectation(0, 0)


def reconcile_budget(facts: BudgetFacts, now: float) -> Plan:
    """Return the status to write, what to tell, and when to look again."""
    budget = facts.budget
    if facts.trouble:
        return _fail_safe(budget, facts.trouble, now)
    disrupted, recheck_s, told = _follow_disrupted(facts, now)
    healthy = sum(
        1
        for pod in facts.pods
        if not is_terminating(pod) and pod.metadata.name not in disrupted and is_ready(pod)
    )
    expectation = compute_expectation(facts)
    allowed = max(0, healthy - expectation.desired) if expectation.expected > 0 else 0
    status = replace(
        budget.status,
        current_healthy=healthy,
        desired_healthy=expectation.desired,
        expected_pods=expectation.expected,
        disruptions_allowed=allowed,
        disrupted_pods=disrupted,
        observed_generation=budget.metadata.generation,
    )
    status = set_allowed(status, now)
    steps: list[Step] = []
    if status != budget.status:
        steps.append(SetStatus(budget, status))
        if not facts.pods:
            steps.append(Record(budget, "Normal", "NoPods", "No matching pods found"))
        if facts.unmanaged and asks_controllers(budget):
            steps.append(
                Record(budget, "Warning", "UnmanagedPods", _UNMANAGED.format(_render_selector(budget)))
            )
    return Plan((*steps, *told), recheck_s)


def _follow_disrupted(
    facts: BudgetFacts, now: float
) -> tuple[dict[str, str], float | None, tuple[Step, ...]]:
    """Return the evicted pods that are still expected to go, when to look again, and what to tell of the others."""
    budget, kept, recheck_s = facts.budget, dict[str, str](), None
    told: list[Step] = []
    for pod in facts.pods:
        since = budget.status.disrupted_pods.get(pod.metadata.name)
        if since is None or is_terminating(pod):
            continue
        left_s = parse_time(since) + DELETION_TIMEOUT_S - now
        if left_s < 0:
            where = f"{budget.metadata.namespace}/{budget.metadata.name}"
            why = f"Pod was expected by PDB {where} to be deleted but it wasn't"
            told.append(Record(pod, "Warning", "NotDeleted", why))
            continue
        kept[pod.metadata.name] = since
        recheck_s = earliest(recheck_s, max(1.0, left_s))
    return kept, recheck_s, tuple(told)


def _fail_safe(budget: PodDisruptionBudget, trouble: str, now: float) -> Plan:
    """When pods can't be counted, none may be evicted."""
    status: PodDisruptionBudgetStatus = replace(budget.status, disruptions_allowed=0)
    status = set_condition(status, "False", "SyncFailed", trouble, now)
    if status == budget.status:
        return Plan()
    why = f"Failed to calculate the number of expected pods: {trouble}"
    return Plan(
        (
            SetStatus(budget, status),
            Record(budget, "Warning", "CalculateExpectedPodCountFailed", why),
        )
    )


def _render_selector(budget: PodDisruptionBudget) -> str:
    selector = budget.spec.selector
    if selector is None:
        return "nil"
    labels = [f"{key}: {value}" for key, value in sorted(selector.match_labels.items())]
    terms = [
        f"{{{each.key} {each.operator} [{' '.join(each.values)}]}}" for each in selector.match_expressions
    ]
    return f"&LabelSelector{{MatchLabels:map[string]string{{{','.join(labels)}}},MatchExpressions:[{','.join(terms)}]}}"
