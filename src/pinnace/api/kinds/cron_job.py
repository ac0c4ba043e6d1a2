"""The CronJob's row. Pure.

Source: Kubernetes v1.36, pkg/apis/batch/v1/defaults.go, pkg/registry/batch/cronjob/strategy.go, pkg/apis/batch/validation.
"""

import re
from collections.abc import Iterator

from msgspec.structs import replace

from pinnace.api.kinds.job import default_job_template
from pinnace.api.kinds.replicas import find_name_warnings
from pinnace.api.strategy import Strategy, drop_status, keep_status, take_status
from pinnace.api.validation.jobs import find_job_warnings, validate_job_spec
from pinnace.api.validation.problems import Problems
from pinnace.kube.cron import CronError, load_zone, parse_schedule
from pinnace.kube.kinds import CRON_JOB
from pinnace.kube.objects.batch_v1 import CronJob, JobTemplateSpec

SUCCESSFUL_KEPT = 3
FAILED_KEPT = 1
# A Job is called after its CronJob with a dash and ten digits behind, and may have 63 characters.
NAME_MOST = 63 - 11
_POLICIES = ("Allow", "Forbid", "Replace")
_ZONE_PART = re.compile(r"[A-Za-z.\-_0-9+]{1,14}")


def _default(cron_job: CronJob) -> CronJob:
    spec = cron_job.spec
    kept, failed = spec.successful_jobs_history_limit, spec.failed_jobs_history_limit
    return replace(
        cron_job,
        spec=replace(
            spec,
            concurrency_policy=spec.concurrency_policy or "Allow",
            suspend=bool(spec.suspend),
            successful_jobs_history_limit=SUCCESSFUL_KEPT if kept is None else kept,
            failed_jobs_history_limit=FAILED_KEPT if failed is None else failed,
            job_template=replace(spec.job_template, spec=default_job_template(spec.job_template.spec)),
        ),
    )


def _validate_change(new: CronJob, old: CronJob | None, problems: Problems) -> None:
    spec = new.spec
    if not spec.schedule:
        problems.required("spec.schedule")
    else:
        _validate_schedule(spec.schedule, spec.time_zone, "" if old is None else old.spec.schedule, problems)
    problems.not_negative("spec.startingDeadlineSeconds", spec.starting_deadline_seconds)
    if spec.time_zone is not None and (old is None or old.spec.time_zone != spec.time_zone):
        _validate_zone(spec.time_zone, problems)
    problems.one_of("spec.concurrencyPolicy", spec.concurrency_policy, _POLICIES, required=True)
    _validate_template(spec.job_template, problems)
    problems.not_negative("spec.successfulJobsHistoryLimit", spec.successful_jobs_history_limit)
    problems.not_negative("spec.failedJobsHistoryLimit", spec.failed_jobs_history_limit)
    if old is None and len(new.metadata.name) > NAME_MOST:
        problems.invalid("metadata.name", new.metadata.name, f"must be no more than {NAME_MOST} characters")


def _validate_schedule(schedule: str, zone: str | None, old: str, problems: Problems) -> None:
    path = "spec.schedule"
    try:
        parse_schedule(schedule)
    except CronError as error:
        problems.invalid(path, schedule, str(error))
    if "TZ" not in schedule:
        return
    if "TZ" not in old:
        words = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        problems.invalid(path, schedule, words)
    elif zone is not None:
        problems.invalid(path, schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule")


def _validate_zone(zone: str, problems: Problems) -> None:
    path = "spec.timeZone"
    if not zone:
        problems.invalid(path, zone, "timeZone must be nil or non-empty string")
        return
    for part in zone.split("/"):
        if part in (".", "..") or part.startswith("-") or not _ZONE_PART.fullmatch(part):
            problems.invalid(path, zone, f"unknown time zone {zone}")
            return
    if zone.lower() == "local":
        words = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        problems.invalid(path, zone, words)
    try:
        load_zone(zone)
    except CronError as error:
        problems.invalid(path, zone, str(error))


def _validate_template(template: JobTemplateSpec, problems: Problems) -> None:
    path = "spec.jobTemplate.spec"
    validate_job_spec(template.spec, path, problems)
    if template.spec.selector is not None:
        problems.invalid(f"{path}.selector", template.spec.selector, "`selector` will be auto-generated")
    if template.spec.manual_selector:
        problems.not_supported(f"{path}.manualSelector", True, ("nil", "false"))


def _warn(cron_job: CronJob) -> Iterator[str]:
    yield from find_name_warnings(cron_job.metadata)
    yield from find_job_warnings(cron_job.spec.job_template.spec, "spec.jobTemplate.spec")
    if "TZ" in cron_job.spec.schedule:
        yield (
            "CRON_TZ or TZ used in spec.schedule is not officially supported, see "
            "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
        )


STRATEGY = Strategy(
    kind=CRON_JOB,
    default=_default,
    prepare_create=drop_status,
    prepare_update=keep_status,
    prepare_status=take_status,
    validate_change=_validate_change,
    generation=True,
    warn=_warn,
)
