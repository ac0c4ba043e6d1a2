"""Holds pods to their namespace's Pod Security level, and warns of templates that would break it.

Rows of the chain. Source: Kubernetes v1.37, pod-security-admission/admission/admission.go. A violation that is audited is
a line in the daemon's log and an annotation in the audit log. Invariant: a namespace without labels costs one look at its labels.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any

from pinnace.api.admission.attempt import Admission, Attempt, Operation
from pinnace.api.admission.podsecurity.policy import PRIVILEGED, Policy, Standard, is_stricter, read_policy
from pinnace.api.admission.podsecurity.standards import find_violations
from pinnace.api.errors import forbidden
from pinnace.api.validation.problems import Problems
from pinnace.kube import kinds
from pinnace.kube.kinds import NAMESPACE, POD
from pinnace.kube.objects.core_v1 import Container, Namespace, Pod, PodSpec
from pinnace.kube.objects.meta_v1 import ObjectMeta

log = logging.getLogger("pinnace.audit")

# Annotations of the audit log. Source: pod-security-admission/api/constants.go.
_ENFORCED = "pod-security.kubernetes.io/enforce-policy"
_AUDITED = "pod-security.kubernetes.io/audit-violations"
PODS_MOST = 3000  # Source: the same file, defaultNamespaceMaxPodsToCheck


def admit_pod(attempt: Attempt) -> None:
    """Raises: ApiError Forbidden for a pod that its namespace's enforced level forbids."""
    pod: Pod = attempt.object
    if attempt.operation is Operation.UPDATE and not _is_significant(pod, attempt.old):
        return
    policy = _policy_of(attempt)
    if policy is None or policy.is_open:
        return
    found = find_violations(policy.enforce, pod.metadata, pod.spec)
    if found:
        attempt.context.note(_ENFORCED, str(policy.enforce))
        why = f'violates PodSecurity "{policy.enforce}": {_render(found)}'
        raise forbidden(POD, attempt.name, why)
    _tell(attempt, policy, pod.metadata, pod.spec)


def watch_template(attempt: Attempt) -> None:
    """Warn of a template whose pods would be refused or warned of; it is stored all the same."""
    policy = _policy_of(attempt)
    if policy is None or (policy.warn.level == PRIVILEGED and policy.audit.level == PRIVILEGED):
        return
    template: Any = _template_of(attempt.object)
    if template is not None:
        _tell(attempt, policy, template.metadata, template.spec)


def _policy_of(attempt: Attempt) -> Policy | None:
    namespace = attempt.facts.find(NAMESPACE, "", attempt.namespace)
    if namespace is None or not namespace.metadata.labels:
        return None
    return read_policy(namespace.metadata.labels)


def _tell(attempt: Attempt, policy: Policy, meta: ObjectMeta, spec: PodSpec) -> None:
    audited = find_violations(policy.audit, meta, spec)
    if audited:
        text = f'would violate PodSecurity "{policy.audit}": {_render(audited)}'
        attempt.context.note(_AUDITED, text)
        if attempt.kind is POD:
            attempt.context.note(_ENFORCED, str(policy.enforce))
        if not attempt.dry_run:
            where = f"{attempt.kind.group_resource} {attempt.namespace}/{attempt.name}"
            log.info("%s of %s %s", where, attempt.context.user, text)
    if not attempt.context.reads_warnings:
        return
    found = audited if policy.warn == policy.audit else find_violations(policy.warn, meta, spec)
    if found:
        attempt.context.warn(f'would violate PodSecurity "{policy.warn}": {_render(found)}')


def _render(found: tuple[Any, ...]) -> str:
    return ", ".join(str(violation) for violation in found)


def _template_of(obj: Any) -> Any:
    if obj.kind == "PodTemplate":
        return obj.template
    return obj.spec.job_template.spec.template if obj.kind == "CronJob" else obj.spec.template


def _is_significant(pod: Pod, old: Pod) -> bool:
    """Say whether a change may change the judgement: what can be changed at all are images and ephemeral containers."""
    if pod.spec is old.spec:
        return False
    if _images(pod.spec.containers) != _images(old.spec.containers):
        return True
    if _images(pod.spec.init_containers) != _images(old.spec.init_containers):
        return True
    held = {each.name: each.image for each in old.spec.ephemeral_containers}
    return any(held.get(each.name) != each.image for each in pod.spec.ephemeral_containers)


def _images(containers: tuple[Container, ...]) -> list[str]:
    return [container.image for container in containers]


# ---------------------------------------------------------------------------------------------------- namespaces


def admit_namespace(attempt: Attempt) -> None:
    """Raises: ApiError Invalid for labels that can't be read. Warns of pods that a new level forbids."""
    namespace: Namespace = attempt.object
    problems = Problems()
    policy = read_policy(namespace.metadata.labels, problems)
    if attempt.operation is Operation.CREATE:
        if problems:
            raise problems.to_error(NAMESPACE.kind, NAMESPACE.group, attempt.name)
        return
    old_problems = Problems()
    before = read_policy(attempt.old.metadata.labels, old_problems)
    if problems and problems.found != old_problems.found:
        raise problems.to_error(NAMESPACE.kind, NAMESPACE.group, attempt.name)
    if attempt.context.reads_warnings and _is_tightened(policy.enforce, before.enforce):
        for sentence in _judge_pods(attempt, policy.enforce):
            attempt.context.warn(sentence)


def _is_tightened(new: Standard, old: Standard) -> bool:
    if new == old or new.level == PRIVILEGED:
        return False
    return new.minor != old.minor or is_stricter(new.level, old.level)


def _judge_pods(attempt: Attempt, standard: Standard) -> Iterator[str]:
    """Return what is to be said of the pods that are there already; they stay."""
    pods = attempt.facts.list_in(POD, attempt.name)
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for pod in pods[:PODS_MOST]:
        found = find_violations(standard, pod.metadata, pod.spec)
        if found:
            reasons = ", ".join(violation.reason for violation in found)
            first.setdefault(reasons, pod.metadata.name)
            counts[reasons] += 1
    if len(pods) > PODS_MOST:
        yield (
            f"new PodSecurity enforce level only checked against the first {PODS_MOST} of {len(pods)} existing pods"
        )
    if counts:
        yield f'existing pods in namespace "{attempt.name}" violate the new PodSecurity enforce level "{standard}"'
    yield from sorted(f"{first[reasons]}{_others(count)}: {reasons}" for reasons, count in counts.items())


def _others(count: int) -> str:
    if count == 1:
        return ""
    return f" (and {count - 1} other {'pod' if count == 2 else 'pods'})"


POD_ROW = Admission(
    name="PodSecurity",
    validate=admit_pod,
    resources=frozenset({POD.resource}),
    subresources=frozenset({"", "ephemeralcontainers", "resize"}),
)
TEMPLATE_ROW = Admission(
    name="PodSecurity",
    validate=watch_template,
    resources=frozenset(
        kind.resource
        for kind in (
            kinds.CRON_JOB,
            kinds.DAEMON_SET,
            kinds.DEPLOYMENT,
            kinds.JOB,
            kinds.POD_TEMPLATE,
            kinds.REPLICATION_CONTROLLER,
            kinds.REPLICA_SET,
            kinds.STATEFUL_SET,
        )
    ),
)
NAMESPACE_ROW = Admission(
    name="PodSecurity", validate=admit_namespace, resources=frozenset({NAMESPACE.resource})
)
