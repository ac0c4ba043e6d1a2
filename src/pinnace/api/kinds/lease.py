"""The Lease's row. Pure. Source: Kubernetes v1.36, pkg/apis/coordination/validation."""

from pinnace.api.strategy import Strategy
from pinnace.api.validation.problems import Problems
from pinnace.kube.kinds import LEASE
from pinnace.kube.objects.coordination_v1 import Lease


def _validate(lease: Lease, problems: Problems) -> None:
    duration = lease.spec.lease_duration_seconds
    if duration is not None and duration <= 0:
        problems.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0")
    problems.not_negative("spec.leaseTransitions", lease.spec.lease_transitions)
    if lease.spec.preferred_holder and not lease.spec.strategy:
        problems.forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined")


STRATEGY = Strategy(kind=LEASE, validate=_validate, create_on_update=True, unconditional_update=False)
