"""Checks where a pod may go: node selectors, affinity, tolerations, spread constraints.

Pure. Source: Kubernetes v1.36, pkg/apis/core/validation (ValidateTolerations, validateAffinity, ...).
"""

from pinnace.api.validation.metadata import validate_labels
from pinnace.api.validation.names import check_label_value, check_qualified_name, check_subdomain
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.selectors import validate_label_selector
from pinnace.kube.objects.core_v1 import (
    Affinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PodAffinityTerm,
    PodSpec,
    PreferredSchedulingTerm,
    Toleration,
    TopologySpreadConstraint,
    WeightedPodAffinityTerm,
)

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_NODE_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")


def validate_scheduling(spec: PodSpec, path: str, problems: Problems) -> None:
    """Check everything in a pod's spec that tells the scheduler where to put it."""
    validate_labels(spec.node_selector, f"{path}.nodeSelector", problems)
    if spec.affinity is not None:
        _validate_affinity(spec.affinity, f"{path}.affinity", problems)
    for index, toleration in enumerate(spec.tolerations):
        _validate_toleration(toleration, f"{path}.tolerations[{index}]", problems)
    _validate_spread(spec.topology_spread_constraints, f"{path}.topologySpreadConstraints", problems)


def _validate_toleration(toleration: Toleration, path: str, problems: Problems) -> None:
    if toleration.key:
        problems.each(f"{path}.key", toleration.key, check_qualified_name(toleration.key))
    elif toleration.operator != "Exists":
        problems.invalid(
            f"{path}.operator",
            toleration.operator,
            'operator must be Exists when `key` is empty, which means "match all values and all keys"',
        )
    if toleration.toleration_seconds is not None and toleration.effect != "NoExecute":
        problems.invalid(
            f"{path}.effect", toleration.effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"
        )
    if toleration.operator in ("", "Equal"):
        wrong = check_label_value(toleration.value)
        if wrong:
            problems.invalid(f"{path}.operator", toleration.value, ";".join(wrong))
    elif toleration.operator == "Exists":
        if toleration.value:
            problems.invalid(
                f"{path}.operator", toleration, "value must be empty when `operator` is 'Exists'"
            )
    else:
        problems.not_supported(f"{path}.operator", toleration.operator, ("Equal", "Exists"))
    problems.one_of(f"{path}.effect", toleration.effect, _EFFECTS)


def _validate_affinity(affinity: Affinity, path: str, problems: Problems) -> None:
    node = affinity.node_affinity
    if node is not None:
        required = node.required_during_scheduling_ignored_during_execution
        if required is not None:
            validate_node_selector(
                required, f"{path}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution", problems
            )
        _validate_preferred_nodes(
            node.preferred_during_scheduling_ignored_during_execution,
            f"{path}.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution",
            problems,
        )
    for name, pods in (
        ("podAffinity", affinity.pod_affinity),
        ("podAntiAffinity", affinity.pod_anti_affinity),
    ):
        if pods is None:
            continue
        for index, term in enumerate(pods.required_during_scheduling_ignored_during_execution):
            where = f"{path}.{name}.requiredDuringSchedulingIgnoredDuringExecution[{index}]"
            _validate_pod_term(term, where, problems)
        _validate_weighted(
            pods.preferred_during_scheduling_ignored_during_execution,
            f"{path}.{name}.preferredDuringSchedulingIgnoredDuringExecution",
            problems,
        )


def validate_node_selector(selector: NodeSelector, path: str, problems: Problems) -> None:
    """Check the terms of a required node affinity."""
    if not selector.node_selector_terms:
        problems.required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")
    for index, term in enumerate(selector.node_selector_terms):
        _validate_node_term(term, f"{path}.nodeSelectorTerms[{index}]", problems)


