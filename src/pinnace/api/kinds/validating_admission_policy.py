"""The rows of ValidatingAdmissionPolicy and its binding: defaults, and what is wrong with their expressions. Pure.

Source: Kubernetes v1.37, pkg/apis/admissionregistration/validation/validation.go and v1/defaults.go.
"""

import re

from msgspec.structs import replace

from pinnace.api.cel.names import RESERVED
from pinnace.api.policies.compiling import find_fault
from pinnace.api.strategy import Strategy, take_status
from pinnace.api.validation.names import check_label_name, check_path_segment, check_qualified_name
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.selectors import validate_label_selector
from pinnace.kube.kinds import VALIDATING_ADMISSION_POLICY, VALIDATING_ADMISSION_POLICY_BINDING
from pinnace.kube.objects.admissionregistration_v1 import (
    AuditAnnotation,
    MatchCondition,
    MatchResources,
    NamedRuleWithOperations,
    ParamKind,
    ParamRef,
    TypeChecking,
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
    ValidatingAdmissionPolicyStatus,
    Validation,
    Variable,
)
from pinnace.kube.objects.meta_v1 import LabelSelector

OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
SCOPES = ("*", "Cluster", "Namespaced")
REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")
ACTIONS = ("Audit", "Deny", "Warn")
MAX_CONDITIONS = 64
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


# ---------------------------------------------------------------------------------------------------- defaults


def _default_match(resources: MatchResources | None) -> MatchResources | None:
    if resources is None:
        return None
    return replace(
        resources,
        match_policy=resources.match_policy or "Equivalent",
        namespace_selector=resources.namespace_selector or LabelSelector(),
        object_selector=resources.object_selector or LabelSelector(),
        resource_rules=_default_rules(resources.resource_rules),
        exclude_resource_rules=_default_rules(resources.exclude_resource_rules),
    )


def _default_rules(rules: tuple[NamedRuleWithOperations, ...]) -> tuple[NamedRuleWithOperations, ...]:
    return tuple(replace(rule, scope=rule.scope or "*") for rule in rules)


def _default(policy: ValidatingAdmissionPolicy) -> ValidatingAdmissionPolicy:
    spec = policy.spec
    return replace(
        policy,
        spec=replace(
            spec,
            failure_policy=spec.failure_policy or "Fail",
            match_constraints=_default_match(spec.match_constraints),
        ),
    )


def _default_binding(binding: ValidatingAdmissionPolicyBinding) -> ValidatingAdmissionPolicyBinding:
    spec = binding.spec
    return replace(binding, spec=replace(spec, match_resources=_default_match(spec.match_resources)))


# ---------------------------------------------------------------------------------------------------- policies


def _validate(policy: ValidatingAdmissionPolicy, problems: Problems) -> None:
    spec = policy.spec
    problems.one_of("spec.failurePolicy", spec.failure_policy, ("Fail", "Ignore"), required=True)
    if spec.param_kind is not None:
        _validate_param_kind(spec.param_kind, problems)
    if spec.match_constraints is None:
        problems.required("spec.matchConstraints")
    else:
        _validate_match(spec.match_constraints, "spec.matchConstraints", problems)
        if not spec.match_constraints.resource_rules:
            problems.required("spec.matchConstraints.resourceRules")
    has_params = spec.param_kind is not None
    _validate_conditions(spec.match_conditions, has_params, problems)
    names = _validate_variables(spec.variables, has_params, problems)
    if not spec.validations and not spec.audit_annotations:
        for field in ("validations", "auditAnnotations"):
            problems.required(
                f"spec.{field}", "validations or auditAnnotations must contain at least one item"
            )
    for index, check in enumerate(spec.validations):
        _validate_check(check, f"spec.validations[{index}]", has_params, names, problems)
    _validate_annotations(spec.audit_annotations, has_params, names, problems)


def _validate_param_kind(kind: ParamKind, problems: Problems) -> None:
    if not kind.api_version:
        problems.required("spec.paramKind.apiVersion")
    elif kind.api_version.count("/") > 1:
        why = f'unexpected GroupVersion string: "{kind.api_version}"'
        problems.invalid("spec.paramKind.apiVersion", kind.api_version, why)
    if not kind.kind:
        problems.required("spec.paramKind.kind")


