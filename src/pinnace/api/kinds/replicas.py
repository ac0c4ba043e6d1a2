"""Rules that workloads share: selectors, templates, counts and shares, the checks of a status. Pure.

Source: Kubernetes v1.36, pkg/apis/apps/validation.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from pinnace.api.validation.names import check_label_name
from pinnace.api.validation.pods import validate_pod_template
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.selectors import is_empty_selector, validate_label_selector
from pinnace.kube.objects.core_v1 import PodTemplateSpec
from pinnace.kube.objects.meta_v1 import LabelSelector, ObjectMeta
from pinnace.kube.selectors import Selector, selector_of

NO_MATCH = "`selector` does not match template `labels`"
_PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' "
    "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
)


def validate_selector(
    selector: LabelSelector | None,
    template: PodTemplateSpec,
    problems: Problems,
    *,
    kind: str = "deployment",
    unreadable: str = "invalid label selector",
) -> None:
    """Check that a selector is there, means something, and selects the template's own pods."""
    if selector is None:
        problems.required("spec.selector")
    else:
        validate_label_selector(selector, "spec.selector", problems)
        if is_empty_selector(selector):
            problems.invalid("spec.selector", selector, f"empty selector is invalid for {kind}")
    predicate = read_selector(selector)
    if predicate is None:
        problems.invalid("spec.selector", selector, unreadable)
    elif not is_empty_selector(selector) or selector is None:
        validate_match(predicate, template, problems)


def read_selector(selector: LabelSelector | None) -> Selector | None:
    """Return the predicate; None when it can't be made of what is there."""
    try:
        return selector_of(selector)
    except ValueError:
        return None


def validate_match(selector: Selector, template: PodTemplateSpec, problems: Problems) -> None:
    """Check that a template's pods are those that the selector selects."""
    if not selector.matches(template.metadata.labels):
        problems.invalid("spec.template.metadata.labels", template.metadata.labels, NO_MATCH)


def validate_template(template: PodTemplateSpec, kind: str, problems: Problems) -> None:
    """Check a template whose pods run for ever."""
    validate_pod_template(template, "spec.template", problems)
    validate_endless(template, kind, problems)


def validate_endless(template: PodTemplateSpec, kind: str, problems: Problems) -> None:
    """Check that a template's pods are restarted always, and have no deadline."""
    if template.spec.restart_policy != "Always":
        problems.not_supported("spec.template.spec.restartPolicy", template.spec.restart_policy, ("Always",))
    if template.spec.active_deadline_seconds is not None:
        problems.forbidden(
            "spec.template.spec.activeDeadlineSeconds", f"activeDeadlineSeconds in {kind} is not Supported"
        )


def validate_share(share: int | str | None, path: str, problems: Problems) -> None:
    """Check a count or a percentage."""
    if isinstance(share, str):
        if not is_percent(share):
            problems.invalid(path, share, _PERCENT)
    else:
        problems.not_negative(path, share)


def validate_share_most(share: int | str | None, path: str, problems: Problems) -> None:
    """Check that a percentage is not more than all."""
    if isinstance(share, str) and is_percent(share) and int(share[:-1]) > 100:
        problems.invalid(path, share, "must not be greater than 100%")


def share_value(share: int | str | None) -> int:
    """Return a share's number; 0 for what is none. Example: "25%" is 25."""
    if isinstance(share, str):
        return int(share[:-1]) if is_percent(share) else 0
    return share or 0


def is_percent(text: str) -> bool:
    """Say whether a text is a whole number and a percent sign."""
    return re.fullmatch("[0-9]+%", text) is not None


def validate_counts(status: Any, names: Iterable[tuple[str, str]], problems: Problems) -> None:
    """Check that none of a status' counts is negative; `names` are attributes with their names on the wire."""
    for attribute, wire in names:
        problems.not_negative(f"status.{wire}", getattr(status, attribute))


def validate_most(status: Any, names: Iterable[tuple[str, str]], problems: Problems) -> None:
    """Check that none of a status' counts is greater than its replicas."""
    for attribute, wire in names:
        count = getattr(status, attribute) or 0
        if count > (status.replicas or 0):
            problems.invalid(f"status.{wire}", count, "cannot be greater than status.replicas")


def validate_available(
    status: Any, problems: Problems, words: str = "cannot be greater than readyReplicas"
) -> None:
    """Check that no more pods are available than ready."""
    available = status.available_replicas or 0
    if available > (status.ready_replicas or 0):
        problems.invalid("status.availableReplicas", available, words)


def validate_collisions(new: Any, old: Any, problems: Problems) -> None:
    """Check that the count of hash collisions only grows."""
    before, now = old.status.collision_count, new.status.collision_count
    if before is not None and (now is None or now < before):
        problems.invalid("status.collisionCount", now or 0, "cannot be decremented")


def find_name_warnings(meta: ObjectMeta) -> Iterator[str]:
    """Yield a warning for a name that pods' names and hostnames can't be made of."""
    wrong = check_label_name(meta.name) if meta.name else ()
    if wrong:
        yield (
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; "
            f"a DNS label is recommended: [{' '.join(wrong)}]"
        )