def _validate_node_term(term: NodeSelectorTerm, path: str, problems: Problems) -> None:
    for index, requirement in enumerate(term.match_expressions):
        _validate_node_requirement(requirement, f"{path}.matchExpressions[{index}]", problems)
    for index, requirement in enumerate(term.match_fields):
        where = f"{path}.matchFields[{index}]"
        if requirement.operator not in ("In", "NotIn"):
            problems.invalid(f"{where}.operator", requirement.operator, "not a valid selector operator")
        elif len(requirement.values) != 1:
            problems.required(
                f"{where}.values",
                "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
            )
        if requirement.key != "metadata.name":
            problems.invalid(f"{where}.key", requirement.key, "not a valid field selector key")


def _validate_node_requirement(requirement: NodeSelectorRequirement, path: str, problems: Problems) -> None:
    operator, values = requirement.operator, requirement.values
    if operator in ("In", "NotIn") and not values:
        problems.required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in ("Exists", "DoesNotExist") and values:
        problems.forbidden(
            f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
        )
    elif operator in ("Gt", "Lt") and len(values) != 1:
        problems.required(f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
    elif operator not in _NODE_OPERATORS:
        problems.invalid(f"{path}.operator", operator, "not a valid selector operator")
    problems.each(f"{path}.key", requirement.key, check_qualified_name(requirement.key))
    for index, value in enumerate(values):
        problems.each(f"{path}.values[{index}]", value, check_label_value(value))


def _validate_preferred_nodes(
    terms: tuple[PreferredSchedulingTerm, ...], path: str, problems: Problems
) -> None:
    for index, term in enumerate(terms):
        where = f"{path}[{index}]"
        _validate_weight(term.weight, where, problems)
        if term.preference is not None:
            _validate_node_term(term.preference, f"{where}.preference", problems)


def _validate_weighted(terms: tuple[WeightedPodAffinityTerm, ...], path: str, problems: Problems) -> None:
    for index, term in enumerate(terms):
        where = f"{path}[{index}]"
        _validate_weight(term.weight, where, problems)
        if term.pod_affinity_term is not None:
            _validate_pod_term(term.pod_affinity_term, f"{where}.podAffinityTerm", problems)


def _validate_weight(weight: int | None, path: str, problems: Problems) -> None:
    if weight is None or not 1 <= weight <= 100:
        problems.invalid(f"{path}.weight", weight or 0, "must be in the range 1-100")


def _validate_pod_term(term: PodAffinityTerm, path: str, problems: Problems) -> None:
    for name, selector in (
        ("labelSelector", term.label_selector),
        ("namespaceSelector", term.namespace_selector),
    ):
        if selector is not None:
            validate_label_selector(selector, f"{path}.{name}", problems)
    if not term.topology_key:
        problems.required(f"{path}.topologyKey", "can not be empty")
    else:
        problems.each(f"{path}.topologyKey", term.topology_key, check_qualified_name(term.topology_key))
    for namespace in term.namespaces:
        problems.each(f"{path}.namespace", namespace, check_subdomain(namespace))


def _validate_spread(
    constraints: tuple[TopologySpreadConstraint, ...], path: str, problems: Problems
) -> None:
    seen: set[tuple[str, str]] = set()
    for index, constraint in enumerate(constraints):
        where = f"{path}[{index}]"
        if constraint.max_skew is None or constraint.max_skew <= 0:
            problems.invalid(f"{where}.maxSkew", constraint.max_skew or 0, "must be greater than zero")
        if not constraint.topology_key:
            problems.required(f"{where}.topologyKey", "can not be empty")
        if constraint.when_unsatisfiable not in ("DoNotSchedule", "ScheduleAnyway"):
            problems.not_supported(
                f"{where}.whenUnsatisfiable",
                constraint.when_unsatisfiable,
                ("DoNotSchedule", "ScheduleAnyway"),
            )
        pair = (constraint.topology_key, constraint.when_unsatisfiable)
        if pair in seen:
            problems.duplicate(f"{where}.{{topologyKey, whenUnsatisfiable}}", f"{{{pair[0]}, {pair[1]}}}")
        seen.add(pair)
        if constraint.label_selector is not None:
            validate_label_selector(constraint.label_selector, f"{where}.labelSelector", problems)
