"""Checks the spec of a Job, in a Job or in a CronJob's template. Pure.

Source: Kubernetes v1.36, pkg/apis/batch/validation, validateJobSpec.
"""

from collections.abc import Iterator

from pinnace.api.validation.indexes import check_indexes
from pinnace.api.validation.names import check_domain_path, check_qualified_name
from pinnace.api.validation.pods import validate_pod_template
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.warnings import find_template_warnings
from pinnace.kube.objects.batch_v1 import (
    JobSpec,
    PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
    SuccessPolicyRule,
)

INDEXED = "Indexed"
NON_INDEXED = "NonIndexed"
# Source: Kubernetes v1.36, pkg/apis/batch/validation, the constants at the top.
_PARALLELISM_MOST = 100_000
_FAILED_INDEXES_MOST = 100_000
_COMPLETIONS_MANY = 100_000
_PARALLELISM_OF_MANY = 10_000
_FAILED_INDEXES_OF_MANY = 10_000
_RULES_MOST = 20
_EXIT_CODES_MOST = 255
_PATTERNS_MOST = 20
_MANAGED_BY_BYTES = 63
_INDEXES_BYTES = 64 * 1024

_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_OPERATORS = ("In", "NotIn")
_STATUSES = ("False", "True", "Unknown")


def is_indexed(spec: JobSpec) -> bool:
    """Say whether each of the pods has an index of its own."""
    return spec.completion_mode == INDEXED


def _one_of(values: tuple[str, ...]) -> str:
    return "valid values: [" + " ".join(f'"{value}"' for value in values) + "]"


def validate_job_spec(spec: JobSpec, path: str, problems: Problems) -> None:
    """Check everything but the selector."""
    for name, value in (
        ("parallelism", spec.parallelism),
        ("completions", spec.completions),
        ("activeDeadlineSeconds", spec.active_deadline_seconds),
        ("backoffLimit", spec.backoff_limit),
        ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished),
        ("backoffLimitPerIndex", spec.backoff_limit_per_index),
        ("maxFailedIndexes", spec.max_failed_indexes),
    ):
        problems.not_negative(f"{path}.{name}", value)
    if spec.max_failed_indexes is not None and spec.backoff_limit_per_index is None:
        problems.required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    if spec.managed_by:
        for part, wrong in check_domain_path(spec.managed_by):
            problems.invalid(f"{path}.managedBy", part, wrong)
        if len(spec.managed_by.encode()) > _MANAGED_BY_BYTES:
            problems.too_long(f"{path}.managedBy", _MANAGED_BY_BYTES)
    _validate_mode(spec, path, problems)
    if spec.pod_failure_policy is not None:
        _validate_failure_policy(spec, f"{path}.podFailurePolicy.rules", problems)
    if spec.success_policy is not None:
        _validate_success_policy(spec, f"{path}.successPolicy", problems)
    _validate_replacement(spec, f"{path}.podReplacementPolicy", problems)
    validate_pod_template(spec.template, f"{path}.template", problems)
    _validate_restart(spec, f"{path}.template.spec.restartPolicy", problems)


def _validate_mode(spec: JobSpec, path: str, problems: Problems) -> None:
    if spec.completion_mode not in ("", NON_INDEXED, INDEXED):
        problems.not_supported(f"{path}.completionMode", spec.completion_mode, (NON_INDEXED, INDEXED))
        return
    if is_indexed(spec):
        _validate_indexed(spec, path, problems)
        return
    for name, value in (
        ("backoffLimitPerIndex", spec.backoff_limit_per_index),
        ("maxFailedIndexes", spec.max_failed_indexes),
    ):
        if value is not None:
            problems.invalid(f"{path}.{name}", value, "requires indexed completion mode")


