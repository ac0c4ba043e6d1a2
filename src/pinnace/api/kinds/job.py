"""The Job's row: defaults, the selector that is made for it, what may change and when. Pure.

Rules of a spec stand in `validation/jobs.py`, those of a status in `validation/job_status.py`.
Source: Kubernetes v1.36, pkg/apis/batch/v1/defaults.go, pkg/registry/batch/job/strategy.go, pkg/apis/batch/validation.
"""

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from pinnace.api.defaults.pods import default_template
from pinnace.api.kinds.replicas import NO_MATCH, find_name_warnings, read_selector
from pinnace.api.strategy import Strategy, keep_status, take_status, with_meta
from pinnace.api.validation.job_status import is_true, validate_job_status
from pinnace.api.validation.jobs import NON_INDEXED, find_job_warnings, is_indexed, validate_job_spec
from pinnace.api.validation.names import check_label_name
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.selectors import validate_label_selector
from pinnace.kube.kinds import JOB
from pinnace.kube.objects.batch_v1 import Job, JobSpec, JobStatus, PodFailurePolicy
from pinnace.kube.objects.core_v1 import Affinity, Container, PodTemplateSpec
from pinnace.kube.objects.meta_v1 import LabelSelector

BACKOFF_LIMIT = 6
_NO_LIMIT = 2**31 - 1
NAME_LABELS = ("job-name", "batch.kubernetes.io/job-name")
UID_LABELS = ("controller-uid", "batch.kubernetes.io/controller-uid")
SELECTED_LABEL = "batch.kubernetes.io/controller-uid"
# Source: Kubernetes v1.36, pkg/registry/batch/job/storage/storage.go
_ORPHANS = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or "
    "set propagationPolicy=Orphan to suppress this warning"
)


def _default(job: Job) -> Job:
    spec = job.spec
    parallelism = 1 if spec.parallelism is None else spec.parallelism
    completions = 1 if spec.completions is None and spec.parallelism is None else spec.completions
    limit = BACKOFF_LIMIT if spec.backoff_limit_per_index is None else _NO_LIMIT
    replacement = "TerminatingOrFailed" if spec.pod_failure_policy is None else "Failed"
    filled = replace(
        job,
        spec=replace(
            default_job_template(spec),
            parallelism=parallelism,
            completions=completions,
            backoff_limit=limit if spec.backoff_limit is None else spec.backoff_limit,
            completion_mode=spec.completion_mode or NON_INDEXED,
            suspend=bool(spec.suspend),
            pod_replacement_policy=spec.pod_replacement_policy or replacement,
            manual_selector=bool(spec.manual_selector),
        ),
    )
    labels = spec.template.metadata.labels
    return with_meta(filled, labels=labels) if labels and not job.metadata.labels else filled


def default_job_template(spec: JobSpec) -> JobSpec:
    """Fill in what a Job and the template of a CronJob have in common: the pods, the patterns of conditions."""
    policy = spec.pod_failure_policy
    return replace(
        spec,
        template=default_template(spec.template),
        pod_failure_policy=None if policy is None else _default_policy(policy),
    )


def _default_policy(policy: PodFailurePolicy) -> PodFailurePolicy:
    rules = tuple(
        replace(
            rule,
            on_pod_conditions=tuple(
                pattern if pattern.status else replace(pattern, status="True")
                for pattern in rule.on_pod_conditions
            ),
        )
        for rule in policy.rules
    )
    return replace(policy, rules=rules)


def _prepare_create(job: Job) -> Job:
    job = replace(job, status=JobStatus())
    return job if job.spec.manual_selector else _with_selector(job)


def _with_selector(job: Job) -> Job:
    """Label the pods with the Job's name and uid, and select them by the uid; what the creator has set stays."""
    meta, template = job.metadata, job.spec.template
    made = dict.fromkeys(NAME_LABELS, meta.name) | dict.fromkeys(UID_LABELS, meta.uid)
    labels = {**made, **template.metadata.labels}
    selector = job.spec.selector or LabelSelector()
    selected = {SELECTED_LABEL: meta.uid, **selector.match_labels}
    return replace(
        job,
        spec=replace(
            job.spec,
            selector=replace(selector, match_labels=selected),
            template=replace(template, metadata=replace(template.metadata, labels=labels)),
        ),
    )