def _validate_match(resources: MatchResources, path: str, problems: Problems) -> None:
    problems.one_of(f"{path}.matchPolicy", resources.match_policy, ("Equivalent", "Exact"), required=True)
    for selector, field in (
        (resources.namespace_selector, "namespaceSelector"),
        (resources.object_selector, "objectSelector"),
    ):
        if selector is not None:
            validate_label_selector(selector, f"{path}.{field}", problems)
    for rules, field in (
        (resources.resource_rules, "resourceRules"),
        (resources.exclude_resource_rules, "excludeResourceRules"),
    ):
        for index, rule in enumerate(rules):
            _validate_rule(rule, f"{path}.{field}[{index}]", problems)


def _validate_rule(rule: NamedRuleWithOperations, path: str, problems: Problems) -> None:
    for values, field in (
        (rule.operations, "operations"),
        (rule.api_groups, "apiGroups"),
        (rule.api_versions, "apiVersions"),
        (rule.resources, "resources"),
    ):
        if not values:
            problems.required(f"{path}.{field}")
        elif len(values) > 1 and "*" in values:
            problems.invalid(
                f"{path}.{field}", list(values), "if '*' is present, must not specify other " + _OTHERS[field]
            )
    for index, operation in enumerate(rule.operations):
        problems.one_of(f"{path}.operations[{index}]", operation, OPERATIONS, required=True)
    for values, field in ((rule.api_versions, "apiVersions"), (rule.resources, "resources")):
        for index, value in enumerate(values):
            if not value:
                problems.required(f"{path}.{field}[{index}]")
    problems.one_of(f"{path}.scope", rule.scope, SCOPES)
    for index, name in enumerate(rule.resource_names):
        problems.each(f"{path}.resourceNames[{index}]", name, check_path_segment(name))
        if name in rule.resource_names[:index]:
            problems.duplicate(f"{path}.resourceNames[{index}]", name)


_OTHERS = {
    "operations": "operations",
    "apiGroups": "API groups",
    "apiVersions": "API versions",
    "resources": "resources without subresources",
}


def _validate_conditions(
    conditions: tuple[MatchCondition, ...], has_params: bool, problems: Problems
) -> None:
    path = "spec.matchConditions"
    if len(conditions) > MAX_CONDITIONS:
        problems.too_many(path, len(conditions), MAX_CONDITIONS)
    seen: set[str] = set()
    for index, condition in enumerate(conditions):
        where = f"{path}[{index}]"
        if not condition.expression.strip():
            problems.required(f"{where}.expression")
        elif fault := find_fault(condition.expression, "BOOL", params=has_params, variables=()):
            problems.invalid(f"{where}.expression", condition.expression, fault)
        if not condition.name:
            problems.required(f"{where}.name")
        else:
            problems.each(f"{where}.name", condition.name, check_qualified_name(condition.name))
            if condition.name in seen:
                problems.duplicate(f"{where}.name", condition.name)
        seen.add(condition.name)


def _validate_variables(variables: tuple[Variable, ...], has_params: bool, problems: Problems) -> set[str]:
    """Return the names that expressions may use; a variable sees those before it."""
    known: set[str] = set()
    for index, variable in enumerate(variables):
        where = f"spec.variables[{index}]"
        if not variable.name.strip():
            problems.required(f"{where}.name", "name is not specified")
        elif not _IDENTIFIER.fullmatch(variable.name) or variable.name in RESERVED:
            problems.invalid(f"{where}.name", variable.name, "name is not a valid CEL identifier")
        if variable.name in known:
            problems.duplicate(f"{where}.name", variable.name)
        if not variable.expression.strip():
            problems.required(f"{where}.expression", "expression is not specified")
        elif fault := find_fault(variable.expression, "", params=has_params, variables=known):
            problems.invalid(f"{where}.expression", variable.expression, fault)
        known.add(variable.name)
    return known


def _has_lines(text: str) -> bool:
    return "\n" in text or "\r" in text


def _validate_check(
    check: Validation, path: str, has_params: bool, variables: set[str], problems: Problems
) -> None:
    expression, message = check.expression.strip(), check.message.strip()
    if not expression:
        problems.required(f"{path}.expression", "expression is not specified")
    elif fault := find_fault(check.expression, "BOOL", params=has_params, variables=variables):
        problems.invalid(f"{path}.expression", check.expression, fault)
    if check.message_expression:
        if not check.message_expression.strip():
            why = "must be non-empty if specified"
            problems.invalid(f"{path}.messageExpression", check.message_expression, why)
        elif fault := find_fault(check.message_expression, "STRING", params=has_params, variables=variables):
            problems.invalid(f"{path}.messageExpression", check.message_expression, fault)
    if check.message and not message:
        problems.invalid(f"{path}.message", check.message, "message must be non-empty if specified")
    elif _has_lines(message):
        problems.invalid(f"{path}.message", check.message, "message must not contain line breaks")
    elif _has_lines(expression) and not message:
        problems.required(f"{path}.message", "message must be specified if expression contains line breaks")
    problems.one_of(f"{path}.reason", check.reason, REASONS)


