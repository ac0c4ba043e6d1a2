"""Asks ValidatingAdmissionPolicies about attempts on all kinds: deny, warn, or note in the audit log.

A row of the chain, the last one but quota: policies see what is to be stored. With no policy it costs a look into the
store. Source: Kubernetes v1.37, apiserver/pkg/admission/plugin/policy/validating (dispatcher.go, plugin.go).
"""

import logging
from collections.abc import Iterator
from typing import Any

import msgspec

from pinnace.api.admission.attempt import Admission, Attempt, Operation
from pinnace.api.custom.judging import whole_document_of
from pinnace.api.errors import forbidden
from pinnace.api.memo import Memo, spec_key
from pinnace.api.policies.compiling import Compiled, compile_policy
from pinnace.api.policies.evaluating import Note, Scene, Violation, evaluate
from pinnace.api.policies.matching import matches
from pinnace.base.errors import ApiError, Cause, Reason
from pinnace.kube import codec
from pinnace.kube.kinds import VALIDATING_ADMISSION_POLICY, VALIDATING_ADMISSION_POLICY_BINDING
from pinnace.kube.objects.admissionregistration_v1 import (
    ParamRef,
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
)
from pinnace.kube.objects.custom import CustomObject
from pinnace.kube.selectors import selector_of

log = logging.getLogger("pinnace.api")

# Policies must not lock out those who repair them. Source: admission/plugin/webhook/predicates/rules, IsExemptAdmissionConfigurationResource.
_EXEMPT = frozenset({VALIDATING_ADMISSION_POLICY.resource, VALIDATING_ADMISSION_POLICY_BINDING.resource})
_REASONS = {
    "Unauthorized": Reason.UNAUTHORIZED,
    "Forbidden": Reason.FORBIDDEN,
    "Invalid": Reason.INVALID,
    "RequestEntityTooLarge": Reason.REQUEST_ENTITY_TOO_LARGE,
}

# Source: policy/validating/dispatcher.go, publishValidationFailureAnnotation.
_FAILURES = "validation.policy.admission.k8s.io/validation_failure"

_compiled: Memo[Compiled] = Memo()


def _compile(policy: ValidatingAdmissionPolicy) -> Compiled:
    key = spec_key(policy.spec)
    found = _compiled.get(key)
    if found is None:
        found = compile_policy(policy.spec)
        _compiled.put(key, found)
    return found


def ask_policies(attempt: Attempt) -> None:
    """Raises: ApiError of the first violation that denies."""
    policies = attempt.facts.list_in(VALIDATING_ADMISSION_POLICY, "")
    if not policies or attempt.kind.resource in _EXEMPT:
        return
    bindings = attempt.facts.list_in(VALIDATING_ADMISSION_POLICY_BINDING, "")
    versions = attempt.facts.versions_of(attempt.kind)
    scene = Scene(attempt)
    denials: list[ApiError] = []
    for policy in policies:
        bound = [binding for binding in bindings if binding.spec.policy_name == policy.metadata.name]
        if not bound or not matches(policy.spec.match_constraints, attempt, versions):
            continue
        notes = _Notes()
        for binding in bound:
            if matches(binding.spec.match_resources, attempt, versions):
                denials += _apply(policy, binding, attempt, scene, notes)
        for key, values in notes.found.items():
            attempt.context.note(f"{policy.metadata.name}/{key}", ", ".join(values))
    if denials:
        raise denials[0]


class _Notes:
    """What one policy wants to have in the audit log, in the order in which its bindings say it."""

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}

    def add(self, note: Note) -> None:
        """Keep a value; the same one is kept once."""
        values = self.found.setdefault(note.key, [])
        if note.value not in values:
            values.append(note.value)