def _validate_indexed(spec: JobSpec, path: str, problems: Problems) -> None:
    completions, parallelism, failed = spec.completions, spec.parallelism or 0, spec.max_failed_indexes
    if completions is None:
        problems.required(f"{path}.completions", f"when completion mode is {INDEXED}")
    if parallelism > _PARALLELISM_MOST:
        problems.invalid(
            f"{path}.parallelism",
            parallelism,
            f"must be less than or equal to {_PARALLELISM_MOST} when completion mode is {INDEXED}",
        )
    if completions is not None and failed is not None and failed > completions:
        problems.invalid(f"{path}.maxFailedIndexes", failed, "must be less than or equal to completions")
    if failed is not None and failed > _FAILED_INDEXES_MOST:
        problems.invalid(
            f"{path}.maxFailedIndexes", failed, f"must be less than or equal to {_FAILED_INDEXES_MOST}"
        )
    if completions is None or completions <= _COMPLETIONS_MANY or spec.backoff_limit_per_index is None:
        return
    words = (
        f"must be less than or equal to {{}} when completions are above {_COMPLETIONS_MANY} "
        "and used with backoff limit per index"
    )
    if failed is None:
        problems.required(
            f"{path}.maxFailedIndexes", f"must be specified when completions is above {_COMPLETIONS_MANY}"
        )
    if parallelism > _PARALLELISM_OF_MANY:
        problems.invalid(f"{path}.parallelism", parallelism, words.format(_PARALLELISM_OF_MANY))
    if failed is not None and failed > _FAILED_INDEXES_OF_MANY:
        problems.invalid(f"{path}.maxFailedIndexes", failed, words.format(_FAILED_INDEXES_OF_MANY))


def _validate_restart(spec: JobSpec, path: str, problems: Problems) -> None:
    policy = spec.template.spec.restart_policy
    if policy in ("", "Always"):
        problems.required(path, 'valid values: "OnFailure", "Never"')
    elif policy not in ("OnFailure", "Never"):
        problems.not_supported(path, policy, ("OnFailure", "Never"))
    elif spec.pod_failure_policy is not None and policy != "Never":
        problems.invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified')


def _validate_replacement(spec: JobSpec, path: str, problems: Problems) -> None:
    policy = spec.pod_replacement_policy
    supported = ("Failed",) if spec.pod_failure_policy is not None else ("Failed", "TerminatingOrFailed")
    if policy and policy not in supported:
        problems.not_supported(path, policy, supported)


def _validate_failure_policy(spec: JobSpec, path: str, problems: Problems) -> None:
    assert spec.pod_failure_policy is not None
    rules = spec.pod_failure_policy.rules
    if len(rules) > _RULES_MOST:
        problems.too_many(path, len(rules), _RULES_MOST)
    pod = spec.template.spec
    names = {container.name for container in (*pod.containers, *pod.init_containers)}
    for index, rule in enumerate(rules):
        _validate_failure_rule(spec, rule, names, f"{path}[{index}]", problems)


def _validate_failure_rule(
    spec: JobSpec, rule: PodFailurePolicyRule, names: set[str], path: str, problems: Problems
) -> None:
    if not rule.action:
        problems.required(f"{path}.action", _one_of(_ACTIONS))
    elif rule.action == "FailIndex":
        if spec.backoff_limit_per_index is None:
            problems.invalid(f"{path}.action", rule.action, "requires the backoffLimitPerIndex to be set")
    elif rule.action not in _ACTIONS:
        problems.not_supported(f"{path}.action", rule.action, _ACTIONS)
    if rule.on_exit_codes is not None:
        _validate_exit_codes(rule.on_exit_codes, names, f"{path}.onExitCodes", problems)
    if rule.on_pod_conditions:
        _validate_conditions(rule.on_pod_conditions, f"{path}.onPodConditions", problems)
    if rule.on_exit_codes is not None and rule.on_pod_conditions:
        problems.invalid_as_a_whole(path, "specifying both OnExitCodes and OnPodConditions is not supported")
    if rule.on_exit_codes is None and not rule.on_pod_conditions:
        problems.invalid_as_a_whole(path, "specifying one of OnExitCodes and OnPodConditions is required")


