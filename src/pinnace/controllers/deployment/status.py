"""Computes a deployment's status: counts, the conditions Available, Progressing and ReplicaFailure, the progress deadline.

Pure. Called by `rollout.py`. Source: Kubernetes v1.36, pkg/controller/deployment/progress.go and sync.go, calculateStatus.
Invariant: an unchanged world gives an equal status, so that nothing is written.
"""

from collections.abc import Sequence

import msgspec

from pinnace.base.times import parse_time, render_time
from pinnace.controllers.deployment.counts import bounds_of, replicas_of, sum_replicas
from pinnace.kube.objects.apps_v1 import Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet

NO_DEADLINE = 2**31 - 1  # Source: deployment_util.go, HasProgressDeadline (math.MaxInt32)

NEW_CREATED = "NewReplicaSetCreated"
NEW_FOUND = "FoundNewReplicaSet"
NEW_AVAILABLE = "NewReplicaSetAvailable"
UPDATED = "ReplicaSetUpdated"
TIMED_OUT = "ProgressDeadlineExceeded"
CREATE_ERROR = "ReplicaSetCreateError"
PAUSED = "DeploymentPaused"
RESUMED = "DeploymentResumed"

Conditions = tuple[DeploymentCondition, ...]


def deadline_of(deployment: Deployment) -> int | None:
    """Return the seconds without progress after which a rollout has failed; None when there is no such limit."""
    deadline = deployment.spec.progress_deadline_seconds
    return None if deadline is None or deadline == NO_DEADLINE else deadline


def find_condition(status: DeploymentStatus, type_: str) -> DeploymentCondition | None:
    """Return the condition of one type."""
    return next((condition for condition in status.conditions if condition.type == type_), None)


def new_condition(type_: str, status: str, reason: str, message: str, now: float) -> DeploymentCondition:
    """Return a condition that begins now."""
    at = render_time(now)
    return DeploymentCondition(
        type=type_,
        status=status,
        reason=reason,
        message=message,
        last_update_time=at,
        last_transition_time=at,
    )


def set_condition(status: DeploymentStatus, condition: DeploymentCondition) -> DeploymentStatus:
    """Return the status with the condition; one with equal status and reason stays as it is, times too."""
    current = find_condition(status, condition.type)
    if current is not None and (current.status, current.reason) == (condition.status, condition.reason):
        return status
    if current is not None and current.status == condition.status:
        condition = msgspec.structs.replace(condition, last_transition_time=current.last_transition_time)
    return _put(status, condition)


def remove_condition(status: DeploymentStatus, type_: str) -> DeploymentStatus:
    """Return the status without conditions of one type."""
    return msgspec.structs.replace(status, conditions=tuple(c for c in status.conditions if c.type != type_))


def _put(status: DeploymentStatus, condition: DeploymentCondition) -> DeploymentStatus:
    others = remove_condition(status, condition.type).conditions
    return msgspec.structs.replace(status, conditions=(*others, condition))


def mark_paused(deployment: Deployment, now: float) -> DeploymentStatus:
    """Return the status with Progressing Unknown where the deployment has just been paused or resumed.

    So the time that it was paused does not count towards the deadline.
    """
    status = deployment.status
    current = find_condition(status, "Progressing")
    if deadline_of(deployment) is None or (current is not None and current.reason == TIMED_OUT):
        return status
    was_paused = current is not None and current.reason == PAUSED
    if deployment.spec.paused and not was_paused:
        return set_condition(
            status, new_condition("Progressing", "Unknown", PAUSED, "Deployment is paused", now)
        )
    if not deployment.spec.paused and was_paused:
        return set_condition(
            status, new_condition("Progressing", "Unknown", RESUMED, "Deployment is resumed", now)
        )
    return status


def compute_counts(
    deployment: Deployment,
    before: DeploymentStatus,
    sets: Sequence[ReplicaSet],
    current: ReplicaSet | None,
    now: float,
) -> DeploymentStatus:
    """Return `before` with the counts of now and the Available condition."""
    available = sum(one.status.available_replicas or 0 for one in sets)
    status = msgspec.structs.replace(
        before,
        observed_generation=deployment.metadata.generation,
        replicas=_counted(sum(one.status.replicas or 0 for one in sets)),
        updated_replicas=_counted(0 if current is None else current.status.replicas or 0),
        ready_replicas=_counted(sum(one.status.ready_replicas or 0 for one in sets)),
        available_replicas=_counted(available),
        unavailable_replicas=_counted(max(0, sum_replicas(sets) - available)),
        terminating_replicas=sum(one.status.terminating_replicas or 0 for one in sets),
    )
    if available >= replicas_of(deployment) - bounds_of(deployment)[1]:
        condition = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        condition = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    return set_condition(status, new_condition("Available", *condition, now))


