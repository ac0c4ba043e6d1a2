"""Checks a LabelSelector. Pure. Source: Kubernetes v1.36, apimachinery/pkg/apis/meta/v1/validation/validation.go."""

from pinnace.api.validation.metadata import validate_labels
from pinnace.api.validation.names import check_label_value, check_qualified_name
from pinnace.api.validation.problems import Problems
from pinnace.kube.objects.meta_v1 import LabelSelector


def is_empty_selector(selector: LabelSelector | None) -> bool:
    """Say whether a selector selects everything (or is not there)."""
    return selector is None or not (selector.match_labels or selector.match_expressions)


def validate_label_selector(selector: LabelSelector, path: str, problems: Problems) -> None:
    """Check the labels and the expressions."""
    validate_labels(selector.match_labels, f"{path}.matchLabels", problems)
    for index, requirement in enumerate(selector.match_expressions):
        where = f"{path}.matchExpressions[{index}]"
        if requirement.operator in ("In", "NotIn"):
            if not requirement.values:
                problems.required(f"{where}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif requirement.operator in ("Exists", "DoesNotExist"):
            if requirement.values:
                problems.forbidden(
                    f"{where}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                )
        else:
            problems.invalid(f"{where}.operator", requirement.operator, "not a valid selector operator")
        problems.each(f"{where}.key", requirement.key, check_qualified_name(requirement.key))
        for at, value in enumerate(requirement.values):
            problems.each(f"{where}.values[{at}]", value, check_label_value(value))
