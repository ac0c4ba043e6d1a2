"""Decides whether a policy or a binding looks at an attempt. Pure but for the look at the namespace's labels.

Source: Kubernetes v1.37, apiserver/pkg/admission/plugin/policy/matching and webhook/predicates/rules.
"""

from collections.abc import Iterable, Mapping

from pinnace.api.admission.attempt import Attempt
from pinnace.kube.kinds import NAMESPACE
from pinnace.kube.objects.admissionregistration_v1 import MatchResources, NamedRuleWithOperations
from pinnace.kube.objects.core_v1 import Namespace
from pinnace.kube.selectors import selector_of


def matches(resources: MatchResources | None, attempt: Attempt, versions: Iterable[str]) -> bool:
    """Say whether an attempt is among the resources; None takes all. `versions` are all in which the kind is served."""
    if resources is None:
        return True
    if not _labels_match(resources, attempt):
        return False
    if any(_rule_matches(rule, attempt, versions) for rule in resources.exclude_resource_rules):
        return False
    rules = resources.resource_rules
    return not rules or any(_rule_matches(rule, attempt, versions) for rule in rules)


def _labels_match(resources: MatchResources, attempt: Attempt) -> bool:
    if resources.namespace_selector is not None:
        selector = selector_of(resources.namespace_selector)
        if not selector.is_everything:
            labels = namespace_labels(attempt)
            if labels is not None and not selector.matches(labels):
                return False
    if resources.object_selector is not None:
        selector = selector_of(resources.object_selector)
        if not selector.is_everything:
            both = [obj.metadata.labels for obj in (attempt.object, attempt.old) if hasattr(obj, "metadata")]
            return any(selector.matches(labels) for labels in both)
    return True


def namespace_of(attempt: Attempt) -> Namespace | None:
    """Return the namespace in which the attempt happens; None for what is in none."""
    if not attempt.kind.namespaced or not attempt.namespace:
        return None
    return attempt.facts.find(NAMESPACE, "", attempt.namespace)


def namespace_labels(attempt: Attempt) -> Mapping[str, str] | None:
    """Return the labels that a namespace selector looks at; None where it doesn't count. A namespace has its own."""
    if attempt.kind is NAMESPACE:
        obj = attempt.object if attempt.object is not None else attempt.old
        labels: Mapping[str, str] = obj.metadata.labels
        return labels
    found = namespace_of(attempt)
    return None if found is None else found.metadata.labels


def _rule_matches(rule: NamedRuleWithOperations, attempt: Attempt, versions: Iterable[str]) -> bool:
    kind = attempt.kind
    if rule.scope == "Namespaced" and not kind.namespaced:
        return False
    if rule.scope == "Cluster" and kind.namespaced:
        return False
    if "*" not in rule.operations and attempt.operation.value not in rule.operations:
        return False
    if "*" not in rule.api_groups and kind.group not in rule.api_groups:
        return False
    if "*" not in rule.api_versions and not any(version in rule.api_versions for version in versions):
        return False
    if rule.resource_names and attempt.name not in rule.resource_names:
        return False
    return any(_resource_matches(wanted, kind.plural, attempt.subresource) for wanted in rule.resources)


def _resource_matches(wanted: str, plural: str, subresource: str) -> bool:
    """Example: "pods", "pods/status", "pods/*", "*/scale", "*" (no subresources), "*/*"."""
    resource, slash, part = wanted.partition("/")
    if resource not in ("*", plural):
        return False
    return part in ("*", subresource) if slash else not subresource