def _counted(count: int) -> int | None:
    return count or None  # as in Kubernetes, a count of 0 is absent on the wire


def is_complete(deployment: Deployment, status: DeploymentStatus) -> bool:
    """Say whether all wanted replicas are of the current template and available, and no others are left."""
    wanted = replicas_of(deployment)
    return (
        (status.updated_replicas or 0) == wanted
        and (status.replicas or 0) == wanted
        and (status.available_replicas or 0) == wanted
        and (status.observed_generation or 0) >= (deployment.metadata.generation or 0)
    )


def has_progressed(before: DeploymentStatus, after: DeploymentStatus) -> bool:
    """Say whether the rollout moved: new pods came up, became ready or available, or old ones went."""

    def old(status: DeploymentStatus) -> int:
        return (status.replicas or 0) - (status.updated_replicas or 0)

    return (
        (after.updated_replicas or 0) > (before.updated_replicas or 0)
        or old(after) < old(before)
        or (after.ready_replicas or 0) > (before.ready_replicas or 0)
        or (after.available_replicas or 0) > (before.available_replicas or 0)
    )


def has_timed_out(deployment: Deployment, status: DeploymentStatus, now: float) -> bool:
    """Say whether nothing has moved for longer than the deadline."""
    deadline = deadline_of(deployment)
    condition = find_condition(status, "Progressing")
    if deadline is None or condition is None or condition.reason == NEW_AVAILABLE:
        return False
    return condition.reason == TIMED_OUT or parse_time(condition.last_update_time) + deadline < now


def judge_progress(
    deployment: Deployment,
    before: DeploymentStatus,
    after: DeploymentStatus,
    current: ReplicaSet | None,
    now: float,
) -> DeploymentStatus:
    """Return `after` with the Progressing condition of a rollout. `before` is the status as it was stored."""
    if deadline_of(deployment) is None:
        return remove_condition(after, "Progressing")
    condition = find_condition(after, "Progressing")
    settled = condition is not None and condition.reason == NEW_AVAILABLE
    if settled and (after.replicas or 0) == (after.updated_replicas or 0):
        return after
    what = (
        f'Deployment "{deployment.metadata.name}"'
        if current is None
        else f'ReplicaSet "{current.metadata.name}"'
    )
    if is_complete(deployment, after):
        text = f"{what} has successfully progressed."
        return set_condition(after, new_condition("Progressing", "True", NEW_AVAILABLE, text, now))
    if has_progressed(before, after):
        fresh = new_condition("Progressing", "True", UPDATED, f"{what} is progressing.", now)
        if condition is not None and condition.status == "True":
            fresh = msgspec.structs.replace(fresh, last_transition_time=condition.last_transition_time)
        return _put(after, fresh)
    if has_timed_out(deployment, after, now):
        text = f"{what} has timed out progressing."
        return set_condition(after, new_condition("Progressing", "False", TIMED_OUT, text, now))
    return after


def carry_failure(
    status: DeploymentStatus, sets: Sequence[ReplicaSet], current: ReplicaSet | None
) -> DeploymentStatus:
    """Return the status with the ReplicaFailure of a set, the current one's first; without, when none fails."""
    ordered = [*([current] if current is not None else []), *sets]
    failure = next((c for one in ordered for c in one.status.conditions if c.type == "ReplicaFailure"), None)
    if failure is None:
        return remove_condition(status, "ReplicaFailure")
    return set_condition(
        status,
        DeploymentCondition(
            type=failure.type,
            status=failure.status,
            reason=failure.reason,
            message=failure.message,
            last_update_time=failure.last_transition_time,
            last_transition_time=failure.last_transition_time,
        ),
    )


def seconds_until_deadline(deployment: Deployment, status: DeploymentStatus, now: float) -> float | None:
    """Return when to look again whether a rollout that stands still has timed out; None when nothing is awaited.

    Example: last progress 3 minutes ago, deadline 10 minutes: 421 s (one more, since times have whole seconds).
    """
    deadline = deadline_of(deployment)
    condition = find_condition(status, "Progressing")
    if deadline is None or condition is None or condition.reason in (TIMED_OUT, NEW_AVAILABLE, PAUSED):
        return None
    if is_complete(deployment, status):
        return None
    return max(0.0, parse_time(condition.last_update_time) + deadline - now) + 1.0