def _validate_change(new: Job, old: Job | None, problems: Problems) -> None:
    spec, template = new.spec, new.spec.template
    had = UID_LABELS[1:] + NAME_LABELS[1:]
    prefixed = old is None or all(label in old.spec.template.metadata.labels for label in had)
    _validate_generated(new, prefixed, problems)
    validate_job_spec(spec, "spec", problems)
    if spec.selector is None:
        problems.required("spec.selector")
    else:
        validate_label_selector(spec.selector, "spec.selector", problems)
    selector = read_selector(spec.selector)
    if selector is not None and not selector.matches(template.metadata.labels):
        problems.invalid("spec.template.metadata.labels", template.metadata.labels, NO_MATCH)
    if is_indexed(spec) and (spec.completions or 0) > 0:
        hostname = f"{new.metadata.name}-{(spec.completions or 0) - 1}"
        if check_label_name(hostname):
            problems.invalid(
                "metadata.name",
                new.metadata.name,
                f"will not able to create pod with invalid DNS label: {hostname}",
            )


def _validate_generated(job: Job, prefixed: bool, problems: Problems) -> None:
    spec = job.spec
    if spec.manual_selector or spec.selector is None:
        return
    expected = {UID_LABELS[0]: job.metadata.uid, NAME_LABELS[0]: job.metadata.name}
    if prefixed:
        expected |= {UID_LABELS[1]: job.metadata.uid, NAME_LABELS[1]: job.metadata.name}
    labels = spec.template.metadata.labels
    for label, value in expected.items():
        path = f"spec.template.metadata.labels[{label}]"
        if label not in labels:
            problems.required(path, f"must be '{value}'")
        if labels.get(label, "") != value:
            problems.invalid(path, labels, f"must be '{value}'")
    selector = read_selector(spec.selector)
    if selector is not None and not selector.matches(expected):
        problems.invalid("spec.selector", spec.selector, "`selector` not auto-generated")


def _validate_update(new: Job, old: Job, problems: Problems) -> None:
    now, before = new.spec, old.spec
    _validate_completions(now, before, problems)
    if now.selector != before.selector:
        problems.immutable("spec.selector", now.selector)
    if now.template != (_with_directives(before, now) if _is_waiting(old) else before.template):
        problems.immutable("spec.template", now.template)
    for name, value, held in (
        ("completionMode", now.completion_mode, before.completion_mode),
        ("podFailurePolicy", now.pod_failure_policy, before.pod_failure_policy),
        ("backoffLimitPerIndex", now.backoff_limit_per_index, before.backoff_limit_per_index),
        ("managedBy", now.managed_by or None, before.managed_by or None),
        ("successPolicy", now.success_policy, before.success_policy),
    ):
        if value != held:
            problems.immutable(f"spec.{name}", value)


def _validate_completions(new: JobSpec, old: JobSpec, problems: Problems) -> None:
    """An indexed Job may grow and shrink, as long as all its pods run at once."""
    if new.completions == old.completions:
        return
    path = "spec.completions"
    if not is_indexed(new):
        problems.immutable(path, new.completions)
    elif new.completions is not None and new.completions != new.parallelism:
        problems.invalid(path, new.completions, "can only be modified in tandem with spec.parallelism")


def _is_waiting(old: Job) -> bool:
    """Say whether a Job is suspended and has no pods, so that they can still be sent elsewhere."""
    if not old.spec.suspend:
        return False
    return not old.status.start_time or (is_true(old.status, "Suspended") and not old.status.active)


def _with_directives(old: JobSpec, new: JobSpec) -> PodTemplateSpec:
    """Return the old template with what may change while a Job is suspended taken from the new one."""
    before, now = old.template, new.template
    changes: dict[str, Any] = {
        "affinity": _with_node_affinity(before.spec.affinity, now.spec.affinity),
        "node_selector": now.spec.node_selector,
        "tolerations": now.spec.tolerations,
        "scheduling_gates": now.spec.scheduling_gates,
        "containers": _with_resources(before.spec.containers, now.spec.containers),
        "init_containers": _with_resources(before.spec.init_containers, now.spec.init_containers),
    }
    meta = replace(before.metadata, labels=now.metadata.labels, annotations=now.metadata.annotations)
    return replace(before, metadata=meta, spec=replace(before.spec, **changes))


def _with_node_affinity(old: Affinity | None, new: Affinity | None) -> Affinity | None:
    if new is None:
        rest = None if old is None else replace(old, node_affinity=None)
        return None if rest == Affinity() else rest
    return replace(old or Affinity(), node_affinity=new.node_affinity)


def _with_resources(old: tuple[Container, ...], new: tuple[Container, ...]) -> tuple[Container, ...]:
    if len(old) != len(new):
        return old
    return tuple(replace(before, resources=now.resources) for before, now in zip(old, new, strict=True))


def _warn(job: Job) -> Iterator[str]:
    yield from find_name_warnings(job.metadata)
    yield from find_job_warnings(job.spec, "spec")


STRATEGY = Strategy(
    kind=JOB,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    prepare_status=take_status,
    validate_change=_validate_change,
    validate_update=_validate_update,
    validate_status=validate_job_status,
    generation=True,
    orphans=True,
    orphan_warning=_ORPHANS,
    warn=_warn,
)