def _validate_annotations(
    annotations: tuple[AuditAnnotation, ...], has_params: bool, variables: set[str], problems: Problems
) -> None:
    seen: set[str] = set()
    for index, annotation in enumerate(annotations):
        where = f"spec.auditAnnotations[{index}]"
        if not annotation.key:
            problems.required(f"{where}.key")
        else:
            problems.each(f"{where}.key", annotation.key, check_qualified_name(annotation.key))
            if annotation.key in seen:
                problems.duplicate(f"{where}.key", annotation.key)
        seen.add(annotation.key)
        expression = annotation.value_expression
        if not expression.strip():
            problems.required(f"{where}.valueExpression", "valueExpression must be non-empty")
        elif fault := find_fault(expression, "", params=has_params, variables=variables):
            problems.invalid(f"{where}.valueExpression", expression, fault)


# ---------------------------------------------------------------------------------------------------- bindings


def _validate_binding(binding: ValidatingAdmissionPolicyBinding, problems: Problems) -> None:
    spec = binding.spec
    if not spec.policy_name:
        problems.required("spec.policyName")
    else:
        problems.each("spec.policyName", spec.policy_name, check_path_segment(spec.policy_name))
    if spec.param_ref is not None:
        _validate_param_ref(spec.param_ref, problems)
    if spec.match_resources is not None:
        _validate_match(spec.match_resources, "spec.matchResources", problems)
    path, actions = "spec.validationActions", spec.validation_actions
    if not actions:
        problems.required(path)
    for index, action in enumerate(actions):
        problems.one_of(f"{path}[{index}]", action, ACTIONS, required=True)
        if action in actions[:index]:
            problems.duplicate(f"{path}[{index}]", action)
    if "Deny" in actions and "Warn" in actions:
        why = (
            "must not contain both Deny and Warn (repeating the same validation failure information in the API response "
            "and headers serves no purpose)"
        )
        problems.invalid(path, list(actions), why)


def _validate_param_ref(reference: ParamRef, problems: Problems) -> None:
    path = "spec.paramRef"
    if reference.name:
        problems.each(f"{path}.name", reference.name, check_path_segment(reference.name))
        if reference.selector is not None:
            for field in ("name", "selector"):
                problems.forbidden(f"{path}.{field}", "name and selector are mutually exclusive")
    elif reference.selector is None:
        for field in ("name", "selector"):
            problems.required(f"{path}.{field}", "one of name or selector must be specified")
    if reference.selector is not None:
        validate_label_selector(reference.selector, f"{path}.selector", problems)
    if reference.namespace:
        problems.each(f"{path}.namespace", reference.namespace, check_label_name(reference.namespace))
    action = reference.parameter_not_found_action
    problems.one_of(f"{path}.parameterNotFoundAction", action, ("Allow", "Deny"), required=True)


def _observed(generation: int) -> ValidatingAdmissionPolicyStatus:
    """Return the status of a policy that is in force; nothing is known of types, so nothing is warned of."""
    return ValidatingAdmissionPolicyStatus(observed_generation=generation, type_checking=TypeChecking())


def _first_status(policy: ValidatingAdmissionPolicy) -> ValidatingAdmissionPolicy:
    return replace(policy, status=_observed(1))


def _next_status(new: ValidatingAdmissionPolicy, old: ValidatingAdmissionPolicy) -> ValidatingAdmissionPolicy:
    if new.spec == old.spec:
        return replace(new, status=old.status)
    return replace(new, status=_observed((old.metadata.generation or 0) + 1))


POLICY = Strategy(
    kind=VALIDATING_ADMISSION_POLICY,
    name_rule=check_path_segment,
    default=_default,
    prepare_create=_first_status,
    prepare_update=_next_status,
    prepare_status=take_status,
    validate=_validate,
    generation=True,
)
BINDING = Strategy(
    kind=VALIDATING_ADMISSION_POLICY_BINDING,
    name_rule=check_path_segment,
    default=_default_binding,
    validate=_validate_binding,
    generation=True,
)
