"""Decides which pods a ReplicaSet adopts, releases, creates and deletes, and computes its status.

Pure: facts and `now` in, a plan out. Never reads a clock, a store or a log.
Invariant: active pods + creates - deletes == spec.replicas, unless more than BURST are missing or too many.
Source: Kubernetes v1.36, pkg/controller/replicaset (replica_set.go, replica_set_utils.go).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from pinnace.base.times import render_time
from pinnace.controllers.deployment.counts import replicas_of
from pinnace.controllers.owners import compute_claims, controller_reference
from pinnace.controllers.plan import Change, name_of
from pinnace.controllers.pods import is_active, is_ended, is_ready, is_terminating, seconds_until_available
from pinnace.controllers.replicaset.ranking import choose_victims
from pinnace.kube.objects.apps_v1 import ReplicaSet, ReplicaSetCondition, ReplicaSetStatus
from pinnace.kube.objects.core_v1 import Pod
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.kube.selectors import selector_of

BURST = 500  # Source: replica_set.go, BurstReplicas


@dataclass(frozen=True, slots=True)
class ReplicaSetFacts:
    """One set and its world. `pods`: its own and those without a controller in its namespace (more do no harm).

    `related`: the pods of sets with the same owner, its own too.
    """

    replica_set: ReplicaSet
    pods: tuple[Pod, ...] = ()
    related: tuple[Pod, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplicaSetPlan:
    """What to do with pods, in this order. `owned` are the pods that are the set's after `claims`."""

    claims: tuple[Change, ...] = ()
    create: int = 0
    delete: tuple[Pod, ...] = ()
    owned: tuple[Pod, ...] = ()

    def describe(self) -> str:
        """Return the plan as lines of text."""
        lines = [step.describe() for step in self.claims]
        lines += [f"create {self.create} pods"] if self.create else []
        lines += [f"delete {name_of(pod)}" for pod in self.delete]
        return "\n".join(lines or ["nothing to do"])


def reconcile_replica_set(facts: ReplicaSetFacts, now: float) -> ReplicaSetPlan:
    """Return what the set's pods need. A set that is being deleted neither creates nor deletes."""
    one = facts.replica_set
    if one.spec.selector is None:
        return ReplicaSetPlan()
    claims = compute_claims(
        one, (pod for pod in facts.pods if not is_ended(pod)), selector_of(one.spec.selector).matches
    )
    changes = (
        *(Change(before, after, "adopt") for before, after in claims.adopt),
        *(Change(before, after, "release: its labels no longer match") for before, after in claims.release),
    )
    owned = (*claims.owned, *(after for _, after in claims.adopt))
    active = [pod for pod in owned if is_active(pod)]
    missing = replicas_of(one) - len(active)
    if one.metadata.deletion_timestamp or missing == 0:
        return ReplicaSetPlan(changes, owned=owned)
    if missing > 0:
        return ReplicaSetPlan(changes, create=min(missing, BURST), owned=owned)
    victims = choose_victims(active, facts.related or active, min(-missing, BURST), now)
    return ReplicaSetPlan(changes, delete=victims, owned=owned)


def build_pod(one: ReplicaSet) -> Pod:
    """Return a pod of the set's template, named by the API."""
    template = one.spec.template
    return Pod(
        api_version="v1",
        kind="Pod",
        metadata=ObjectMeta(
            generate_name=f"{one.metadata.name}-",
            namespace=one.metadata.namespace,
            labels=template.metadata.labels,
            annotations=template.metadata.annotations,
            finalizers=template.metadata.finalizers,
            owner_references=(controller_reference(one),),
        ),
        spec=template.spec,
    )


@dataclass(frozen=True, slots=True)
class ManageFailure:
    """What kept the set from creating or deleting pods. `reason` is FailedCreate or FailedDelete."""

    reason: str
    message: str


def compute_status(
    one: ReplicaSet, owned: Sequence[Pod], failure: ManageFailure | None, now: float
) -> tuple[ReplicaSetStatus, float | None]:
    """Return the set's status, and after how many seconds a ready pod will have become available, if one will."""
    active = [pod for pod in owned if is_active(pod)]
    waits = [seconds_until_available(pod, one.spec.min_ready_seconds or 0, now) for pod in active]
    labels = one.spec.template.metadata.labels.items()
    status = msgspec.structs.replace(
        one.status,
        replicas=len(active),
        fully_labeled_replicas=_counted(sum(labels <= pod.metadata.labels.items() for pod in active)),
        ready_replicas=_counted(sum(is_ready(pod) for pod in active)),
        available_replicas=_counted(sum(wait == 0 for wait in waits)),
        terminating_replicas=sum(is_terminating(pod) and not is_ended(pod) for pod in owned),
        observed_generation=one.metadata.generation,
        conditions=_judge_failure(one, failure, now),
    )
    return status, min((wait for wait in waits if wait), default=None)


def _counted(count: int) -> int | None:
    return count or None  # as in Kubernetes, a count of 0 is absent on the wire


def _judge_failure(
    one: ReplicaSet, failure: ManageFailure | None, now: float
) -> tuple[ReplicaSetCondition, ...]:
    others = tuple(c for c in one.status.conditions if c.type != "ReplicaFailure")
    if failure is None:
        return others
    present = next((c for c in one.status.conditions if c.type == "ReplicaFailure"), None)
    if present is not None:
        return one.status.conditions
    return (
        *others,
        ReplicaSetCondition(
            type="ReplicaFailure",
            status="True",
            reason=failure.reason,
            message=failure.message,
            last_transition_time=render_time(now),
        ),
    )
