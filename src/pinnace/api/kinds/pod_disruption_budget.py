"""The PodDisruptionBudget's row. Pure. Source: Kubernetes v1.36, pkg/apis/policy/validation, pkg/registry/policy."""

from pinnace.api.kinds.replicas import validate_counts, validate_share, validate_share_most
from pinnace.api.strategy import Strategy, drop_status, keep_status, take_status
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.selectors import validate_label_selector
from pinnace.kube.kinds import POD_DISRUPTION_BUDGET
from pinnace.kube.objects.policy_v1 import PodDisruptionBudget

_POLICIES = frozenset({"AlwaysAllow", "IfHealthyBudget"})
_COUNTS = (
    ("disruptions_allowed", "disruptionsAllowed"),
    ("current_healthy", "currentHealthy"),
    ("desired_healthy", "desiredHealthy"),
    ("expected_pods", "expectedPods"),
)


def _validate(budget: PodDisruptionBudget, problems: Problems) -> None:
    spec = budget.spec
    if spec.min_available is not None and spec.max_unavailable is not None:
        problems.invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set")
    for share, path in (
        (spec.min_available, "spec.minAvailable"),
        (spec.max_unavailable, "spec.maxUnavailable"),
    ):
        if share is not None:
            validate_share(share, path, problems)
            validate_share_most(share, path, problems)
    if spec.selector is not None:
        validate_label_selector(spec.selector, "spec.selector", problems)
    problems.one_of("spec.unhealthyPodEvictionPolicy", spec.unhealthy_pod_eviction_policy, _POLICIES)


def _validate_status(new: PodDisruptionBudget, old: PodDisruptionBudget, problems: Problems) -> None:
    validate_counts(new.status, _COUNTS, problems)


STRATEGY = Strategy(
    kind=POD_DISRUPTION_BUDGET,
    prepare_create=drop_status,
    prepare_update=keep_status,
    prepare_status=take_status,
    validate=_validate,
    validate_status=_validate_status,
    generation=True,
)
