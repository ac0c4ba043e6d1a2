"""Checks where a pod may go: node selectors, affinity, tolerations, spread constraints.

Pure. Source: Kubernetes v1.36, pkg/apis/core/validation (ValidateTolerations, validateAffinity, ...).
"""

from pinnace.api.validation.names import (
    check_label_name,
    check_label_value,
    check_qualified_name,
    check_subdomain,
)
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.selectors import validate_label_selector
from pinnace.kube.objects.core_v1 import (
    Affinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PodAffinityTerm,
    PreferredSchedulingTerm,
    Toleration,
    TopologySpreadConstraint,
    WeightedPodAffinityTerm,
)
from pinnace.kube.objects.meta_v1 import LabelSelector

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_ACTIONS = ("DoNotSchedule", "ScheduleAnyway")
_INCLUSION = ("Honor", "Ignore")
_NOT_POSITIVE = "must be greater than zero"
_NO_SELECTOR = "must not be specified when labelSelector is not set"
_NODE_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")


def validate_tolerations(tolerations: tuple[Toleration, ...], path: str, problems: Problems) -> None:
    """Check each toleration."""
    for index, toleration in enumerate(tolerations):
        _validate_toleration(toleration, f"{path}[{index}]", problems)


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


def validate_affinity(affinity: Affinity, path: str, problems: Problems) -> None:
    """Check the affinities to nodes and to other pods."""
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
            continue
        for at, value in enumerate(requirement.values):
            problems.each(f"{where}.values[{at}]", value, check_subdomain(value))


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
    for namespace in term.namespaces:
        problems.each(f"{path}.namespace", namespace, check_label_name(namespace))
    _validate_term_keys(term, path, problems)
    if not term.topology_key:
        problems.required(f"{path}.topologyKey", "can not be empty")
    problems.each(f"{path}.topologyKey", term.topology_key, check_qualified_name(term.topology_key))


def validate_spread(constraints: tuple[TopologySpreadConstraint, ...], path: str, problems: Problems) -> None:
    """Check how a pod and its likes are to be spread."""
    pairs = [(constraint.topology_key, constraint.when_unsatisfiable) for constraint in constraints]
    for index, constraint in enumerate(constraints):
        where = f"{path}[{index}]"
        if (constraint.max_skew or 0) <= 0:
            problems.invalid(f"{where}.maxSkew", constraint.max_skew or 0, _NOT_POSITIVE)
        if not constraint.topology_key:
            problems.required(f"{where}.topologyKey", "can not be empty")
        if constraint.when_unsatisfiable not in _ACTIONS:
            problems.not_supported(f"{where}.whenUnsatisfiable", constraint.when_unsatisfiable, _ACTIONS)
        if pairs[index] in pairs[index + 1 :]:
            shown = f"{{{pairs[index][0]}, {pairs[index][1]}}}"
            problems.duplicate(f"{where}.{{topologyKey, whenUnsatisfiable}}", shown)
        _validate_least(constraint, f"{where}.minDomains", problems)
        problems.one_of(f"{where}.nodeAffinityPolicy", constraint.node_affinity_policy, _INCLUSION)
        problems.one_of(f"{where}.nodeTaintsPolicy", constraint.node_taints_policy, _INCLUSION)
        _validate_spread_keys(constraint, f"{where}.matchLabelKeys", problems)
        if constraint.label_selector is not None:
            validate_label_selector(constraint.label_selector, f"{where}.labelSelector", problems)


def _validate_least(constraint: TopologySpreadConstraint, path: str, problems: Problems) -> None:
    least = constraint.min_domains
    if least is None:
        return
    if least <= 0:
        problems.invalid(path, least, _NOT_POSITIVE)
    if constraint.when_unsatisfiable != "DoNotSchedule":
        words = (
            "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not " + constraint.when_unsatisfiable
        )
        problems.invalid(path, least, words)


def _validate_spread_keys(constraint: TopologySpreadConstraint, path: str, problems: Problems) -> None:
    if not constraint.match_label_keys:
        return
    selector = constraint.label_selector
    if selector is None:
        problems.forbidden(path, _NO_SELECTOR)
    used = _keys_of(selector)
    for index, key in enumerate(constraint.match_label_keys):
        problems.each(f"{path}[{index}]", key, check_qualified_name(key))
        if key in used:
            problems.invalid(f"{path}[{index}]", key, "exists in both matchLabelKeys and labelSelector")


def _keys_of(selector: LabelSelector | None) -> set[str]:
    if selector is None:
        return set()
    return {*selector.match_labels, *(one.key for one in selector.match_expressions)}


def _validate_term_keys(term: PodAffinityTerm, path: str, problems: Problems) -> None:
    """Check the keys whose values are taken from the new pod. Source: validateMatchLabelKeysAndMismatchLabelKeys."""
    for name, keys in (
        ("matchLabelKeys", term.match_label_keys),
        ("mismatchLabelKeys", term.mismatch_label_keys),
    ):
        if keys and term.label_selector is None:
            problems.forbidden(f"{path}.{name}", _NO_SELECTOR)
            continue
        for index, key in enumerate(keys):
            problems.each(f"{path}.{name}[{index}]", key, check_qualified_name(key))
    used = _keys_of(term.label_selector)
    for index, key in enumerate(term.match_label_keys):
        if key in used:
            problems.invalid(f"{path}[{index}]", key, "exists in both matchLabelKeys and labelSelector")
        if key in term.mismatch_label_keys:
            words = "exists in both matchLabelKeys and mismatchLabelKeys"
            problems.invalid(f"{path}.matchLabelKeys[{index}]", key, words)
