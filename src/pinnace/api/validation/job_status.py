"""Checks what a controller, ours or another, writes into a Job's status. Pure.

A rule looks only where something changed, so that a status with an old mistake can still be written.
Source: Kubernetes v1.36, pkg/apis/batch/validation, validateJobStatus; pkg/registry/batch/job/strategy.go,
getStatusValidationOptions.
"""

from pinnace.api.validation.indexes import check_indexes, find_common_index
from pinnace.api.validation.jobs import is_indexed
from pinnace.api.validation.problems import Problems
from pinnace.base.times import parse_time
from pinnace.kube.objects.batch_v1 import Job, JobStatus, UncountedTerminatedPods

_CONDITIONS = "status.conditions"


def is_true(status: JobStatus, condition: str) -> bool:
    """Say whether a condition is there and true."""
    return any(one.type == condition and one.status == "True" for one in status.conditions)


def is_finished(status: JobStatus) -> bool:
    """Say whether the Job is over, well or not."""
    return is_true(status, "Complete") or is_true(status, "Failed")


def validate_job_status(new: Job, old: Job, problems: Problems) -> None:
    """Check the new status, and how it came from the old one."""
    now, before = new.status, old.status
    for name, value in (
        ("active", now.active),
        ("succeeded", now.succeeded),
        ("failed", now.failed),
        ("ready", now.ready),
        ("terminating", now.terminating),
    ):
        problems.not_negative(f"status.{name}", value)
    if now.uncounted_terminated_pods is not None:
        _validate_uncounted(now.uncounted_terminated_pods, problems)
    _validate_conditions(now, before, problems)
    _validate_times(now, before, problems)
    _validate_finished(now, before, problems)
    _validate_indexes(new, before, problems)
    _validate_success(new, problems)
    _validate_transition(new, old, problems)


def _validate_uncounted(pods: UncountedTerminatedPods, problems: Problems) -> None:
    seen: set[str] = set()
    for name, uids in (("succeeded", pods.succeeded), ("failed", pods.failed)):
        for index, uid in enumerate(uids):
            path = f"status.uncountedTerminatedPods.{name}[{index}]"
            if not uid:
                problems.invalid(path, uid, "must not be empty")
            elif uid in seen:
                problems.duplicate(path, uid)
            seen.add(uid)


def _changed(now: JobStatus, before: JobStatus, *conditions: str) -> bool:
    return any(is_true(now, name) != is_true(before, name) for name in conditions)


def _validate_conditions(now: JobStatus, before: JobStatus, problems: Problems) -> None:
    complete = is_true(now, "Complete")
    if complete and is_true(now, "Failed") and _changed(now, before, "Complete", "Failed"):
        problems.invalid_as_a_whole(_CONDITIONS, "cannot set Complete=True and Failed=true conditions")
    if complete and is_true(now, "FailureTarget") and _changed(now, before, "Complete", "FailureTarget"):
        problems.invalid_as_a_whole(_CONDITIONS, "cannot set Complete=True and FailureTarget=true conditions")


def _validate_times(now: JobStatus, before: JobStatus, problems: Problems) -> None:
    complete, path = is_true(now, "Complete"), "status.completionTime"
    if _changed(now, before, "Complete") or now.completion_time != before.completion_time:
        if now.completion_time and not complete:
            words = "cannot set completionTime when there is no Complete=True condition"
            problems.invalid(path, now.completion_time, words)
        if complete and not now.completion_time:
            problems.required(path, "completionTime is required for Complete jobs")
    moved = (now.start_time, now.completion_time) != (before.start_time, before.completion_time)
    started = _moment("status.startTime", now.start_time, problems) if moved else None
    completed = _moment(path, now.completion_time, problems) if moved else None
    if started is not None and completed is not None and completed < started:
        problems.invalid(path, now.completion_time, "completionTime cannot be set before startTime")


def _moment(path: str, text: str | None, problems: Problems) -> float | None:
    """The time TEXT gives; nothing where there is none, or where it is none (which Kubernetes cannot even read)."""
    if not text:
        return None
    try:
        return parse_time(text)
    except ValueError:
        problems.invalid(path, text, "must be a time as RFC 3339 writes it, such as 2026-01-01T00:00:00Z")
        return None


