"""Rules that Deployment and ReplicaSet share: selector, template, replicas. Pure.

Source: Kubernetes v1.36, pkg/apis/apps/validation.
"""

from pinnace.api.validation.pods import validate_pod_template
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.selectors import is_empty_selector, validate_label_selector
from pinnace.kube.objects.core_v1 import PodTemplateSpec
from pinnace.kube.objects.meta_v1 import LabelSelector
from pinnace.kube.selectors import selector_of


def validate_selector(
    selector: LabelSelector | None, template: PodTemplateSpec, kind: str, problems: Problems
) -> None:
    """Check that a selector is there, means something, and selects the template's own pods."""
    if selector is None:
        problems.required("spec.selector")
        return
    before = len(problems.found)
    validate_label_selector(selector, "spec.selector", problems)
    if is_empty_selector(selector):
        problems.invalid("spec.selector", selector, f"empty selector is invalid for {kind}")
    elif len(problems.found) == before and not selector_of(selector).matches(template.metadata.labels):
        problems.invalid(
            "spec.template.metadata.labels",
            template.metadata.labels,
            "`selector` does not match template `labels`",
        )


def validate_template(template: PodTemplateSpec, kind: str, problems: Problems) -> None:
    """Check a template whose pods run for ever."""
    validate_pod_template(template, "spec.template", problems)
    if template.spec.restart_policy not in ("", "Always"):
        problems.not_supported("spec.template.spec.restartPolicy", template.spec.restart_policy, ("Always",))
    if template.spec.active_deadline_seconds is not None:
        problems.forbidden(
            "spec.template.spec.activeDeadlineSeconds", f"activeDeadlineSeconds in {kind} is not Supported"
        )