def _apply(
    policy: ValidatingAdmissionPolicy,
    binding: ValidatingAdmissionPolicyBinding,
    attempt: Attempt,
    scene: Scene,
    notes: _Notes,
) -> Iterator[ApiError]:
    """Warn and note; yield an error for each violation that denies."""
    for violation in _judge(policy, binding, attempt, scene):
        if isinstance(violation, Note):
            notes.add(violation)
            continue
        who = (
            f"ValidatingAdmissionPolicy '{policy.metadata.name}' with binding '{binding.metadata.name}' denied request: "
            f"{violation.message}"
        )
        if violation.failed:
            if policy.spec.failure_policy != "Ignore":
                yield _refusal(attempt, who, violation)
            continue
        actions = binding.spec.validation_actions
        if "Deny" in actions:
            yield _refusal(attempt, who, violation)
        if "Warn" in actions:
            attempt.context.warn(
                f"Validation failed for ValidatingAdmissionPolicy '{policy.metadata.name}' with binding "
                f"'{binding.metadata.name}': {violation.message}"
            )
        if "Audit" in actions:
            _note_failure(attempt, policy, binding, violation)
            log.info(
                "audit: %s %s %s: %s", attempt.operation.value, attempt.kind.group_resource, attempt.name, who
            )


def _note_failure(
    attempt: Attempt,
    policy: ValidatingAdmissionPolicy,
    binding: ValidatingAdmissionPolicyBinding,
    violation: Violation,
) -> None:
    failure = {
        "message": violation.message,
        "policy": policy.metadata.name,
        "binding": binding.metadata.name,
        "expressionIndex": violation.index,
        "validationActions": list(binding.spec.validation_actions),
    }
    held = attempt.context.notes.get(_FAILURES)
    failures = msgspec.json.decode(held) if held else []
    if failure not in failures:  # a write that is tried again is judged again
        attempt.context.note(_FAILURES, msgspec.json.encode([*failures, failure]).decode())


def _refusal(attempt: Attempt, why: str, violation: Violation) -> ApiError:
    told = forbidden(attempt.kind, attempt.name, why)
    return ApiError(
        _REASONS.get(violation.reason, Reason.INVALID),
        told.message,
        causes=(Cause("", why, ""),),
        kind=attempt.kind.plural,
        group=attempt.kind.group,
        name=attempt.name,
    )


def _judge(
    policy: ValidatingAdmissionPolicy,
    binding: ValidatingAdmissionPolicyBinding,
    attempt: Attempt,
    scene: Scene,
) -> Iterator[Violation | Note]:
    compiled = _compile(policy)
    if policy.spec.param_kind is None:
        yield from evaluate(compiled, scene, None)
        return
    found, why = _find_params(policy, binding, attempt)
    if why:
        yield Violation(why, failed=True)
        return
    for params in found:
        yield from evaluate(compiled, scene, params)


def _find_params(
    policy: ValidatingAdmissionPolicy, binding: ValidatingAdmissionPolicyBinding, attempt: Attempt
) -> tuple[list[Any], str]:
    """Return the parameters, and why there are none where there should be."""
    wanted, reference = policy.spec.param_kind, binding.spec.param_ref
    assert wanted is not None
    if reference is None:
        return [None], ""
    kind = attempt.facts.kind_named(wanted.api_version, wanted.kind)
    if kind is None:
        return [], (
            f"failed to configure policy: failed to find resource referenced by paramKind: '{wanted.api_version}, "
            f"Kind={wanted.kind}'"
        )
    namespace = ""
    if kind.namespaced:
        namespace = reference.namespace or attempt.namespace
        if not namespace:
            return (
                [],
                "failed to configure binding: cannot use namespaced paramRef in policy binding that matches cluster-scoped resources",
            )
    elif reference.namespace:
        return (
            [],
            "failed to configure binding: paramRef.namespace must not be provided for a cluster-scoped `paramKind`",
        )
    found = [_shown(obj) for obj in _select(attempt, kind, namespace, reference)]
    if found:
        return found, ""
    if reference.parameter_not_found_action == "Deny":
        return (
            [],
            "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction",
        )
    return [], ""


def _select(attempt: Attempt, kind: Any, namespace: str, reference: ParamRef) -> list[Any]:
    if reference.name:
        obj = attempt.facts.find(kind, namespace, reference.name)
        return [] if obj is None else [obj]
    selector = selector_of(reference.selector)
    return [obj for obj in attempt.facts.list_in(kind, namespace) if selector.matches(obj.metadata.labels)]


def _shown(obj: Any) -> Any:
    return whole_document_of(obj) if isinstance(obj, CustomObject) else codec.to_json(obj)


ROW = Admission(
    name="ValidatingAdmissionPolicy",
    validate=ask_policies,
    operations=frozenset(Operation),
    subresources=None,
)