def _validate_finished(now: JobStatus, before: JobStatus, problems: Problems) -> None:
    if not is_finished(now):
        return
    ended = not is_finished(before)
    if is_true(now, "Failed") and not is_true(now, "FailureTarget") and _changed(now, before, "Failed"):
        words = "cannot set Failed=True condition without the FailureTarget=true condition"
        problems.invalid_as_a_whole(_CONDITIONS, words)
    if (
        is_true(now, "Complete")
        and not is_true(now, "SuccessCriteriaMet")
        and _changed(now, before, "Complete")
    ):
        words = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"
        problems.invalid_as_a_whole(_CONDITIONS, words)
    if (now.active or 0) > 0 and (ended or now.active != before.active):
        problems.invalid("status.active", now.active, "active>0 is invalid for finished job")
    if not now.start_time and (ended or now.start_time != before.start_time):
        problems.required("status.startTime", "startTime is required for finished job")
    uncounted = now.uncounted_terminated_pods or UncountedTerminatedPods()
    changed = ended or now.uncounted_terminated_pods != before.uncounted_terminated_pods
    if changed and (uncounted.failed or uncounted.succeeded):
        words = "uncountedTerminatedPods needs to be empty for finished job"
        problems.invalid("status.uncountedTerminatedPods", uncounted, words)
    if (now.terminating or 0) > 0 and (ended or now.terminating != before.terminating):
        problems.invalid("status.terminating", now.terminating, "terminating>0 is invalid for finished job")


def _validate_indexes(new: Job, before: JobStatus, problems: Problems) -> None:
    now, spec = new.status, new.spec
    completed, failed = now.completed_indexes, now.failed_indexes
    if completed != before.completed_indexes:
        path = "status.completedIndexes"
        wrong = check_indexes(completed, spec.completions)[1] if spec.completions is not None else ""
        if wrong:
            problems.invalid(path, completed, f"error parsing completedIndexes: {wrong}")
        if completed and not is_indexed(spec):
            words = "cannot set non-empty completedIndexes when non-indexed completion mode"
            problems.invalid(path, completed, words)
    path = "status.failedIndexes"
    if failed != before.failed_indexes:
        if spec.completions is not None and spec.backoff_limit_per_index is not None:
            wrong = check_indexes(failed, spec.completions)[1]
            if wrong:
                problems.invalid(path, failed, f"error parsing failedIndexes: {wrong}")
        if spec.backoff_limit_per_index is None:
            words = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
            problems.invalid(path, failed, words)
    if (completed, failed) != (before.completed_indexes, before.failed_indexes) and spec.completions:
        common = find_common_index(completed, failed, spec.completions)
        if common is not None:
            problems.invalid(path, failed, f"failedIndexes and completedIndexes overlap at index: {common}")
    if now.ready is not None and now.ready > (now.active or 0) and now.ready != before.ready:
        problems.invalid("status.ready", now.ready, "cannot set more ready pods than active")


def _validate_success(new: Job, problems: Problems) -> None:
    status = new.status
    met = is_true(status, "SuccessCriteriaMet")
    for other in ("Failed", "FailureTarget"):
        if met and is_true(status, other):
            words = f"cannot set SuccessCriteriaMet=True and {other}=true conditions"
            problems.invalid_as_a_whole(_CONDITIONS, words)
    if new.spec.success_policy is not None and not met and is_true(status, "Complete"):
        words = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"
        problems.invalid_as_a_whole(_CONDITIONS, words)


def _validate_transition(new: Job, old: Job, problems: Problems) -> None:
    now, before, spec = new.status, old.status, new.spec
    for name in ("Failed", "Complete", "FailureTarget"):
        if is_true(before, name) and not is_true(now, name):
            problems.invalid_as_a_whole(_CONDITIONS, f"cannot disable the terminal {name}=True condition")
    if (now.failed or 0) < (before.failed or 0):
        problems.invalid("status.failed", now.failed or 0, "cannot decrease the failed counter")
    scales = is_indexed(spec) and spec.completions == spec.parallelism
    if not scales and (now.succeeded or 0) < (before.succeeded or 0):
        problems.invalid("status.succeeded", now.succeeded or 0, "cannot decrease the succeeded counter")
    if now.completion_time and before.completion_time and now.completion_time != before.completion_time:
        problems.invalid("status.completionTime", now.completion_time, "completionTime cannot be mutated")
    if before.start_time and now.start_time != before.start_time and not spec.suspend:
        problems.required("status.startTime", "startTime cannot be removed for unsuspended job")
    if is_true(before, "SuccessCriteriaMet") and not is_true(now, "SuccessCriteriaMet"):
        problems.invalid_as_a_whole(_CONDITIONS, "cannot disable the SuccessCriteriaMet=True condition")
    elif (
        is_true(before, "Complete")
        and not is_true(before, "SuccessCriteriaMet")
        and is_true(now, "SuccessCriteriaMet")
    ):
        words = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"
        problems.invalid_as_a_whole(_CONDITIONS, words)