def _validate_conditions(
    patterns: tuple[PodFailurePolicyOnPodConditionsPattern, ...], path: str, problems: Problems
) -> None:
    if len(patterns) > _PATTERNS_MOST:
        problems.too_many(path, len(patterns), _PATTERNS_MOST)
    for index, pattern in enumerate(patterns):
        where = f"{path}[{index}]"
        problems.each(f"{where}.type", pattern.type, check_qualified_name(pattern.type))
        if not pattern.status:
            problems.required(f"{where}.status", _one_of(_STATUSES))
        elif pattern.status not in _STATUSES:
            problems.not_supported(f"{where}.status", pattern.status, _STATUSES)


def _validate_exit_codes(
    codes: PodFailurePolicyOnExitCodesRequirement, names: set[str], path: str, problems: Problems
) -> None:
    if not codes.operator:
        problems.required(f"{path}.operator", _one_of(_OPERATORS))
    elif codes.operator not in _OPERATORS:
        problems.not_supported(f"{path}.operator", codes.operator, _OPERATORS)
    if codes.container_name and codes.container_name not in names:
        problems.invalid(
            f"{path}.containerName",
            codes.container_name,
            "must be one of the container or initContainer names in the pod template",
        )
    values = codes.values
    if not values:
        problems.invalid(f"{path}.values", values, "at least one value is required")
    elif len(values) > _EXIT_CODES_MOST:
        problems.too_many(f"{path}.values", len(values), _EXIT_CODES_MOST)
    seen: set[int] = set()
    for index, value in enumerate(values):
        if codes.operator == "In" and value == 0:
            problems.invalid(f"{path}.values[{index}]", value, "must not be 0 for the In operator")
        if value in seen:
            problems.duplicate(f"{path}.values[{index}]", value)
        seen.add(value)
    if list(values) != sorted(values):
        problems.invalid(f"{path}.values", values, "must be ordered")


def _validate_success_policy(spec: JobSpec, path: str, problems: Problems) -> None:
    assert spec.success_policy is not None
    if not is_indexed(spec):
        problems.invalid(path, spec.success_policy, "requires indexed completion mode")
        return
    rules = spec.success_policy.rules
    if not rules:
        problems.required(
            f"{path}.rules", "at least one rules must be specified when the successPolicy is specified"
        )
    if len(rules) > _RULES_MOST:
        problems.too_many(f"{path}.rules", len(rules), _RULES_MOST)
    for index, rule in enumerate(rules):
        _validate_success_rule(rule, spec.completions or 0, f"{path}.rules[{index}]", problems)


def _validate_success_rule(rule: SuccessPolicyRule, completions: int, path: str, problems: Problems) -> None:
    count, indexes = rule.succeeded_count, rule.succeeded_indexes
    if count is None and not indexes:
        problems.required(path, "at least one of succeededCount or succeededIndexes must be specified")
    total = 0
    if indexes:
        where = f"{path}.succeededIndexes"
        if len(indexes) > _INDEXES_BYTES:
            problems.too_long(where, _INDEXES_BYTES)
        total, wrong = check_indexes(indexes, completions)
        if wrong:
            problems.invalid(where, indexes, f"error parsing succeededIndexes: {wrong}")
    if count is None:
        return
    where = f"{path}.succeededCount"
    problems.not_negative(where, count)
    if count > completions:
        words = f"must be less than or equal to {completions} (the number of specified completions)"
        problems.invalid(where, count, words)
    if indexes and count > total:
        words = (
            f"must be less than or equal to {total} "
            "(the number of indexes in the specified succeededIndexes field)"
        )
        problems.invalid(where, count, words)


def find_job_warnings(spec: JobSpec, path: str) -> Iterator[str]:
    """Yield what is legal in a Job's spec, and yet most likely not meant. Source: pkg/api/job/warnings.go."""
    many = (spec.completions or 0) > _COMPLETIONS_MANY and (spec.parallelism or 0) > _PARALLELISM_OF_MANY
    if is_indexed(spec) and many:
        yield (
            f"{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than "
            "10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
        )
    yield from find_template_warnings(spec.template, f"{path}.template")
